/* config.json of a Hugging Face folder: between its keys and struct model_options. */
#ifndef SHARDLM_CHECKPOINTS_HF_CONFIG_H
#define SHARDLM_CHECKPOINTS_HF_CONFIG_H

#include "base/error.h"
#include "model/model_options.h"

/* Ids that the network itself does not need but config.json tells; -1: none. */
struct hf_token_ids {
    int64_t bos;
    int64_t eos;
};

/* STATUS_INPUT if the format cannot say what the options say. */
MUST_CHECK enum status hf_config_check(const struct model_options *options, struct error *error);
/* Durable; for options that hf_config_check accepts. */
MUST_CHECK enum status hf_config_write(const char *path, const struct model_options *options,
                                       const struct hf_token_ids *ids, struct error *error);
/* Keys that are missing get the defaults of transformers. STATUS_FORMAT for anything that we would
 * compute otherwise than transformers. Whether BERT and ALBERT have a head for pairs is not said
 * there: without_pairs is true. */
MUST_CHECK enum status hf_config_read(const char *path, struct model_options *options,
                                      struct error *error);

#endif
