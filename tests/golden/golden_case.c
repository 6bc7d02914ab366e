/* See golden_case.h. */
#include "tests/golden/golden_case.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tests/golden/golden_xlnet.h"
#include "tests/support/suite.h"

enum { JSON_BYTES_MAX = 1 << 24, IGNORED_LABEL = -100 };

/* Classes that the model folder computes, and those that later families will. */
static const char *const built[] = {"RobertaForMaskedLM",
                                    "RobertaPreLayerNormForMaskedLM",
                                    "BertForPreTraining",
                                    "BertForMaskedLM",
                                    "BertForMaskedLM + sbo head",
                                    "AlbertForPreTraining",
                                    "GPT2LMHeadModel",
                                    "XLNetLMHeadModel"};
static const char *const planned[] = {"RobertaForSequenceClassification",
                                      "BertForSequenceClassification", "BertForQuestionAnswering",
                                      "BertForTokenClassification"};

static bool name_is_in(const char *name, const char *const *names, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool golden_class_is_built(const char *name)
{
    return name_is_in(name, built, ARRAY_LENGTH(built));
}

bool golden_class_is_planned(const char *name)
{
    return name_is_in(name, planned, ARRAY_LENGTH(planned));
}

static json_t *folder_json(const char *folder, const char *name)
{
    struct error error = {0};
    char path[PATH_BYTES];
    json_t *root = NULL;
    CHECK_OK(path_join(path, folder, name, &error), error);
    CHECK_OK(json_read_file(path, JSON_BYTES_MAX, &root, &error), error);
    return root;
}

void golden_class(const char *folder, char name[GOLDEN_CLASS_BYTES])
{
    struct error error = {0};
    json_t *const root = folder_json(folder, "case.json");
    const char *value = NULL;
    CHECK_OK(json_member_text(root, "model_class", folder, &value, &error), error);
    (void)snprintf(name, GOLDEN_CLASS_BYTES, "%s", value);
    json_decref(root);
}

bool golden_trains(const char *folder)
{
    json_t *const root = folder_json(folder, "case.json");
    const bool trains = json_object_get(root, "training") != NULL;
    json_decref(root);
    return trains;
}

static int64_t config_integer(const json_t *config, const char *key)
{
    struct error error = {0};
    int64_t value = 0;
    CHECK_OK(json_member_integer(config, key, "config.json", &value, &error), error);
    return value;
}

static double config_real(const json_t *config, const char *key)
{
    struct error error = {0};
    double value = 0;
    CHECK_OK(json_member_real(config, key, "config.json", &value, &error), error);
    return value;
}

/* What Hugging Face calls things in the config.json of a type of model; NULL: it has no such thing. */
struct config_words {
    const char *model_type;
    enum model_family family;
    enum model_norm norm;
    const char *layers;
    const char *hidden;
    const char *heads;
    const char *feed_forward;
    const char *positions;
    const char *activation;
    const char *dropout;
    const char *attention_dropout;
    const char *epsilon;
};

static const struct config_words words[] = {
    {"roberta", MODEL_FAMILY_ROBERTA, MODEL_NORM_POST, "num_hidden_layers", "hidden_size",
     "num_attention_heads", "intermediate_size", "max_position_embeddings", "hidden_act",
     "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps"},
    {"roberta-prelayernorm", MODEL_FAMILY_ROBERTA, MODEL_NORM_PRE, "num_hidden_layers",
     "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings",
     "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps"},
    {"bert", MODEL_FAMILY_BERT, MODEL_NORM_POST, "num_hidden_layers", "hidden_size",
     "num_attention_heads", "intermediate_size", "max_position_embeddings", "hidden_act",
     "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps"},
    {"albert", MODEL_FAMILY_ALBERT, MODEL_NORM_POST, "num_hidden_layers", "hidden_size",
     "num_attention_heads", "intermediate_size", "max_position_embeddings", "hidden_act",
     "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps"},
    {"gpt2", MODEL_FAMILY_GPT, MODEL_NORM_PRE, "n_layer", "n_embd", "n_head", "n_inner",
     "n_positions", "activation_function", "resid_pdrop", "attn_pdrop", "layer_norm_epsilon"},
    {"xlnet", MODEL_FAMILY_XLNET, MODEL_NORM_POST, "n_layer", "d_model", "n_head", "d_inner", NULL,
     "ff_activation", "dropout", "dropout", "layer_norm_eps"},
};

static const struct config_words *config_words_of(const json_t *config, const char *folder)
{
    struct error error = {0};
    const char *type = NULL;
    CHECK_OK(json_member_text(config, "model_type", "config.json", &type, &error), error);
    int64_t i = 0;
    while (i < ARRAY_LENGTH(words) && strcmp(type, words[i].model_type) != 0) {
        i++;
    }
    ck_assert_msg(i < ARRAY_LENGTH(words), "%s: model_type \"%s\"", folder, type);
    return &words[i];
}

static enum model_activation config_activation(const json_t *config, const char *key)
{
    struct error error = {0};
    const char *name = NULL;
    CHECK_OK(json_member_text(config, key, "config.json", &name, &error), error);
    if (strcmp(name, "gelu_new") == 0) {
        return MODEL_ACTIVATION_GELU_TANH;
    }
    if (strcmp(name, "relu") == 0) {
        return MODEL_ACTIVATION_RELU;
    }
    ck_assert_str_eq(name, "gelu");
    return MODEL_ACTIVATION_GELU;
}

/* What only one family has. */
static void config_read_family(const json_t *config, const char *name,
                               struct model_options *options)
{
    const bool gpt = options->family == MODEL_FAMILY_GPT;
    options->type_vocabulary = gpt ? 1 : config_integer(config, "type_vocab_size");
    options->pad_id = gpt ? -1 : config_integer(config, "pad_token_id");
    if (options->family == MODEL_FAMILY_ROBERTA) {
        options->position_offset = options->pad_id + 1;
        options->positions -= options->position_offset;
    }
    if (options->family == MODEL_FAMILY_ALBERT) {
        options->share = MODEL_SHARE_ALL;
        options->embedding_width = config_integer(config, "embedding_size");
        options->groups = config_integer(config, "num_hidden_groups");
        options->inner_layers = config_integer(config, "inner_group_num");
        options->layers *= options->inner_layers;
    }
    options->without_pairs = strcmp(name, "BertForMaskedLM") == 0;
    if (json_object_get(config, "sbo_position_size") != NULL) {
        options->family = MODEL_FAMILY_SPANBERT;
        options->span_positions = config_integer(config, "sbo_max_span");
        options->span_position_width = config_integer(config, "sbo_position_size");
    }
}

static void case_read_options(struct golden_case *golden)
{
    struct error error = {0};
    json_t *const config = folder_json(golden->folder, "config.json");
    const struct config_words *const word = config_words_of(config, golden->folder);
    golden->options = (struct model_options){
        .family = word->family,
        .activation = config_activation(config, word->activation),
        .norm = word->norm,
        .layers = config_integer(config, word->layers),
        .hidden = config_integer(config, word->hidden),
        .heads = config_integer(config, word->heads),
        .feed_forward = config_integer(config, word->feed_forward),
        .positions = word->positions == NULL ? 0 : config_integer(config, word->positions),
        .vocabulary = config_integer(config, "vocab_size"),
        .dropout = config_real(config, word->dropout),
        .attention_dropout = config_real(config, word->attention_dropout),
        .norm_epsilon = config_real(config, word->epsilon),
        .init_range = config_real(config, "initializer_range"),
    };
    char name[GOLDEN_CLASS_BYTES];
    golden_class(golden->folder, name);
    if (golden->options.family == MODEL_FAMILY_XLNET) {
        golden_xlnet_options(&golden->options, config);
    } else {
        config_read_family(config, name, &golden->options);
    }
    json_decref(config);
    CHECK_OK(parameter_table_init(&golden->table, &golden->options, &error), error);
}

void golden_case_file(const struct golden_case *golden, const char *name, struct golden_file *file)
{
    struct error error = {0};
    char path[PATH_BYTES];
    CHECK_OK(path_join(path, golden->folder, name, &error), error);
    golden_file_open_path(file, path);
}

static void tensor_is_known(void *context, const char *name, const struct golden_tensor *tensor)
{
    const struct golden_case *const golden = context;
    const struct parameter *const row = parameter_find(&golden->table, name);
    ck_assert_msg(row != NULL, "%s/model.safetensors: tensor \"%s\" is not in the parameter table",
                  golden->folder, name);
    bool same = tensor->axis_count == row->axis_count;
    for (int axis = 0; axis < tensor->axis_count && same; axis++) {
        same = tensor->shape[axis] == row->shape[axis];
    }
    ck_assert_msg(same, "%s/model.safetensors: shape of \"%s\"", golden->folder, name);
}

static void case_read_weights(struct golden_case *golden)
{
    struct golden_file file;
    golden_case_file(golden, "model.safetensors", &file);
    golden_file_each(&file, tensor_is_known, golden);
    golden->weights =
        memory_take((size_t)golden->table.element_count, sizeof *golden->weights, "weights");
    for (int64_t i = 0; i < golden->table.row_count; i++) {
        const struct parameter *const row = &golden->table.rows[i];
        const struct golden_tensor tensor = golden_file_find(&file, row->name);
        for (int64_t j = 0; j < row->count; j++) {
            golden->weights[row->offset + j] = (float)golden_value(&tensor, j);
        }
    }
    golden_file_close(&file);
}

/* Columns of one row of the reference's batch. */
struct case_row {
    int64_t source_row;
    int64_t t;
    int64_t id;
    int64_t segment;
    int64_t label;
};

static void batch_add_row(struct batch *batch, const struct case_row *row, int64_t label)
{
    const int64_t n = batch->token_count++;
    batch->ids[n] = (int32_t)row->id;
    batch->positions[n] = (int32_t)row->t;
    batch->segments[n] = (int32_t)row->segment;
    if (label != IGNORED_LABEL) {
        batch->target_rows[batch->target_count] = (int32_t)n;
        batch->target_ids[batch->target_count++] = (int32_t)label;
    }
}

/* Sequence `b`, cut to its real length, appended to both batches. */
static void case_add_sequence(struct golden_case *golden, const struct golden_file *file, int64_t b)
{
    const struct golden_tensor ids = golden_file_find(file, "inputs.input_ids");
    const struct golden_tensor mask = golden_file_find(file, "inputs.attention_mask");
    const struct golden_tensor labels = golden_file_find(file, "labels.labels");
    const bool has_types = golden_file_has(file, "inputs.token_type_ids");
    const struct golden_tensor types =
        golden_file_find(file, has_types ? "inputs.token_type_ids" : "inputs.input_ids");
    const bool has_positions = golden_file_has(file, "inputs.position_ids");
    const struct golden_tensor positions =
        golden_file_find(file, has_positions ? "inputs.position_ids" : "inputs.input_ids");
    const int64_t length = ids.shape[1];
    const int64_t shift = golden->options.family == MODEL_FAMILY_GPT ? 1 : 0;
    bool ended = false;
    for (int64_t t = 0; t < length; t++) {
        const int64_t at = b * length + t;
        const bool real = golden_integer(&mask, at) != 0;
        ck_assert_msg(!(ended && real), "%s: row %lld is padded inside", golden->folder,
                      (long long)b);
        ended = !real;
        if (real) {
            const struct case_row row = {
                .source_row = at,
                .t = has_positions ? golden_integer(&positions, at) : t,
                .id = golden_integer(&ids, at),
                .segment = has_types ? golden_integer(&types, at) : 0,
                .label = t + shift < length ? golden_integer(&labels, at + shift) : IGNORED_LABEL};
            golden->source_rows[golden->masked.token_count] = at;
            batch_add_row(&golden->masked, &row, row.label);
            batch_add_row(&golden->every, &row, row.id);
        }
    }
    golden->masked.starts[b + 1] = golden->every.starts[b + 1] =
        (int32_t)golden->masked.token_count;
}

static void case_read_sequence_labels(struct golden_case *golden, const struct golden_file *file)
{
    static const char *const names[] = {"labels.next_sentence_label",
                                        "labels.sentence_order_label"};
    struct batch *const batch = &golden->masked;
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (golden_file_has(file, names[i])) {
            const struct golden_tensor labels = golden_file_find(file, names[i]);
            ck_assert_int_eq(labels.count, batch->sequence_count);
            for (int64_t b = 0; b < labels.count; b++) {
                batch->sequence_labels[b] = (int32_t)golden_integer(&labels, b);
            }
            batch->sequence_weight = (float)batch->target_count / (float)labels.count;
        }
    }
}

