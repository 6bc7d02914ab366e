/* See hf_kind.h. */
#include "checkpoints/hf_kind.h"

#include <string.h>

#include "base/error.h"

static const struct {
    const char *name;
    enum model_activation activation;
} activations[] = {
    {"gelu", MODEL_ACTIVATION_GELU},
    {"gelu_new", MODEL_ACTIVATION_GELU_TANH}, /* the first of several names is the one written */
    {"gelu_pytorch_tanh", MODEL_ACTIVATION_GELU_TANH},
    {"relu", MODEL_ACTIVATION_RELU},
};

#define INTEGER(name, field)                                                                       \
    {                                                                                              \
        name, offsetof(struct model_options, field), false, false, 0                               \
    }
#define INTEGER_OR(name, field, standard)                                                          \
    {                                                                                              \
        name, offsetof(struct model_options, field), false, true, standard                         \
    }
#define REAL_OR(name, field, standard)                                                             \
    {                                                                                              \
        name, offsetof(struct model_options, field), true, true, standard                          \
    }
#define NUMBERS(array) array, ARRAY_LENGTH(array)
#define NO_NUMBERS     NULL, 0

static const struct hf_number bert_numbers[] = {
    INTEGER("num_hidden_layers", layers),
    INTEGER("hidden_size", hidden),
    INTEGER("num_attention_heads", heads),
    INTEGER("intermediate_size", feed_forward),
    INTEGER("vocab_size", vocabulary),
    INTEGER("max_position_embeddings", positions),
    INTEGER_OR("type_vocab_size", type_vocabulary, 2),
    REAL_OR("hidden_dropout_prob", dropout, 0.1),
    REAL_OR("attention_probs_dropout_prob", attention_dropout, 0.1),
    REAL_OR("layer_norm_eps", norm_epsilon, 1e-12),
    REAL_OR("initializer_range", init_range, 0.02),
};

static const struct hf_number albert_numbers[] = {
    INTEGER("num_hidden_layers", layers),
    INTEGER_OR("num_hidden_groups", groups, 1),
    INTEGER_OR("inner_group_num", inner_layers, 1),
    INTEGER("hidden_size", hidden),
    INTEGER_OR("embedding_size", embedding_width, 128),
    INTEGER("num_attention_heads", heads),
    INTEGER("intermediate_size", feed_forward),
    INTEGER("vocab_size", vocabulary),
    INTEGER("max_position_embeddings", positions),
    INTEGER_OR("type_vocab_size", type_vocabulary, 2),
    REAL_OR("hidden_dropout_prob", dropout, 0),
    REAL_OR("attention_probs_dropout_prob", attention_dropout, 0),
    REAL_OR("layer_norm_eps", norm_epsilon, 1e-12),
    REAL_OR("initializer_range", init_range, 0.02),
};

static const struct hf_number gpt_numbers[] = {
    INTEGER("n_layer", layers),
    INTEGER("n_embd", hidden),
    INTEGER("n_head", heads),
    INTEGER_OR("n_inner", feed_forward, 0),
    INTEGER("vocab_size", vocabulary),
    INTEGER("n_positions", positions),
    REAL_OR("resid_pdrop", dropout, 0.1),
    REAL_OR("attn_pdrop", attention_dropout, 0.1),
    REAL_OR("layer_norm_epsilon", norm_epsilon, 1e-5),
    REAL_OR("initializer_range", init_range, 0.02),
};

/* What XLNet counts by other keys is in relative_read(). */
static const struct hf_number xlnet_numbers[] = {
    INTEGER("n_layer", layers),
    INTEGER("d_model", hidden),
    INTEGER("n_head", heads),
    INTEGER("d_inner", feed_forward),
    INTEGER("vocab_size", vocabulary),
    REAL_OR("dropout", dropout, 0.1),
    REAL_OR("layer_norm_eps", norm_epsilon, 1e-12),
    REAL_OR("initializer_range", init_range, 0.02),
};

/* SpanBERT is a BERT with these two. */
static const struct hf_number span_numbers[] = {
    INTEGER(HF_SPAN_KEY, span_positions),
    INTEGER("sbo_position_size", span_position_width),
};

static const struct hf_kind kinds[] = {
    {"roberta", MODEL_FAMILY_ROBERTA, MODEL_NORM_POST, "RobertaForMaskedLM", NULL,
     NUMBERS(bert_numbers), NO_NUMBERS, "hidden_act", "gelu", 1},
    {"roberta-prelayernorm", MODEL_FAMILY_ROBERTA, MODEL_NORM_PRE, "RobertaPreLayerNormForMaskedLM",
     NULL, NUMBERS(bert_numbers), NO_NUMBERS, "hidden_act", "gelu", 1},
    {"bert", MODEL_FAMILY_BERT, MODEL_NORM_POST, "BertForMaskedLM", "BertForPreTraining",
     NUMBERS(bert_numbers), NO_NUMBERS, "hidden_act", "gelu", 0},
    {"bert", MODEL_FAMILY_SPANBERT, MODEL_NORM_POST, "BertForMaskedLM", NULL, NUMBERS(bert_numbers),
     NUMBERS(span_numbers), "hidden_act", "gelu", 0},
    {"albert", MODEL_FAMILY_ALBERT, MODEL_NORM_POST, "AlbertForMaskedLM", "AlbertForPreTraining",
     NUMBERS(albert_numbers), NO_NUMBERS, "hidden_act", "gelu_new", 0},
    {"gpt2", MODEL_FAMILY_GPT, MODEL_NORM_PRE, "GPT2LMHeadModel", NULL, NUMBERS(gpt_numbers),
     NO_NUMBERS, "activation_function", "gelu_new", -1},
    {"xlnet", MODEL_FAMILY_XLNET, MODEL_NORM_POST, "XLNetLMHeadModel", NULL, NUMBERS(xlnet_numbers),
     NO_NUMBERS, "ff_activation", "gelu", -1},
};

const struct hf_kind *hf_kind_of(const struct model_options *options)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (kinds[i].family == options->family && kinds[i].norm == options->norm) {
            return &kinds[i];
        }
    }
    return NULL;
}

const char *hf_activation_name(enum model_activation activation)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(activations); i++) {
        if (activations[i].activation == activation) {
            return activations[i].name;
        }
    }
    return NULL;
}

bool hf_activation_find(const char *name, enum model_activation *activation)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(activations); i++) {
        if (strcmp(name, activations[i].name) == 0) {
            *activation = activations[i].activation;
            return true;
        }
    }
    return false;
}

const struct hf_kind *hf_kind_find(const char *type, bool spans)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (strcmp(type, kinds[i].type) == 0 &&
            kinds[i].family != (spans ? MODEL_FAMILY_BERT : MODEL_FAMILY_SPANBERT)) {
            return &kinds[i];
        }
    }
    return NULL;
}
