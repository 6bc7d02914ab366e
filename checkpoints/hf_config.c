/* See hf_config.h. */
#include "checkpoints/hf_config.h"

#include <string.h>

#include "base/json.h"

enum { CONFIG_BYTES_MAX = 16 << 20 };

static const int64_t size_max = INT32_MAX;

static const struct {
    const char *name;
    enum model_activation activation;
} activations[] = {
    {"gelu", MODEL_ACTIVATION_GELU},
    {"gelu_new", MODEL_ACTIVATION_GELU_TANH}, /* the first of several names is the one written */
    {"gelu_pytorch_tanh", MODEL_ACTIVATION_GELU_TANH},
    {"relu", MODEL_ACTIVATION_RELU},
};

static const struct {
    const char *type;
    const char *architecture;
    enum model_norm norm;
} kinds[] = {
    {"roberta", "RobertaForMaskedLM", MODEL_NORM_POST},
    {"roberta-prelayernorm", "RobertaPreLayerNormForMaskedLM", MODEL_NORM_PRE},
};

static json_t *id_pack(int64_t id)
{
    return id < 0 ? json_null() : json_integer((json_int_t)id);
}

static const char *activation_name(enum model_activation activation)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(activations); i++) {
        if (activations[i].activation == activation) {
            return activations[i].name;
        }
    }
    return NULL;
}

/* "torch_dtype" is what transformers 4 reads, "dtype" what 5 does. */
static json_t *config_pack(const struct model_options *options, const struct hf_token_ids *ids,
                           int64_t kind)
{
    return json_pack(
        "{s[s] sf so ss so ss sf sI sf sI sf sI ss sI sI so sb ss sI sI}", "architectures",
        kinds[kind].architecture, "attention_probs_dropout_prob", options->attention_dropout,
        "bos_token_id", id_pack(ids->bos), "dtype", "float32", "eos_token_id", id_pack(ids->eos),
        "hidden_act", activation_name(options->activation), "hidden_dropout_prob", options->dropout,
        "hidden_size", (json_int_t)options->hidden, "initializer_range", options->init_range,
        "intermediate_size", (json_int_t)options->feed_forward, "layer_norm_eps",
        options->norm_epsilon, "max_position_embeddings",
        (json_int_t)(options->positions + options->position_offset), "model_type", kinds[kind].type,
        "num_attention_heads", (json_int_t)options->heads, "num_hidden_layers",
        (json_int_t)options->layers, "pad_token_id", id_pack(options->pad_id),
        "tie_word_embeddings", 1, "torch_dtype", "float32", "type_vocab_size",
        (json_int_t)options->type_vocabulary, "vocab_size", (json_int_t)options->vocabulary);
}

enum status hf_config_write(const char *path, const struct model_options *options,
                            const struct hf_token_ids *ids, struct error *error)
{
    if (options->position_offset != options->pad_id + 1) {
        FAIL(error, STATUS_INPUT,
             "could not write \"%s\": Hugging Face counts positions from pad id + 1 = %lld, the "
             "model from %lld",
             path, (long long)options->pad_id + 1, (long long)options->position_offset);
    }
    json_t *root = NULL;
    for (int64_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (options->family == MODEL_FAMILY_ROBERTA && kinds[i].norm == options->norm) {
            root = config_pack(options, ids, i);
        }
    }
    INVARIANT(root != NULL);
    const enum status status = json_write_file(path, root, error);
    json_decref(root);
    return status;
}

/* A member that may be missing or null. */
static const json_t *member(const json_t *root, const char *key)
{
    const json_t *const value = json_object_get(root, key);
    return json_is_null(value) ? NULL : value;
}

static enum status integer_read(const json_t *root, const char *key, const char *path,
                                int64_t least, int64_t otherwise, int64_t *value,
                                struct error *error)
{
    *value = otherwise;
    if (otherwise < 0 || member(root, key) != NULL) {
        TRY(json_member_integer(root, key, path, value, error));
    }
    if (*value < least || *value > size_max) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is %lld, expected %lld to %lld", path, key,
             (long long)*value, (long long)least, (long long)size_max);
    }
    return STATUS_OK;
}

