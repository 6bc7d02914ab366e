/* Tokenizers as files, in Hugging Face's formats: tokenizer.json, or vocab.json (token → id) with
 * merges.txt (a line "left right" for each merge, in their order). The calls are tokenizer_open and
 * tokenizer_save in tokenizer.h; this header names the limits. Settings of truncation and padding
 * in tokenizer.json are the caller's business, not read. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_FILES_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_FILES_H

#include "data_pipeline/tokenizer.h"

enum { TOKENIZER_FILE_BYTES_MAX = 1 << 30 };

/* From the text of a tokenizer.json; `where` names it in messages. */
MUST_CHECK enum status tokenizer_parse(struct tokenizer **tokenizer, const char *text,
                                       size_t size_bytes, const char *where, struct error *error);
/* A line "left right" for each merge, behind `head`; caller frees *text with memory_release. */
void tokenizer_merges_text(const struct tokenizer *tokenizer, const char *head, char **text,
                           size_t *size_bytes);

#endif
