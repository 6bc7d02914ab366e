/* See golden_xlnet.h. */
#include "tests/golden/golden_xlnet.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tests/support/suite.h"

enum { IGNORED_LABEL = -100, SEGMENTS = 3, POSITIONS = 512, TYPES = 8, MEMORY_MAX = 1024 };

/* An integer of config.json; null and negative values mean none. */
static int64_t config_limit(const json_t *config, const char *key)
{
    const json_int_t value = json_integer_value(json_object_get(config, key));
    return value > 0 ? (int64_t)value : 0;
}

void golden_xlnet_options(struct model_options *options, const json_t *config)
{
    const char *const kind = json_string_value(json_object_get(config, "attn_type"));
    options->positions = POSITIONS;
    options->type_vocabulary = TYPES;
    options->pad_id = -1;
    options->memory_tokens = config_limit(config, "mem_len");
    options->memory_reuse = config_limit(config, "reuse_len");
    options->distance_max = config_limit(config, "clamp_len");
    options->one_way = kind != NULL && strcmp(kind, "uni") == 0;
}

/* One segment of one row of the reference's batch: names of its tensors; NULL: there is none. */
struct segment {
    const char *ids;
    const char *types;
    const char *labels;
    int64_t b;
    bool continues;
};

static void batch_add_target(struct batch *batch, int64_t row, int64_t id)
{
    batch->target_rows[batch->target_count] = (int32_t)row;
    batch->target_ids[batch->target_count++] = (int32_t)id;
}

/* Appends a segment in which every token sees every other, as far as the model allows. */
static void batch_add_segment(struct batch *batch, const struct golden_file *file,
                              const struct segment *segment, bool every)
{
    const struct golden_tensor ids = golden_file_find(file, segment->ids);
    const bool typed = segment->types != NULL && golden_file_has(file, segment->types);
    const struct golden_tensor types =
        golden_file_find(file, typed ? segment->types : segment->ids);
    const int64_t length = ids.shape[1];
    for (int64_t t = 0; t < length; t++) {
        const int64_t at = segment->b * length + t;
        const int64_t row = batch->token_count++;
        batch->ids[row] = (int32_t)golden_integer(&ids, at);
        batch->positions[row] = (int32_t)t;
        if (batch->segments != NULL) {
            batch->segments[row] = typed ? (int32_t)golden_integer(&types, at) : 0;
        }
        if (batch->permuted) {
            batch->orders[row] = -1;
            batch->horizons[row] = 0;
        }
        if (segment->labels != NULL) {
            const struct golden_tensor labels = golden_file_find(file, segment->labels);
            const int64_t label = golden_integer(&labels, at);
            if (label != IGNORED_LABEL || every) {
                batch_add_target(batch, row, label != IGNORED_LABEL ? label : 0);
            }
        }
    }
    batch->continues[batch->sequence_count] = segment->continues;
    batch->reversed[batch->sequence_count] = 0;
    batch->starts[++batch->sequence_count] = (int32_t)batch->token_count;
}

/* Orders and horizons of row b, the last sequence of the batch, from the matrix of what is hidden:
 * the more rows a column is hidden from, the later it comes. */
static void batch_set_orders(struct batch *batch, const struct golden_file *file, int64_t b)
{
    const struct golden_tensor perm = golden_file_find(file, "inputs.perm_mask");
    const struct golden_tensor mask = golden_file_find(file, "inputs.attention_mask");
    const int64_t length = perm.shape[2];
    int32_t *const orders = batch->orders + batch->token_count - length;
    int32_t *const horizons = batch->horizons + batch->token_count - length;
#define HIDDEN(i, j)                                                                               \
    (golden_value(&perm, (b * length + (i)) * length + (j)) != 0 ||                                \
     golden_integer(&mask, b * length + (j)) == 0)
    for (int64_t j = 0; j < length; j++) {
        int32_t count = 0;
        for (int64_t i = 0; i < length; i++) {
            count += HIDDEN(i, j) ? 1 : 0;
        }
        orders[j] = count - 1;
    }
    for (int64_t i = 0; i < length; i++) {
        horizons[i] = 0;
        for (int64_t j = 0; j < length; j++) {
            if (!HIDDEN(i, j) && orders[j] >= horizons[i]) {
                horizons[i] = orders[j] + 1;
            }
        }
        for (int64_t j = 0; j < length; j++) {
            ck_assert_int_eq(orders[j] < horizons[i], !HIDDEN(i, j));
        }
    }
#undef HIDDEN
}

