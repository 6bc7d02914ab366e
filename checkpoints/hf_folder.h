/* Hugging Face folders: config.json, model.safetensors, tokenizer files; read and written so that
 * `transformers` loads them without a warning about keys. */
#ifndef SHARDLM_CHECKPOINTS_HF_FOLDER_H
#define SHARDLM_CHECKPOINTS_HF_FOLDER_H

#include "base/error.h"
#include "model/model_options.h"
#include "model/parameters.h"

/* Writes config.json, model.safetensors (fp32, tied tensors left out, as transformers 5 saves),
 * SpanBERT's second head into a file of its own, and copies the tokenizer folder's files (NULL:
 * none), with tokenizer_config.json and special_tokens_map.json. `weights`: whole flat space.
 * `folder` must not exist or be empty; it appears whole or not at all. */
MUST_CHECK enum status hf_folder_write(const char *folder, const struct model_options *options,
                                       const struct parameter_table *table, const float *weights,
                                       const char *tokenizer_folder, struct error *error);

/* Options from config.json (hf_config.h); of BERT and ALBERT with a head for pairs if the tensors
 * have its pooler. */
MUST_CHECK enum status hf_folder_options(const char *folder, struct model_options *options,
                                         struct error *error);
/* Weights into the flat space. `fresh` NULL: all must be there. Otherwise a head may be missing, in
 * whole or in part; then `weights` keeps there what it held, and fresh[row] (row_count) is set. See
 * hf_weights.h for the names and types that are read. */
MUST_CHECK enum status hf_folder_weights(const char *folder, const struct parameter_table *table,
                                         float *weights, bool *fresh, struct error *error);

#endif
