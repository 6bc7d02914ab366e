/* See hf_config.h. */
#include "checkpoints/hf_config.h"

#include <string.h>

#include "base/json.h"
#include "checkpoints/hf_kind.h"

enum { CONFIG_BYTES_MAX = 16 << 20 };

static const int64_t size_max = INT32_MAX;

/* Options as config.json counts them, and back. ALBERT's num_hidden_layers are blocks applied, and
 * layers that share nothing are blocks of groups of their own. */
static void options_to_file(struct model_options *options)
{
    options->positions += options->position_offset;
    if (options->family == MODEL_FAMILY_ALBERT) {
        options->embedding_width = model_embedding_width(options);
        options->inner_layers = model_inner_layers(options);
        options->layers /= options->inner_layers;
        options->groups =
            options->share == MODEL_SHARE_NONE ? options->layers : model_layer_groups(options);
    }
}

static void options_from_file(struct model_options *options)
{
    options->positions -= options->position_offset;
    if (options->family == MODEL_FAMILY_ALBERT) {
        options->layers *= options->inner_layers;
        options->share = MODEL_SHARE_ALL;
    } else if (options->family == MODEL_FAMILY_GPT) {
        options->feed_forward =
            options->feed_forward == 0 ? 4 * options->hidden : options->feed_forward;
    }
}

enum status hf_config_check(const struct model_options *options, struct error *error)
{
    const bool roberta = options->family == MODEL_FAMILY_ROBERTA;
    if (hf_kind_of(options) == NULL) {
        FAIL(error, STATUS_INPUT,
             "Hugging Face has no network like this model family with this "
             "place of the LayerNorm");
    }
    if (options->position_offset != (roberta ? options->pad_id + 1 : 0) ||
        (roberta && options->pad_id < 0)) {
        FAIL(error, STATUS_INPUT,
             "Hugging Face counts the positions of this family from %s, the model from %lld "
             "(model.position_offset), and its pad id is %lld",
             roberta ? "pad id + 1" : "0", (long long)options->position_offset,
             (long long)options->pad_id);
    }
    return STATUS_OK;
}

static json_t *id_pack(int64_t id)
{
    return id < 0 ? json_null() : json_integer((json_int_t)id);
}

static void numbers_pack(json_t *root, const struct hf_number *numbers, int64_t count,
                         const struct model_options *options)
{
    for (int64_t i = 0; i < count; i++) {
        const char *const field = (const char *)options + numbers[i].offset;
        double real;
        int64_t integer;
        memcpy(&real, field, sizeof real);
        memcpy(&integer, field, sizeof integer);
        (void)json_object_set_new(root, numbers[i].name,
                                  numbers[i].real ? json_real(real)
                                                  : json_integer((json_int_t)integer));
    }
}

/* Limits that Hugging Face writes as null or -1 where there are none. The direction of reading is
 * no part of a model: bi_data only shapes batches of pretraining. */
static void relative_pack(json_t *root, const struct model_options *options)
{
    const int64_t memory = options->memory_tokens;
    const int64_t reuse = options->memory_reuse;
    (void)json_object_set_new(root, "attn_type", json_string(options->one_way ? "uni" : "bi"));
    (void)json_object_set_new(root, "bi_data", json_false());
    (void)json_object_set_new(root, "same_length", json_false());
    (void)json_object_set_new(
        root, "clamp_len",
        json_integer(options->distance_max == 0 ? -1 : (json_int_t)options->distance_max));
    (void)json_object_set_new(root, "mem_len",
                              memory == 0 ? json_null() : json_integer((json_int_t)memory));
    (void)json_object_set_new(root, "reuse_len",
                              reuse == 0 ? json_null() : json_integer((json_int_t)reuse));
    (void)json_object_set_new(root, "d_head",
                              json_integer((json_int_t)(options->hidden / options->heads)));
}