/* Slots of row b as targets of the last sequence; empty ones are left out. */
static void batch_add_slots(struct golden_case *golden, struct batch *batch,
                            const struct golden_file *file, int64_t b)
{
    const struct golden_tensor mapping = golden_file_find(file, "inputs.target_mapping");
    const struct golden_tensor labels = golden_file_find(file, "labels.labels");
    const int64_t slots = mapping.shape[1];
    const int64_t length = mapping.shape[2];
    for (int64_t m = 0; m < slots; m++) {
        for (int64_t t = 0; t < length; t++) {
            if (golden_value(&mapping, (b * slots + m) * length + t) != 0) {
                golden->source_rows[batch->target_count] = b * slots + m;
                batch_add_target(batch, batch->token_count - length + t,
                                 golden_integer(&labels, b * slots + m));
            }
        }
    }
}

static void batch_read_permuted(struct golden_case *golden, struct batch *batch,
                                const struct golden_file *file, int64_t b)
{
    const struct segment before = {"inputs.previous_input_ids", "inputs.previous_token_type_ids",
                                   NULL, b, false};
    const struct segment segment = {"inputs.input_ids", "inputs.token_type_ids", NULL, b, true};
    batch_add_segment(batch, file, &before, false);
    batch_add_segment(batch, file, &segment, false);
    batch_set_orders(batch, file, b);
    batch_add_slots(golden, batch, file, b);
}

static void batch_read_segments(struct batch *batch, const struct golden_file *file, int64_t b,
                                bool every)
{
    for (int k = 0; k < SEGMENTS; k++) {
        char ids[32];
        char types[32];
        char labels[32];
        (void)snprintf(ids, sizeof ids, "inputs.input_ids.%d", k);
        (void)snprintf(types, sizeof types, "inputs.token_type_ids.%d", k);
        (void)snprintf(labels, sizeof labels, "labels.labels.%d", k);
        const struct segment segment = {ids, types, labels, b, k > 0};
        batch_add_segment(batch, file, &segment, every);
    }
}

static bool file_is_permuted(const struct golden_file *file)
{
    return golden_file_has(file, "inputs.perm_mask");
}

/* The memories of the reference, for the first sequence of each chain of two; of its tokens only
 * the remembered ones. */
static void case_recall(struct golden_case *golden, const struct golden_file *file)
{
    struct batch *const batch = &golden->masked;
    const int64_t layers = golden->options.layers;
    const int64_t c = golden->options.hidden;
    const size_t states = (size_t)(layers * batch->token_count * c);
    golden->recalled_states = memory_take(states, sizeof(float), "memories");
    golden->recalled =
        memory_take((size_t)batch->sequence_count, sizeof *golden->recalled, "memories");
    float *to = golden->recalled_states;
    for (int64_t b = 0; b < batch->sequence_count; b += 2) {
        const int64_t length = batch->starts[b + 1] - batch->starts[b];
        golden->recalled[b] = to;
        for (int64_t layer = 0; layer < layers; layer++, to += length * c) {
            char name[32];
            (void)snprintf(name, sizeof name, "inputs.mems.%d", (int)layer);
            const struct golden_tensor tensor = golden_file_find(file, name);
            for (int64_t i = 0; i < tensor.shape[0] * c; i++) {
                to[i] = (float)golden_value(&tensor, (i / c * tensor.shape[1] + b / 2) * c + i % c);
            }
        }
    }
    batch->recalled = golden->recalled;
}