static void case_read_spans(struct golden_case *golden, const struct golden_file *file)
{
    struct batch *const batch = &golden->masked;
    if (!golden_file_has(file, "inputs.sbo_left")) {
        return;
    }
    const struct golden_tensor sequences = golden_file_find(file, "inputs.sbo_batch_index");
    const struct golden_tensor lefts = golden_file_find(file, "inputs.sbo_left");
    const struct golden_tensor rights = golden_file_find(file, "inputs.sbo_right");
    const struct golden_tensor places = golden_file_find(file, "inputs.sbo_offset");
    const struct golden_tensor targets = golden_file_find(file, "labels.sbo_target");
    ck_assert_int_eq(targets.count, batch->target_count);
    for (int64_t i = 0; i < targets.count; i++) {
        const int32_t start = batch->starts[golden_integer(&sequences, i)];
        const int64_t row = start + golden_integer(&lefts, i) + 1 + golden_integer(&places, i);
        int64_t k = 0;
        while (k < batch->target_count && batch->target_rows[k] != row) {
            k++;
        }
        ck_assert_int_lt(k, batch->target_count);
        ck_assert_int_eq(batch->target_ids[k], golden_integer(&targets, i));
        batch->left_rows[k] = start + (int32_t)golden_integer(&lefts, i);
        batch->right_rows[k] = start + (int32_t)golden_integer(&rights, i);
        batch->span_places[k] = (int32_t)golden_integer(&places, i);
    }
}

