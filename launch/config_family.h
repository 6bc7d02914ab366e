/* Where the families' defaults differ from RoBERTa's, which stand in the table of keys: one row per
 * family and key. Sizes have no defaults; published sizes, rates and batches are in examples/. */
#ifndef SHARDLM_LAUNCH_CONFIG_FAMILY_H
#define SHARDLM_LAUNCH_CONFIG_FAMILY_H

#include "launch/config_table.h"

/* The key's default under `family`, as it would be written. */
const char *config_family_standard(const struct config_key *key, enum model_family family);
/* Appends "; bert: 1e-12; gpt: pre" for the families that have a default of their own. */
void config_family_text(const struct config_key *key, const char *quote, struct text *out);

#endif