void golden_xlnet_read(struct golden_case *golden)
{
    struct golden_file file;
    golden_case_file(golden, "case.safetensors", &file);
    const bool permuted = file_is_permuted(&file);
    const struct golden_tensor ids =
        golden_file_find(&file, permuted ? "inputs.input_ids" : "inputs.input_ids.0");
    const bool typed = permuted || golden_file_has(&file, "inputs.token_type_ids.0");
    const int64_t rows = ids.shape[0];
    const int64_t chain = permuted ? 2 : SEGMENTS;
    const struct batch_limits limits = {rows * chain, ids.count * chain, ids.count * chain};
    struct batch *const batches[] = {&golden->masked, &golden->every};
    golden->source_rows =
        memory_take((size_t)(ids.count * chain), sizeof *golden->source_rows, "rows");
    for (int i = 0; i < 2; i++) {
        batch_init(batches[i], &limits);
        batches[i]->permuted = permuted;
        batches[i]->chained = true;
        batches[i]->segments = typed ? batches[i]->segments : NULL;
        for (int64_t b = 0; b < rows; b++) {
            if (permuted) {
                batch_read_permuted(golden, batches[i], &file, b);
            } else {
                batch_read_segments(batches[i], &file, b, i == 1);
            }
        }
    }
    if (permuted) {
        case_recall(golden, &file);
    }
    golden_file_close(&file);
}

/* A tensor of `rows` rows for each of B, axes (B, rows, width), beside rows of ours. */
struct output {
    const struct golden_file *file;
    const char *name;
    const float *values; /* (.., width) */
    int64_t width;
};

static void compare_sequences(struct run *run, const struct output *output, int64_t first,
                              int64_t chain)
{
    const struct batch *const batch = &run->golden.every;
    const struct golden_tensor tensor = golden_file_find(output->file, output->name);
    struct difference difference = {0};
    for (int64_t b = 0; b < tensor.shape[0]; b++) {
        const int64_t row = batch->starts[b * chain + first];
        const int64_t size = tensor.shape[1] * output->width;
        for (int64_t i = 0; i < size; i++) {
            difference_add(&difference, (double)output->values[row * output->width + i],
                           golden_value(&tensor, b * size + i));
        }
    }
    golden_run_compare(run, strchr(output->name, '.') + 1, &difference);
}

/* Axes (B, slots, width) where there are targets. */
static void compare_slots(struct run *run, const struct output *output)
{
    const struct golden_tensor tensor = golden_file_find(output->file, output->name);
    struct difference difference = {0};
    for (int64_t k = 0; k < run->golden.every.target_count; k++) {
        for (int64_t i = 0; i < output->width; i++) {
            difference_add(&difference, (double)output->values[k * output->width + i],
                           golden_value(&tensor, run->golden.source_rows[k] * output->width + i));
        }
    }
    golden_run_compare(run, strchr(output->name, '.') + 1, &difference);
}

/* Rows that are remembered behind sequence `last`, of the chain that begins with `first`. */
static int64_t rows_remembered(const struct golden_case *golden, int64_t first, int64_t last,
                               int64_t rows[MEMORY_MAX])
{
    const struct model_options *const options = &golden->options;
    int64_t count = 0;
    for (int64_t b = first; b <= last; b++) {
        int64_t end = golden->every.starts[b + 1];
        if (options->memory_reuse > 0 && end - golden->every.starts[b] > options->memory_reuse) {
            end = golden->every.starts[b] + options->memory_reuse;
        }
        for (int64_t row = golden->every.starts[b]; row < end; row++) {
            ck_assert_int_lt(count, MEMORY_MAX);
            rows[count++] = row;
        }
    }
    const int64_t most = options->memory_tokens;
    const int64_t dropped = count > most ? count - most : 0;
    memmove(rows, rows + dropped, (size_t)(count - dropped) * sizeof *rows);
    return count - dropped;
}