/* "torch_dtype" is what transformers 4 reads, "dtype" what 5 does. */
static json_t *config_pack(const struct model_options *options, const struct hf_token_ids *ids)
{
    const struct hf_kind *const kind = hf_kind_of(options);
    INVARIANT(kind != NULL);
    const bool pairs = kind->architecture_with_pairs != NULL && !options->without_pairs;
    json_t *const root = json_pack(
        "{s[s] ss ss sb ss ss so so so}", "architectures",
        pairs ? kind->architecture_with_pairs : kind->architecture, "model_type", kind->type,
        kind->activation_key, hf_activation_name(options->activation), "tie_word_embeddings", 1,
        "dtype", "float32", "torch_dtype", "float32", "bos_token_id", id_pack(ids->bos),
        "eos_token_id", id_pack(ids->eos), "pad_token_id", id_pack(options->pad_id));
    struct model_options stored = *options;
    options_to_file(&stored);
    numbers_pack(root, kind->numbers, kind->number_count, &stored);
    numbers_pack(root, kind->own_numbers, kind->own_count, &stored);
    if (options->family == MODEL_FAMILY_GPT) {
        (void)json_object_set_new(root, "embd_pdrop", json_real(options->dropout));
    } else if (options->family == MODEL_FAMILY_XLNET) {
        relative_pack(root, options);
    }
    return root;
}

enum status hf_config_write(const char *path, const struct model_options *options,
                            const struct hf_token_ids *ids, struct error *error)
{
    json_t *const root = config_pack(options, ids);
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

static enum status number_read(const json_t *root, const struct hf_number *number, const char *path,
                               struct model_options *options, struct error *error)
{
    char *const field = (char *)options + number->offset;
    const bool given = !number->optional || member(root, number->name) != NULL;
    if (number->real) {
        double value = number->standard;
        if (given) {
            TRY(json_member_real(root, number->name, path, &value, error));
        }
        if (!(value >= 0.0 && value <= 1.0)) {
            FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is %g, expected 0 to 1", path,
                 number->name, value);
        }
        memcpy(field, &value, sizeof value);
        return STATUS_OK;
    }
    int64_t value = (int64_t)number->standard;
    if (given) {
        TRY(json_member_integer(root, number->name, path, &value, error));
        if (value < 1 || value > size_max) {
            FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is %lld, expected 1 to %lld", path,
                 number->name, (long long)value, (long long)size_max);
        }
    }
    memcpy(field, &value, sizeof value);
    return STATUS_OK;
}

static enum status numbers_read(const json_t *root, const struct hf_number *numbers, int64_t count,
                                const char *path, struct model_options *options,
                                struct error *error)
{
    for (int64_t i = 0; i < count; i++) {
        TRY(number_read(root, &numbers[i], path, options, error));
    }
    return STATUS_OK;
}

static enum status activation_read(const json_t *root, const struct hf_kind *kind, const char *path,
                                   enum model_activation *activation, struct error *error)
{
    const char *name = kind->activation;
    if (member(root, kind->activation_key) != NULL) {
        TRY(json_member_text(root, kind->activation_key, path, &name, error));
    }
    if (hf_activation_find(name, activation)) {
        return STATUS_OK;
    }
    FAIL(error, STATUS_FORMAT, "\"%s\": %s \"%.64s\", expected gelu, gelu_new or relu", path,
         kind->activation_key, name);
}

/* Switches of transformers that would make another network. */
static enum status switches_check(const json_t *root, const char *path, struct error *error)
{
    static const struct {
        const char *key;
        bool expected;
    } switches[] = {
        {"is_decoder", false},
        {"add_cross_attention", false},
        {"tie_word_embeddings", true},
        {"scale_attn_weights", true},
        {"scale_attn_by_inverse_layer_idx", false},
        {"reorder_and_upcast_attn", false},
    };
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

/* The padding token, and with it where RoBERTa's positions begin. GPT-2 treats it as any other. */
static enum status pad_read(const json_t *root, const struct hf_kind *kind, const char *path,
                            struct model_options *options, struct error *error)
{
    const bool roberta = options->family == MODEL_FAMILY_ROBERTA;
    const json_t *const value = json_object_get(root, "pad_token_id");
    options->pad_id = kind->pad_id;
    if (value != NULL && kind->pad_id >= 0) {
        options->pad_id = -1;
        if (!json_is_null(value) || roberta) {
            TRY(json_member_integer(root, "pad_token_id", path, &options->pad_id, error));
        }
        if (options->pad_id < (json_is_null(value) ? -1 : 0) ||
            options->pad_id >= options->vocabulary) {
            FAIL(error, STATUS_FORMAT, "\"%s\": key \"pad_token_id\" is %lld, expected 0 to %lld",
                 path, (long long)options->pad_id, (long long)options->vocabulary - 1);
        }
    }
    options->position_offset = roberta ? options->pad_id + 1 : 0;
    if (options->positions <= options->position_offset) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": key \"max_position_embeddings\" is %lld, expected more than %lld", path,
             (long long)options->positions, (long long)options->position_offset);
    }
    return STATUS_OK;
}

