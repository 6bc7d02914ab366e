/* A SentencePiece model (tokenizer_unigram.h, not by words) in the words of Hugging Face's
 * tokenizer.json: a text is the same row of pieces. Unlike there, the name of a special piece in a
 * text is that piece, and of two merges with the same result the shorter left part comes first.
 * Unused pieces of a unigram model can be said only as the least likely ones. */
#ifndef SHARDLM_DATA_PIPELINE_PIECE_JSON_H
#define SHARDLM_DATA_PIPELINE_PIECE_JSON_H

#include "data_pipeline/tokenizer_parts.h"

/* Each is the caller's. */
json_t *piece_json_normalizer(const struct unigram *model);
json_t *piece_json_splitter(const struct tokenizer *tokenizer);
json_t *piece_json_decoder(const struct unigram *model);
/* {"type": "Unigram" or "BPE", …} */
json_t *piece_json_model(const struct tokenizer *tokenizer);

#endif
