/* See golden_case.h. */
#include "tests/golden/golden_case.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tests/support/suite.h"

enum { JSON_BYTES_MAX = 1 << 24, IGNORED_LABEL = -100 };

/* Classes that the model folder computes, and those that later families will. */
static const char *const built[] = {"RobertaForMaskedLM", "RobertaPreLayerNormForMaskedLM"};
static const char *const planned[] = {"RobertaForSequenceClassification",
                                      "BertForPreTraining",
                                      "BertForMaskedLM",
                                      "BertForMaskedLM + sbo head",
                                      "BertForSequenceClassification",
                                      "BertForQuestionAnswering",
                                      "BertForTokenClassification",
                                      "AlbertForPreTraining",
                                      "GPT2LMHeadModel",
                                      "XLNetLMHeadModel"};

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

static enum model_activation config_activation(const json_t *config)
{
    struct error error = {0};
    const char *name = NULL;
    CHECK_OK(json_member_text(config, "hidden_act", "config.json", &name, &error), error);
    if (strcmp(name, "gelu_new") == 0) {
        return MODEL_ACTIVATION_GELU_TANH;
    }
    if (strcmp(name, "relu") == 0) {
        return MODEL_ACTIVATION_RELU;
    }
    ck_assert_str_eq(name, "gelu");
    return MODEL_ACTIVATION_GELU;
}

static void case_read_options(struct golden_case *golden)
{
    struct error error = {0};
    json_t *const config = folder_json(golden->folder, "config.json");
    const char *type = NULL;
    CHECK_OK(json_member_text(config, "model_type", "config.json", &type, &error), error);
    const bool pre = strcmp(type, "roberta-prelayernorm") == 0;
    ck_assert_msg(pre || strcmp(type, "roberta") == 0, "%s: model_type \"%s\"", golden->folder,
                  type);
    const int64_t pad = config_integer(config, "pad_token_id");
    golden->options = (struct model_options){
        .family = MODEL_FAMILY_ROBERTA,
        .activation = config_activation(config),
        .norm = pre ? MODEL_NORM_PRE : MODEL_NORM_POST,
        .layers = config_integer(config, "num_hidden_layers"),
        .hidden = config_integer(config, "hidden_size"),
        .heads = config_integer(config, "num_attention_heads"),
        .feed_forward = config_integer(config, "intermediate_size"),
        .positions = config_integer(config, "max_position_embeddings") - (pad + 1),
        .position_offset = pad + 1,
        .vocabulary = config_integer(config, "vocab_size"),
        .type_vocabulary = config_integer(config, "type_vocab_size"),
        .pad_id = pad,
        .dropout = config_real(config, "hidden_dropout_prob"),
        .attention_dropout = config_real(config, "attention_probs_dropout_prob"),
        .norm_epsilon = config_real(config, "layer_norm_eps"),
        .init_range = config_real(config, "initializer_range"),
    };
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
    ck_assert_msg(tensor->axis_count == (row->cols == 0 ? 1 : 2) && tensor->shape[0] == row->rows &&
                      (row->cols == 0 || tensor->shape[1] == row->cols),
                  "%s/model.safetensors: shape of \"%s\"", golden->folder, name);
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

/* Appends row (b, t) to both batches. */
static void case_add_row(struct golden_case *golden, int64_t source_row, int64_t t, int64_t id,
                         int64_t label)
{
    struct batch *const masked = &golden->masked;
    struct batch *const every = &golden->every;
    const int64_t row = masked->token_count++;
    golden->source_rows[row] = source_row;
    masked->ids[row] = (int32_t)id;
    masked->positions[row] = (int32_t)t;
    masked->segments[row] = 0;
    if (label != IGNORED_LABEL) {
        masked->target_rows[masked->target_count] = (int32_t)row;
        masked->target_ids[masked->target_count++] = (int32_t)label;
    }
    every->ids[row] = (int32_t)id;
    every->positions[row] = (int32_t)t;
    every->segments[row] = 0;
    every->target_rows[row] = (int32_t)row;
    every->target_ids[row] = (int32_t)id;
    every->token_count = every->target_count = row + 1;
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
    const int64_t length = ids.shape[1];
    const struct batch_limits limits = {rows, ids.count, ids.count};
    batch_init(&golden->masked, &limits);
    batch_init(&golden->every, &limits);
    golden->source_rows = memory_take((size_t)ids.count, sizeof *golden->source_rows, "rows");
    golden->padded_row_count = ids.count;
    golden->masked.sequence_count = golden->every.sequence_count = rows;
    golden->masked.starts[0] = golden->every.starts[0] = 0;
    for (int64_t b = 0; b < rows; b++) {
        bool ended = false;
        for (int64_t t = 0; t < length; t++) {
            const int64_t at = b * length + t;
            const bool real = golden_integer(&mask, at) != 0;
            ck_assert_msg(!(ended && real), "%s: row %lld is padded inside", golden->folder,
                          (long long)b);
            ended = !real;
            if (real) {
                case_add_row(golden, at, t, golden_integer(&ids, at), golden_integer(&labels, at));
            }
        }
        golden->masked.starts[b + 1] = golden->every.starts[b + 1] =
            (int32_t)golden->masked.token_count;
    }
    golden_file_close(&file);
}

void golden_case_open(struct golden_case *golden, const char *folder)
{
    *golden = (struct golden_case){0};
    (void)snprintf(golden->folder, sizeof golden->folder, "%s", folder);
    golden->description = folder_json(folder, "case.json");
    case_read_options(golden);
    case_read_weights(golden);
    case_read_batch(golden);
}

void golden_case_close(struct golden_case *golden)
{
    batch_deinit(&golden->every);
    batch_deinit(&golden->masked);
    memory_release(golden->source_rows);
    memory_release(golden->weights);
    parameter_table_deinit(&golden->table);
    json_decref(golden->description);
    *golden = (struct golden_case){0};
}
