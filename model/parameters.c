/* See parameters.h. */
#include "model/parameters.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* Largest accepted sizes: far beyond any use, small enough that no product of two overflows. */
enum { LAYERS_MAX = 1000, WIDTH_MAX = 1 << 20, ROWS_MAX = 1 << 28, GROUP_NAME_BYTES = 16 };

enum part { PART_EMBEDDINGS, PART_LAYER, PART_HEAD };
enum axis { AXIS_NONE, AXIS_HIDDEN, AXIS_INNER, AXIS_VOCABULARY, AXIS_POSITIONS, AXIS_SEGMENTS };
enum when { WHEN_ALWAYS, WHEN_POST, WHEN_PRE };
enum place { PLACE_ALIGNED, PLACE_JOINED };

/* A row of a family. In names, $ stands for the model's prefix, # for the layer's number. */
struct family_row {
    enum part part;
    enum parameter_role role;
    enum axis rows;
    enum axis cols;
    enum when when;
    enum place place;
    const char *name;
};

#define EMBEDDINGS(role, rows, cols, name)                                                         \
    {                                                                                              \
        PART_EMBEDDINGS, PARAMETER_##role, AXIS_##rows, AXIS_##cols, WHEN_ALWAYS, PLACE_ALIGNED,   \
            name                                                                                   \
    }
#define LAYER(role, rows, cols, when, place, name)                                                 \
    {                                                                                              \
        PART_LAYER, PARAMETER_##role, AXIS_##rows, AXIS_##cols, WHEN_##when, PLACE_##place,        \
            "$.encoder.layer.#." name                                                              \
    }
#define HEAD(role, rows, cols, when, name)                                                         \
    {                                                                                              \
        PART_HEAD, PARAMETER_##role, AXIS_##rows, AXIS_##cols, WHEN_##when, PLACE_ALIGNED, name    \
    }

/* RobertaForMaskedLM (post) and RobertaPreLayerNormForMaskedLM (pre). lm_head.decoder is tied: not a tensor. */
static const struct family_row roberta_rows[] = {
    EMBEDDINGS(WORD, VOCABULARY, HIDDEN, "$.embeddings.word_embeddings.weight"),
    EMBEDDINGS(POSITION, POSITIONS, HIDDEN, "$.embeddings.position_embeddings.weight"),
    EMBEDDINGS(SEGMENT, SEGMENTS, HIDDEN, "$.embeddings.token_type_embeddings.weight"),
    EMBEDDINGS(EMBEDDING_NORM_GAIN, HIDDEN, NONE, "$.embeddings.LayerNorm.weight"),
    EMBEDDINGS(EMBEDDING_NORM_SHIFT, HIDDEN, NONE, "$.embeddings.LayerNorm.bias"),

    LAYER(ATTENTION_NORM_GAIN, HIDDEN, NONE, PRE, ALIGNED, "attention.LayerNorm.weight"),
    LAYER(ATTENTION_NORM_SHIFT, HIDDEN, NONE, PRE, ALIGNED, "attention.LayerNorm.bias"),
    LAYER(QUERY_WEIGHT, HIDDEN, HIDDEN, ALWAYS, ALIGNED, "attention.self.query.weight"),
    LAYER(KEY_WEIGHT, HIDDEN, HIDDEN, ALWAYS, JOINED, "attention.self.key.weight"),
    LAYER(VALUE_WEIGHT, HIDDEN, HIDDEN, ALWAYS, JOINED, "attention.self.value.weight"),
    LAYER(QUERY_BIAS, HIDDEN, NONE, ALWAYS, ALIGNED, "attention.self.query.bias"),
    LAYER(KEY_BIAS, HIDDEN, NONE, ALWAYS, JOINED, "attention.self.key.bias"),
    LAYER(VALUE_BIAS, HIDDEN, NONE, ALWAYS, JOINED, "attention.self.value.bias"),
    LAYER(ATTENTION_WEIGHT, HIDDEN, HIDDEN, ALWAYS, ALIGNED, "attention.output.dense.weight"),
    LAYER(ATTENTION_BIAS, HIDDEN, NONE, ALWAYS, ALIGNED, "attention.output.dense.bias"),
    LAYER(ATTENTION_NORM_GAIN, HIDDEN, NONE, POST, ALIGNED, "attention.output.LayerNorm.weight"),
    LAYER(ATTENTION_NORM_SHIFT, HIDDEN, NONE, POST, ALIGNED, "attention.output.LayerNorm.bias"),
    LAYER(FEED_FORWARD_NORM_GAIN, HIDDEN, NONE, PRE, ALIGNED, "intermediate.LayerNorm.weight"),
    LAYER(FEED_FORWARD_NORM_SHIFT, HIDDEN, NONE, PRE, ALIGNED, "intermediate.LayerNorm.bias"),
    LAYER(INNER_WEIGHT, INNER, HIDDEN, ALWAYS, ALIGNED, "intermediate.dense.weight"),
    LAYER(INNER_BIAS, INNER, NONE, ALWAYS, ALIGNED, "intermediate.dense.bias"),
    LAYER(OUTER_WEIGHT, HIDDEN, INNER, ALWAYS, ALIGNED, "output.dense.weight"),
    LAYER(OUTER_BIAS, HIDDEN, NONE, ALWAYS, ALIGNED, "output.dense.bias"),
    LAYER(FEED_FORWARD_NORM_GAIN, HIDDEN, NONE, POST, ALIGNED, "output.LayerNorm.weight"),
    LAYER(FEED_FORWARD_NORM_SHIFT, HIDDEN, NONE, POST, ALIGNED, "output.LayerNorm.bias"),

    HEAD(FINAL_NORM_GAIN, HIDDEN, NONE, PRE, "$.LayerNorm.weight"),
    HEAD(FINAL_NORM_SHIFT, HIDDEN, NONE, PRE, "$.LayerNorm.bias"),
    HEAD(HEAD_WEIGHT, HIDDEN, HIDDEN, ALWAYS, "lm_head.dense.weight"),
    HEAD(HEAD_BIAS, HIDDEN, NONE, ALWAYS, "lm_head.dense.bias"),
    HEAD(HEAD_NORM_GAIN, HIDDEN, NONE, ALWAYS, "lm_head.layer_norm.weight"),
    HEAD(HEAD_NORM_SHIFT, HIDDEN, NONE, ALWAYS, "lm_head.layer_norm.bias"),
    HEAD(DECODER_BIAS, VOCABULARY, NONE, ALWAYS, "lm_head.bias"),
};

