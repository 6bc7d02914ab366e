/* See config_family.h. */
#include "launch/config_family.h"

#include <string.h>

struct config_preset {
    enum model_family family;
    const char *key;
    const char *standard;
};

/* Of each family in the order of the table of keys. */
static const struct config_preset presets[] = {
    {MODEL_FAMILY_BERT, "model.norm_epsilon", "1e-12"},
    {MODEL_FAMILY_BERT, "model.position_offset", "0"},
    {MODEL_FAMILY_BERT, "model.type_vocabulary", "2"},
    {MODEL_FAMILY_BERT, "model.pad_id", "-1"},
    {MODEL_FAMILY_BERT, "data.objective", "static_mask"},
    {MODEL_FAMILY_BERT, "data.packing", "full"},
    {MODEL_FAMILY_BERT, "data.pairs", "next_sentence"},
    {MODEL_FAMILY_BERT, "optimizer.betas", "[0.9, 0.999]"},
    {MODEL_FAMILY_BERT, "optimizer.bias_correction", "false"},

    {MODEL_FAMILY_ALBERT, "model.activation", "gelu_tanh"},
    {MODEL_FAMILY_ALBERT, "model.dropout", "0"},
    {MODEL_FAMILY_ALBERT, "model.norm_epsilon", "1e-12"},
    {MODEL_FAMILY_ALBERT, "model.position_offset", "0"},
    {MODEL_FAMILY_ALBERT, "model.type_vocabulary", "2"},
    {MODEL_FAMILY_ALBERT, "model.pad_id", "-1"},
    {MODEL_FAMILY_ALBERT, "model.embedding_width", "128"},
    {MODEL_FAMILY_ALBERT, "model.share", "all"},
    {MODEL_FAMILY_ALBERT, "data.objective", "ngram_mask"},
    {MODEL_FAMILY_ALBERT, "data.packing", "full"},
    {MODEL_FAMILY_ALBERT, "data.pairs", "sentence_order"},
    {MODEL_FAMILY_ALBERT, "optimizer.name", "lamb"},
    {MODEL_FAMILY_ALBERT, "optimizer.betas", "[0.9, 0.999]"},
    {MODEL_FAMILY_ALBERT, "optimizer.bias_correction", "false"},

    {MODEL_FAMILY_SPANBERT, "model.norm_epsilon", "1e-12"},
    {MODEL_FAMILY_SPANBERT, "model.position_offset", "0"},
    {MODEL_FAMILY_SPANBERT, "model.type_vocabulary", "2"},
    {MODEL_FAMILY_SPANBERT, "model.pad_id", "-1"},
    {MODEL_FAMILY_SPANBERT, "data.objective", "span_mask"},
    {MODEL_FAMILY_SPANBERT, "data.packing", "full"},
    {MODEL_FAMILY_SPANBERT, "optimizer.betas", "[0.9, 0.999]"},
    {MODEL_FAMILY_SPANBERT, "optimizer.epsilon", "1e-8"},

    {MODEL_FAMILY_GPT, "model.activation", "gelu_tanh"},
    {MODEL_FAMILY_GPT, "model.norm", "pre"},
    {MODEL_FAMILY_GPT, "model.position_offset", "0"},
    {MODEL_FAMILY_GPT, "model.pad_id", "-1"},
    {MODEL_FAMILY_GPT, "data.objective", "causal"},
    {MODEL_FAMILY_GPT, "data.packing", "full"},
    {MODEL_FAMILY_GPT, "optimizer.betas", "[0.9, 0.95]"},
    {MODEL_FAMILY_GPT, "optimizer.weight_decay", "0.1"},

    {MODEL_FAMILY_XLNET, "model.norm_epsilon", "1e-12"},
    {MODEL_FAMILY_XLNET, "model.position_offset", "0"},
    {MODEL_FAMILY_XLNET, "model.type_vocabulary", "3"},
    {MODEL_FAMILY_XLNET, "model.pad_id", "-1"},
    {MODEL_FAMILY_XLNET, "model.memory_tokens", "384"},
    {MODEL_FAMILY_XLNET, "data.objective", "permutation"},
    {MODEL_FAMILY_XLNET, "data.packing", "full"},
    {MODEL_FAMILY_XLNET, "data.mask_fraction", "0.166"},
    {MODEL_FAMILY_XLNET, "data.chain_rows", "4"},
    {MODEL_FAMILY_XLNET, "optimizer.betas", "[0.9, 0.999]"},
};

const char *config_family_standard(const struct config_key *key, enum model_family family)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(presets); i++) {
        if (presets[i].family == family && strcmp(presets[i].key, key->name) == 0) {
            return presets[i].standard;
        }
    }
    return key->standard;
}

void config_family_text(const struct config_key *key, const char *quote, struct text *out)
{
    const struct config_key *const family = &config_keys[config_key_find("model.family")];
    for (int64_t i = 0; i < ARRAY_LENGTH(presets); i++) {
        if (strcmp(presets[i].key, key->name) == 0) {
            text_add(out, "; %s: %s%s%s", family->words[presets[i].family], quote,
                     presets[i].standard, quote);
        }
    }
}
