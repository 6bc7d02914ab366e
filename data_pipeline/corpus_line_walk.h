/* The lines of a document by token, for those who cut text where a line begins: a line is the
 * nearest thing to a sentence that corpora know. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_LINE_WALK_H
#define SHARDLM_DATA_PIPELINE_CORPUS_LINE_WALK_H

#include "data_pipeline/corpus_folder.h"

struct line_walk {
    const int64_t *lines;
    int64_t count;
    int64_t first_token;
    int64_t token_count; /* of the document */
};

/* The corpus must know its lines. */
static inline struct line_walk line_walk_begin(const struct corpus *corpus, int64_t document)
{
    struct line_walk walk = {.token_count = corpus_document_tokens(corpus, document)};
    walk.count = corpus_document_lines(corpus, document, &walk.lines, &walk.first_token);
    return walk;
}

/* First token of a line in its document; behind the last line, the document's end. */
static inline int64_t line_walk_at(const struct line_walk *walk, int64_t line)
{
    return line < walk->count ? walk->lines[line] - walk->first_token : walk->token_count;
}

#endif