static const char *family_prefix(const struct model_options *options)
{
    return options->norm == MODEL_NORM_PRE ? "roberta_prelayernorm" : "roberta";
}

static enum status size_check(const char *what, int64_t value, int64_t least, int64_t most,
                              struct error *error)
{
    if (value < least || value > most) {
        FAIL(error, STATUS_INPUT, "model %s %lld is outside %lld to %lld", what, (long long)value,
             (long long)least, (long long)most);
    }
    return STATUS_OK;
}

static enum status share_check(const char *what, double value, struct error *error)
{
    if (!(value >= 0.0 && value < 1.0)) {
        FAIL(error, STATUS_INPUT, "model %s %g is outside [0, 1)", what, value);
    }
    return STATUS_OK;
}

static enum status options_check(const struct model_options *options, struct error *error)
{
    if (options->family != MODEL_FAMILY_ROBERTA) {
        FAIL(error, STATUS_INPUT, "model family %d is unknown", (int)options->family);
    }
    TRY(size_check("layers", options->layers, 1, LAYERS_MAX, error));
    TRY(size_check("hidden", options->hidden, 1, WIDTH_MAX, error));
    TRY(size_check("heads", options->heads, 1, options->hidden, error));
    TRY(size_check("feed_forward", options->feed_forward, 1, WIDTH_MAX, error));
    TRY(size_check("positions", options->positions, 1, ROWS_MAX, error));
    TRY(size_check("position_offset", options->position_offset, 0, ROWS_MAX, error));
    TRY(size_check("vocabulary", options->vocabulary, 1, ROWS_MAX, error));
    TRY(size_check("type_vocabulary", options->type_vocabulary, 1, ROWS_MAX, error));
    TRY(size_check("pad_id", options->pad_id, -1, options->vocabulary - 1, error));
    TRY(share_check("dropout", options->dropout, error));
    TRY(share_check("attention_dropout", options->attention_dropout, error));
    if (options->hidden % options->heads != 0) {
        FAIL(error, STATUS_INPUT, "model hidden %lld is not a multiple of heads %lld",
             (long long)options->hidden, (long long)options->heads);
    }
    if (!(options->norm_epsilon > 0.0 && options->norm_epsilon < 1.0)) {
        FAIL(error, STATUS_INPUT, "model norm_epsilon %g is outside (0, 1)", options->norm_epsilon);
    }
    if (!(options->init_range >= 0.0 && options->init_range < 100.0)) {
        FAIL(error, STATUS_INPUT, "model init_range %g is outside [0, 100)", options->init_range);
    }
    return STATUS_OK;
}