static enum status real_read(const json_t *root, const char *key, const char *path,
                             double otherwise, double *value, struct error *error)
{
    *value = otherwise;
    if (member(root, key) != NULL) {
        TRY(json_member_real(root, key, path, value, error));
    }
    if (!(*value >= 0.0 && *value <= 1.0)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is %g, expected 0 to 1", path, key, *value);
    }
    return STATUS_OK;
}

static enum status norm_read(const json_t *root, const char *path, enum model_norm *norm,
                             struct error *error)
{
    const char *type;
    TRY(json_member_text(root, "model_type", path, &type, error));
    for (int64_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (strcmp(type, kinds[i].type) == 0) {
            *norm = kinds[i].norm;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": model_type \"%.64s\", expected roberta or roberta-prelayernorm", path, type);
}

static enum status activation_read(const json_t *root, const char *path,
                                   enum model_activation *activation, struct error *error)
{
    const char *name = "gelu";
    if (member(root, "hidden_act") != NULL) {
        TRY(json_member_text(root, "hidden_act", path, &name, error));
    }
    for (int64_t i = 0; i < ARRAY_LENGTH(activations); i++) {
        if (strcmp(name, activations[i].name) == 0) {
            *activation = activations[i].activation;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_FORMAT, "\"%s\": hidden_act \"%.64s\", expected gelu, gelu_new or relu",
         path, name);
}

/* Switches of transformers that would make another network. */
static enum status switches_check(const json_t *root, const char *path, struct error *error)
{
    static const struct {
        const char *key;
        bool expected;
    } switches[] = {
        {"is_decoder", false}, {"add_cross_attention", false}, {"tie_word_embeddings", true}};
    for (int64_t i = 0; i < ARRAY_LENGTH(switches); i++) {
        const json_t *const value = member(root, switches[i].key);
        if (value != NULL &&
            (!json_is_boolean(value) || json_is_true(value) != switches[i].expected)) {
            FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is not %s, which is not supported", path,
                 switches[i].key, switches[i].expected ? "true" : "false");
        }
    }
    if (member(root, "position_embedding_type") != NULL) {
        const char *type;
        TRY(json_member_text(root, "position_embedding_type", path, &type, error));
        if (strcmp(type, "absolute") != 0) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": position_embedding_type \"%.64s\", expected absolute", path, type);
        }
    }
    return STATUS_OK;
}

static enum status options_read(const json_t *root, const char *path, struct model_options *options,
                                struct error *error)
{
    options->family = MODEL_FAMILY_ROBERTA;
    TRY(norm_read(root, path, &options->norm, error));
    TRY(switches_check(root, path, error));
    TRY(activation_read(root, path, &options->activation, error));
    TRY(integer_read(root, "num_hidden_layers", path, 1, -1, &options->layers, error));
    TRY(integer_read(root, "hidden_size", path, 1, -1, &options->hidden, error));
    TRY(integer_read(root, "num_attention_heads", path, 1, -1, &options->heads, error));
    TRY(integer_read(root, "intermediate_size", path, 1, -1, &options->feed_forward, error));
    TRY(integer_read(root, "vocab_size", path, 1, -1, &options->vocabulary, error));
    TRY(integer_read(root, "type_vocab_size", path, 1, 2, &options->type_vocabulary, error));
    TRY(integer_read(root, "pad_token_id", path, 0, 1, &options->pad_id, error));
    options->position_offset = options->pad_id + 1;
    int64_t rows;
    TRY(integer_read(root, "max_position_embeddings", path, options->position_offset + 1, -1, &rows,
                     error));
    options->positions = rows - options->position_offset;
    TRY(real_read(root, "hidden_dropout_prob", path, 0.1, &options->dropout, error));
    TRY(real_read(root, "attention_probs_dropout_prob", path, 0.1, &options->attention_dropout,
                  error));
    TRY(real_read(root, "layer_norm_eps", path, 1e-12, &options->norm_epsilon, error));
    return real_read(root, "initializer_range", path, 0.02, &options->init_range, error);
}

enum status hf_config_read(const char *path, struct model_options *options, struct error *error)
{
    json_t *root;
    TRY(json_read_file(path, CONFIG_BYTES_MAX, &root, error));
    struct model_options read = {0};
    const enum status status = options_read(root, path, &read, error);
    json_decref(root);
    TRY(status);
    *options = read;
    return STATUS_OK;
}
