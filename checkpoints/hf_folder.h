/* Hugging Face folders: config.json, model.safetensors, tokenizer files; read and written so that `transformers`
 * loads them without a warning about keys. */
#ifndef SHARDLM_CHECKPOINTS_HF_FOLDER_H
#define SHARDLM_CHECKPOINTS_HF_FOLDER_H

#include "base/error.h"
#include "model/model_options.h"
#include "model/parameters.h"

/* Writes config.json, model.safetensors (fp32, tied tensors left out, as transformers 5 saves) and copies
 * the tokenizer folder's files (NULL: none), with tokenizer_config.json and special_tokens_map.json. `weights`:
 * whole flat space. `folder` must not exist or be empty; it appears whole or not at all. */
MUST_CHECK enum status hf_folder_write(const char *folder, const struct model_options *options,
                                       const struct parameter_table *table, const float *weights,
                                       const char *tokenizer_folder, struct error *error);

/* Options from config.json: model_type roberta or roberta-prelayernorm, hidden_act gelu, gelu_new or relu. */
MUST_CHECK enum status hf_folder_options(const char *folder, struct model_options *options,
                                         struct error *error);
/* Weights into the flat space. Accepts gamma/beta for LayerNorm, ignores position_ids and tied copies (checked equal),
 * fp32, fp16 and bf16. Missing tensors: STATUS_FORMAT, naming them; unexpected ones are counted and logged. */
MUST_CHECK enum status hf_folder_weights(const char *folder, const struct parameter_table *table,
                                         float *weights, struct error *error);

#endif