static int64_t axis_size(enum axis axis, const struct model_options *options)
{
    switch (axis) {
    case AXIS_HIDDEN:
        return options->hidden;
    case AXIS_INNER:
        return options->feed_forward;
    case AXIS_VOCABULARY:
        return options->vocabulary;
    case AXIS_POSITIONS:
        return options->positions + options->position_offset;
    case AXIS_SEGMENTS:
        return options->type_vocabulary;
    case AXIS_NONE:
    default:
        return 0;
    }
}

/* Writes `pattern` with $ and # replaced. */
static void name_fill(char name[PARAMETER_NAME_BYTES], const char *pattern, const char *prefix,
                      int64_t layer)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%lld", (long long)layer);
    size_t length = 0;
    for (const char *c = pattern; *c != '\0'; c++) {
        const char one[2] = {*c, '\0'};
        const char *const piece = *c == '$' ? prefix : *c == '#' ? number : one;
        const size_t bytes = strlen(piece);
        INVARIANT(length + bytes < PARAMETER_NAME_BYTES);
        memcpy(name + length, piece, bytes);
        length += bytes;
    }
    name[length] = '\0';
}

static bool row_applies(const struct family_row *row, enum part part,
                        const struct model_options *options)
{
    const enum when norm = options->norm == MODEL_NORM_PRE ? WHEN_PRE : WHEN_POST;
    return row->part == part && (row->when == WHEN_ALWAYS || row->when == norm);
}

static enum parameter_init row_init(const struct family_row *row)
{
    if (row->cols != AXIS_NONE) {
        return PARAMETER_INIT_NORMAL;
    }
    const bool gain =
        row->role == PARAMETER_EMBEDDING_NORM_GAIN || row->role == PARAMETER_ATTENTION_NORM_GAIN ||
        row->role == PARAMETER_FEED_FORWARD_NORM_GAIN || row->role == PARAMETER_FINAL_NORM_GAIN ||
        row->role == PARAMETER_HEAD_NORM_GAIN;
    return gain ? PARAMETER_INIT_ONE : PARAMETER_INIT_ZERO;
}

static int64_t rounded_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Appends a group with the rows of `part`. */
static void table_add_group(struct parameter_table *table, const struct model_options *options,
                            enum part part, int64_t layer, const char *group_name)
{
    struct parameter_group *const group = &table->groups[table->group_count];
    *group = (struct parameter_group){
        .name = group_name, .offset = table->element_count, .first_row = table->row_count};
    int64_t offset = group->offset;
    for (int64_t i = 0; i < ARRAY_LENGTH(roberta_rows); i++) {
        const struct family_row *const row = &roberta_rows[i];
        if (!row_applies(row, part, options)) {
            continue;
        }
        struct parameter *const parameter = &table->rows[table->row_count++];
        name_fill(parameter->name, row->name, family_prefix(options), layer);
        parameter->rows = axis_size(row->rows, options);
        parameter->cols = axis_size(row->cols, options);
        parameter->count = parameter->rows * (row->cols == AXIS_NONE ? 1 : parameter->cols);
        parameter->offset =
            row->place == PLACE_JOINED ? offset : rounded_up(offset, PARAMETER_ALIGNMENT);
        parameter->group = table->group_count;
        parameter->role = row->role;
        parameter->decays = row->cols != AXIS_NONE;
        parameter->init = row_init(row);
        offset = parameter->offset + parameter->count;
        table->parameter_count += parameter->count;
    }
    group->row_count = table->row_count - group->first_row;
    group->count = rounded_up(offset - group->offset, PARAMETER_BLOCK);
    table->element_count = group->offset + group->count;
    table->group_count++;
}