/* The matrix (B, T, T) as intervals of keys, for both batches. */
static void case_read_visible(struct golden_case *golden, const struct golden_file *file)
{
    struct batch *const batch = &golden->masked;
    if (!golden_file_has(file, "inputs.visible_matrix")) {
        return;
    }
    const struct golden_tensor matrix = golden_file_find(file, "inputs.visible_matrix");
    ck_assert_int_eq(matrix.axis_count, 3);
    const int64_t length = matrix.shape[2];
    const int64_t intervals_most = batch->token_count * (length / 2 + 1);
    golden->visible = memory_take((size_t)(2 * batch->token_count + 2 * intervals_most),
                                  sizeof *golden->visible, "visible");
    int32_t *const lists = golden->visible;
    int32_t *const intervals = lists + 2 * batch->token_count;
    int32_t count = 0;
    for (int64_t b = 0; b < batch->sequence_count; b++) {
        const int32_t keys = batch->starts[b + 1] - batch->starts[b];
        for (int64_t row = batch->starts[b]; row < batch->starts[b + 1]; row++) {
            const int64_t at = (golden->source_rows[row]) * length;
            lists[2 * row] = count;
            for (int32_t key = 0; key < keys; key++) {
                const bool before = key > 0 && golden_integer(&matrix, at + key - 1) != 0;
                if (golden_integer(&matrix, at + key) != 0) {
                    count += before ? 0 : 1;
                    intervals[2 * count - 2] = before ? intervals[2 * count - 2] : key;
                    intervals[2 * count - 1] = key + 1;
                }
            }
            lists[2 * row + 1] = count;
        }
    }
    golden->masked.visible_lists = golden->every.visible_lists = lists;
    golden->masked.visible_intervals = golden->every.visible_intervals = intervals;
}