/* Axes (memory, B, width), behind the chains' sequence number `last`. */
static void compare_memory(struct run *run, const struct output *output, int64_t last,
                           int64_t chain)
{
    const struct golden_tensor tensor = golden_file_find(output->file, output->name);
    const int64_t chains = tensor.shape[1];
    int64_t rows[MEMORY_MAX];
    struct difference difference = {0};
    for (int64_t b = 0; b < chains; b++) {
        const int64_t count = rows_remembered(&run->golden, b * chain, b * chain + last, rows);
        ck_assert_int_eq(count, tensor.shape[0]);
        for (int64_t i = 0; i < count * output->width; i++) {
            const int64_t m = i / output->width;
            const int64_t c = i % output->width;
            difference_add(&difference, (double)output->values[rows[m] * output->width + c],
                           golden_value(&tensor, (m * chains + b) * output->width + c));
        }
    }
    golden_run_compare(run, strchr(output->name, '.') + 1, &difference);
}

static void check_permuted(struct run *run, const struct golden_file *file, int64_t layer,
                           const float *hidden)
{
    const int64_t c = run->golden.options.hidden;
    char name[64];
    (void)snprintf(name, sizeof name, "outputs.hidden_states.h.%d", (int)layer);
    struct output output = {file, name, hidden, c};
    compare_sequences(run, &output, 1, 2);
    if (layer < run->golden.options.layers) {
        (void)snprintf(name, sizeof name, "inputs.mems.%d", (int)layer);
        compare_memory(run, &output, 0, 2);
        (void)snprintf(name, sizeof name, "outputs.new_mems.%d", (int)layer);
        compare_memory(run, &output, 1, 2);
    }
    (void)snprintf(name, sizeof name, "outputs.hidden_states.g.%d", (int)layer);
    output.values = hidden + run->golden.every.token_count * c;
    compare_slots(run, &output);
}

static void check_segments(struct run *run, const struct golden_file *file, int64_t layer,
                           const float *hidden)
{
    char name[64];
    const struct output output = {file, name, hidden, run->golden.options.hidden};
    for (int k = 0; k < SEGMENTS; k++) {
        (void)snprintf(name, sizeof name, "outputs.segment%d.hidden_states.%d", k, (int)layer);
        compare_sequences(run, &output, k, SEGMENTS);
        if (layer < run->golden.options.layers) {
            (void)snprintf(name, sizeof name, "outputs.segment%d.mems.%d", k, (int)layer);
            compare_memory(run, &output, k, SEGMENTS);
        }
    }
}

static void check_logits(struct run *run, const struct golden_file *file)
{
    struct error error = {0};
    const struct golden_case *const golden = &run->golden;
    const int64_t v = golden->options.vocabulary;
    float *const logits =
        memory_take((size_t)(golden->every.target_count * v), sizeof *logits, "logits");
    CHECK_OK(model_logits(run->model, golden->weights, &golden->every, logits, &error), error);
    char name[64] = "outputs.logits";
    const struct output output = {file, name, logits, v};
    if (file_is_permuted(file)) {
        compare_slots(run, &output);
    }
    for (int k = 0; k < SEGMENTS && !file_is_permuted(file); k++) {
        (void)snprintf(name, sizeof name, "outputs.segment%d.logits", k);
        compare_sequences(run, &output, k, SEGMENTS);
    }
    memory_release(logits);
}

void golden_xlnet_check(struct run *run)
{
    struct error error = {0};
    const struct golden_case *const golden = &run->golden;
    struct golden_file file;
    golden_case_file(golden, "case.safetensors", &file);
    check_logits(run, &file);
    const int64_t rows = golden->every.token_count + golden->every.target_count;
    float *const hidden =
        memory_take((size_t)(rows * golden->options.hidden), sizeof *hidden, "hidden");
    for (int64_t layer = 0; layer <= golden->options.layers; layer++) {
        CHECK_OK(model_hidden(run->model, golden->weights, &golden->every, layer, hidden, &error),
                 error);
        if (file_is_permuted(&file)) {
            check_permuted(run, &file, layer, hidden);
        } else {
            check_segments(run, &file, layer, hidden);
        }
    }
    memory_release(hidden);
    golden_file_close(&file);
}
