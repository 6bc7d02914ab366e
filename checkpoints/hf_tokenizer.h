/* The tokenizer's files of a Hugging Face folder: copied, and beside them what transformers wants
 * to know, unless the folder brings its own: tokenizer.json, tokenizer_config.json and
 * special_tokens_map.json. */
#ifndef SHARDLM_CHECKPOINTS_HF_TOKENIZER_H
#define SHARDLM_CHECKPOINTS_HF_TOKENIZER_H

#include "base/error.h"
#include "checkpoints/hf_config.h"

/* Copies `from` into `to` (made if absent). `ids` become those of the tokens that
 * begin and end a text. positions: longest text in tokens. */
MUST_CHECK enum status hf_tokenizer_write(const char *from, const char *to, int64_t positions,
                                          struct hf_token_ids *ids, struct error *error);

#endif