enum status parameter_table_init(struct parameter_table *table, const struct model_options *options,
                                 struct error *error)
{
    *table = (struct parameter_table){0};
    TRY(options_check(options, error));
    const int64_t groups = options->layers + 2;
    table->rows = memory_take((size_t)(groups * ARRAY_LENGTH(roberta_rows)), sizeof *table->rows,
                              "parameter table");
    table->groups = memory_take((size_t)groups, sizeof *table->groups, "parameter table");
    table->names = memory_take((size_t)groups, GROUP_NAME_BYTES, "parameter table");
    table_add_group(table, options, PART_EMBEDDINGS, 0, "embeddings");
    for (int64_t layer = 0; layer < options->layers; layer++) {
        char *const name = table->names + layer * GROUP_NAME_BYTES;
        (void)snprintf(name, GROUP_NAME_BYTES, "layer-%03d", (int)(layer % LAYERS_MAX));
        table_add_group(table, options, PART_LAYER, layer, name);
    }
    table_add_group(table, options, PART_HEAD, 0, "head");
    return STATUS_OK;
}

void parameter_table_deinit(struct parameter_table *table)
{
    memory_release(table->names);
    memory_release(table->groups);
    memory_release(table->rows);
    *table = (struct parameter_table){0};
}

const struct parameter *parameter_find(const struct parameter_table *table, const char *name)
{
    for (int64_t i = 0; i < table->row_count; i++) {
        if (strcmp(table->rows[i].name, name) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

const struct parameter *parameter_of(const struct parameter_table *table, int64_t group,
                                     enum parameter_role role)
{
    const int64_t first = table->groups[group].first_row;
    const int64_t end = first + table->groups[group].row_count;
    int64_t i = first;
    while (i < end && table->rows[i].role != role) {
        i++;
    }
    INVARIANT(i < end);
    return &table->rows[i];
}

int64_t parameter_embedding_group(const struct parameter_table *table)
{
    INVARIANT(table->group_count > 0);
    return 0;
}

int64_t parameter_layer_group(const struct parameter_table *table, int64_t layer)
{
    INVARIANT(layer >= 0 && layer < table->group_count - 2);
    return layer + 1;
}

int64_t parameter_head_group(const struct parameter_table *table)
{
    INVARIANT(table->group_count > 0);
    return table->group_count - 1;
}

/* Words of one element's stream, 32 bits each. */
struct word_stream {
    struct random_key key;
    uint64_t element;
    uint64_t used;
    struct random_block block;
};

static double word_stream_unit(struct word_stream *stream)
{
    if (stream->used % 4 == 0) {
        stream->block = random_at(stream->key, stream->element, stream->used / 4);
    }
    return (double)stream->block.word[stream->used++ % 4] * 0x1p-32;
}

/* True with probability exp(-t), 0 <= t <= 1: von Neumann's run of falling uniforms has even length with just that
 * probability. Comparisons only, so that no libm can change a bit of the initial weights. */
static bool falling_run_is_even(struct word_stream *stream, double t)
{
    bool even = true;
    double before = t;
    for (double unit = word_stream_unit(stream); unit < before; unit = word_stream_unit(stream)) {
        before = unit;
        even = !even;
    }
    return even;
}

/* Standard normal cut off at two: uniform x in (-2, 2), accepted with probability exp(-x²/2) = exp(-x²/4)². */
static double normal_at(struct random_key key, uint64_t element)
{
    struct word_stream stream = {.key = key, .element = element};
    for (;;) {
        const double x = 4.0 * (word_stream_unit(&stream) + 0x1p-33) - 2.0;
        const bool first = falling_run_is_even(&stream, x * x * 0.25);
        if (first && falling_run_is_even(&stream, x * x * 0.25)) {
            return x;
        }
    }
}

void parameter_fill(const struct parameter_table *table, double init_range, uint64_t seed,
                    int64_t first, int64_t count, float *out)
{
    INVARIANT(first >= 0 && count >= 0 && first + count <= table->element_count);
    memset(out, 0, (size_t)count * sizeof *out);
    for (int64_t r = 0; r < table->row_count; r++) {
        const struct parameter *const row = &table->rows[r];
        const int64_t from = row->offset > first ? row->offset : first;
        const int64_t row_end = row->offset + row->count;
        const int64_t to = row_end < first + count ? row_end : first + count;
        const struct random_key key = random_key_make(seed, RANDOM_PURPOSE_INITIALISE, (uint64_t)r);
        for (int64_t i = from; i < to && row->init != PARAMETER_INIT_ZERO; i++) {
            out[i - first] =
                row->init == PARAMETER_INIT_ONE
                    ? 1.0F
                    : (float)(init_range * normal_at(key, (uint64_t)(i - row->offset)));
        }
    }
}