/* A limit: null, missing and what is not above 0 mean none. */
static enum status limit_read(const json_t *root, const char *key, const char *path, int64_t *limit,
                              struct error *error)
{
    int64_t value = 0;
    if (member(root, key) != NULL) {
        TRY(json_member_integer(root, key, path, &value, error));
    }
    if (value > size_max) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is %lld, expected at most %lld", path, key,
             (long long)value, (long long)size_max);
    }
    *limit = value > 0 ? value : 0;
    return STATUS_OK;
}

/* XLNet's positions are distances, of which there is no table; longer sequences than these are a
 * matter of model.positions. Every segment id is possible, as only their being equal counts. */
static enum status relative_read(const json_t *root, const char *path,
                                 struct model_options *options, struct error *error)
{
    enum { POSITIONS = 512, SEGMENTS = 5 };
    const char *kind = "bi";
    if (member(root, "attn_type") != NULL) {
        TRY(json_member_text(root, "attn_type", path, &kind, error));
    }
    if ((strcmp(kind, "bi") != 0 && strcmp(kind, "uni") != 0) ||
        json_is_true(json_object_get(root, "same_length")) ||
        json_is_true(json_object_get(root, "bi_data"))) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": attn_type \"%.64s\", expected bi or uni, without same_length and bi_data",
             path, kind);
    }
    options->one_way = strcmp(kind, "uni") == 0;
    options->attention_dropout = options->dropout;
    options->positions = POSITIONS;
    options->type_vocabulary = SEGMENTS;
    TRY(limit_read(root, "mem_len", path, &options->memory_tokens, error));
    TRY(limit_read(root, "reuse_len", path, &options->memory_reuse, error));
    return limit_read(root, "clamp_len", path, &options->distance_max, error);
}

/* GPT-2 has a rate for its embeddings, the model has one for them and the sublayers. */
static enum status embedding_dropout_check(const json_t *root, const char *path,
                                           const struct model_options *options, struct error *error)
{
    double rate = 0.1;
    if (member(root, "embd_pdrop") != NULL) {
        TRY(json_member_real(root, "embd_pdrop", path, &rate, error));
    }
    if (rate != options->dropout) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": embd_pdrop %g and resid_pdrop %g differ, which is not "
             "supported",
             path, rate, options->dropout);
    }
    return STATUS_OK;
}

static enum status options_read(const json_t *root, const char *path, struct model_options *options,
                                struct error *error)
{
    const char *type;
    TRY(json_member_text(root, "model_type", path, &type, error));
    const struct hf_kind *const kind = hf_kind_find(type, member(root, HF_SPAN_KEY) != NULL);
    if (kind == NULL) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": model_type \"%.64s\", expected roberta, roberta-prelayernorm, bert, albert, "
             "gpt2 or xlnet",
             path, type);
    }
    options->family = kind->family;
    options->norm = kind->norm;
    options->without_pairs = true;
    TRY(switches_check(root, path, error));
    TRY(activation_read(root, kind, path, &options->activation, error));
    TRY(numbers_read(root, kind->numbers, kind->number_count, path, options, error));
    TRY(numbers_read(root, kind->own_numbers, kind->own_count, path, options, error));
    if (options->family == MODEL_FAMILY_GPT) {
        TRY(embedding_dropout_check(root, path, options, error));
    } else if (options->family == MODEL_FAMILY_XLNET) {
        TRY(relative_read(root, path, options, error));
    }
    TRY(pad_read(root, kind, path, options, error));
    options_from_file(options);
    return STATUS_OK;
}

enum status hf_config_read(const char *path, struct model_options *options, struct error *error)
{
    json_t *root;
    TRY(json_read_file(path, CONFIG_BYTES_MAX, &root, error));
    /* What a family has not, as a configuration has it. */
    struct model_options read = {
        .type_vocabulary = 1,
        .groups = 1,
        .inner_layers = 1,
        .span_positions = 20,
        .span_position_width = 200,
    };
    const enum status status = options_read(root, path, &read, error);
    json_decref(root);
    TRY(status);
    *options = read;
    return STATUS_OK;
}