/* Rows cut to their real length and packed one after another. */
static void case_read_batch(struct golden_case *golden)
{
    struct golden_file file;
    golden_case_file(golden, "case.safetensors", &file);
    const struct golden_tensor ids = golden_file_find(&file, "inputs.input_ids");
    const struct golden_tensor mask = golden_file_find(&file, "inputs.attention_mask");
    const struct golden_tensor labels = golden_file_find(&file, "labels.labels");
    ck_assert_msg(ids.axis_count == 2 && ids.count >= 1 && mask.count == ids.count &&
                      labels.count == ids.count,
                  "%s/case.safetensors: shapes of the inputs", golden->folder);
    const int64_t rows = ids.shape[0];
    const struct batch_limits limits = {rows, ids.count, ids.count};
    batch_init(&golden->masked, &limits);
    batch_init(&golden->every, &limits);
    golden->source_rows = memory_take((size_t)ids.count, sizeof *golden->source_rows, "rows");
    golden->padded_row_count = ids.count;
    golden->masked.sequence_count = golden->every.sequence_count = rows;
    golden->masked.starts[0] = golden->every.starts[0] = 0;
    for (int64_t b = 0; b < rows; b++) {
        case_add_sequence(golden, &file, b);
    }
    case_read_sequence_labels(golden, &file);
    case_read_spans(golden, &file);
    case_read_visible(golden, &file);
    golden_file_close(&file);
}

void golden_case_open(struct golden_case *golden, const char *folder)
{
    *golden = (struct golden_case){0};
    (void)snprintf(golden->folder, sizeof golden->folder, "%s", folder);
    golden->description = folder_json(folder, "case.json");
    case_read_options(golden);
    case_read_weights(golden);
    if (golden->options.family == MODEL_FAMILY_XLNET) {
        golden_xlnet_read(golden);
    } else {
        case_read_batch(golden);
    }
}

void golden_case_close(struct golden_case *golden)
{
    batch_deinit(&golden->every);
    batch_deinit(&golden->masked);
    memory_release(golden->recalled);
    memory_release(golden->recalled_states);
    memory_release(golden->visible);
    memory_release(golden->source_rows);
    memory_release(golden->weights);
    parameter_table_deinit(&golden->table);
    json_decref(golden->description);
    *golden = (struct golden_case){0};
}
