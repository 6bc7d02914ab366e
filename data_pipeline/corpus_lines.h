/* Where the lines of a document begin among its tokens. A corpus shard keeps these places because
 * pairs of sentences need them and many tokenizers keep no trace of a line feed. Two ways, chosen
 * by trying: if the tokenizer has tokens for line feeds (byte-level BPE), a document is encoded as
 * one text, and a line begins behind such a token; tokens of line feeds in a row belong to the line
 * before. Else line feeds are white space to it, and lines are encoded one by one.
 * A line without tokens does not count; every document with tokens begins with a line. Immutable
 * after init: any thread may encode. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_LINES_H
#define SHARDLM_DATA_PIPELINE_CORPUS_LINES_H

#include "data_pipeline/tokenizer.h"

struct corpus_lines {
    const struct tokenizer *tokenizer; /* borrowed until deinit */
    unsigned char *ends_line;          /* (vocabulary) does the token's text hold a line feed? */
    bool keeps_line_feeds;
};

struct corpus_line_list { /* grows; release with corpus_line_list_deinit */
    int64_t *first_tokens;
    size_t count;
    size_t capacity;
};
void corpus_line_list_deinit(struct corpus_line_list *list);

void corpus_lines_init(struct corpus_lines *lines, const struct tokenizer *tokenizer);
void corpus_lines_deinit(struct corpus_lines *lines); /* accepts zeroed lines */
/* Appends a document's ids to `tokens` and, for each line, the place in `tokens` where it begins.
 */
void corpus_lines_encode(const struct corpus_lines *lines, struct tokenizer_work *work,
                         const char *text, size_t size_bytes, struct token_list *tokens,
                         struct corpus_line_list *list);

#endif
