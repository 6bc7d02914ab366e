/* See parameters.h. */
#include "model/parameters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "model/family.h"

enum { GROUP_NAME_BYTES = 16 };

static int64_t axis_size(enum family_axis axis, const struct model_options *options)
{
    switch (axis) {
    case FAMILY_AXIS_HIDDEN:
        return options->hidden;
    case FAMILY_AXIS_TRIPLE:
        return 3 * options->hidden;
    case FAMILY_AXIS_INNER:
        return options->feed_forward;
    case FAMILY_AXIS_EMBEDDING:
        return model_embedding_width(options);
    case FAMILY_AXIS_VOCABULARY:
        return options->vocabulary;
    case FAMILY_AXIS_POSITIONS:
        return options->positions + options->position_offset;
    case FAMILY_AXIS_SEGMENTS:
        return options->type_vocabulary;
    case FAMILY_AXIS_PAIR_LABELS:
    case FAMILY_AXIS_SAME_OR_NOT:
        return 2;
    case FAMILY_AXIS_SPAN_POSITIONS:
        return options->span_positions;
    case FAMILY_AXIS_SPAN_POSITION_WIDTH:
        return options->span_position_width;
    case FAMILY_AXIS_SPAN_INPUT:
        return 2 * options->hidden + options->span_position_width;
    case FAMILY_AXIS_NONE:
    default:
        return 0;
    }
}

/* What $, # and @ of a name stand for. */
struct name_parts {
    const char *prefix;
    int64_t layer;
    int64_t inner;
};

static void name_fill(char name[PARAMETER_NAME_BYTES], const char *pattern,
                      const struct name_parts *parts)
{
    char layer[24];
    char inner[24];
    (void)snprintf(layer, sizeof layer, "%lld", (long long)parts->layer);
    (void)snprintf(inner, sizeof inner, "%lld", (long long)parts->inner);
    size_t length = 0;
    for (const char *c = pattern; *c != '\0'; c++) {
        const char one[2] = {*c, '\0'};
        const char *const piece = *c == '$'   ? parts->prefix
                                  : *c == '#' ? layer
                                  : *c == '@' ? inner
                                              : one;
        const size_t bytes = strlen(piece);
        INVARIANT(length + bytes < PARAMETER_NAME_BYTES);
        memcpy(name + length, piece, bytes);
        length += bytes;
    }
    name[length] = '\0';
}

static bool row_applies(const struct family_row *row, const struct model_options *options)
{
    switch (row->when) {
    case FAMILY_WHEN_POST:
        return options->norm == MODEL_NORM_POST;
    case FAMILY_WHEN_PRE:
        return options->norm == MODEL_NORM_PRE;
    case FAMILY_WHEN_PAIRS:
        return !options->without_pairs;
    case FAMILY_WHEN_ALWAYS:
    default:
        return true;
    }
}

static enum parameter_init row_init(const struct family_row *row)
{
    if (row->cols != FAMILY_AXIS_NONE) {
        return PARAMETER_INIT_NORMAL;
    }
    switch ((int)row->role) {
    case PARAMETER_QUERY_START:
    case PARAMETER_DISTANCE_BIAS:
    case PARAMETER_SAME_SEGMENT_BIAS:
    case PARAMETER_CONTENT_BIAS:
        return PARAMETER_INIT_NORMAL;
    case PARAMETER_EMBEDDING_NORM_GAIN:
    case PARAMETER_ATTENTION_NORM_GAIN:
    case PARAMETER_FEED_FORWARD_NORM_GAIN:
    case PARAMETER_FINAL_NORM_GAIN:
    case PARAMETER_HEAD_NORM_GAIN:
    case PARAMETER_SPAN_INNER_NORM_GAIN:
    case PARAMETER_SPAN_OUTER_NORM_GAIN:
        return PARAMETER_INIT_ONE;
    default:
        return PARAMETER_INIT_ZERO;
    }
}

/* The axes in files, most of them plain rows and columns. */
static void parameter_shape(struct parameter *parameter, enum family_form form,
                            const struct model_options *options)
{
    const bool heads = form == FAMILY_FORM_HEADS || form == FAMILY_FORM_INPUT_HEADS;
    int64_t *const shape = parameter->shape;
    int64_t axes = 0;
    if (form == FAMILY_FORM_SINGLE) {
        shape[axes++] = 1;
        shape[axes++] = 1;
    }
    shape[axes++] = parameter->rows;
    if (parameter->cols != 0) {
        shape[axes++] = parameter->cols;
    }
    if (heads) {
        shape[axes - 1] = options->heads;
        shape[axes++] = options->hidden / options->heads;
    }
    parameter->axis_count = axes;
}

static int64_t rounded_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Appends a row to the last group, which is still open; returns where the row ends. */
static int64_t table_add_row(struct parameter_table *table, const struct model_options *options,
                             const struct family_row *row, const struct name_parts *parts,
                             int64_t offset)
{
    struct parameter *const parameter = &table->rows[table->row_count++];
    name_fill(parameter->name, row->name, parts);
    parameter->rows = axis_size(row->rows, options);
    parameter->cols = axis_size(row->cols, options);
    parameter->count = parameter->rows * (row->cols == FAMILY_AXIS_NONE ? 1 : parameter->cols);
    parameter->offset =
        row->form == FAMILY_FORM_JOINED ? offset : rounded_up(offset, PARAMETER_ALIGNMENT);
    parameter->group = table->group_count;
    parameter->role = row->role;
    parameter->input_major = row->form == FAMILY_FORM_INPUT_MAJOR ||
                             row->form == FAMILY_FORM_INPUT_MAJOR_RESIDUAL ||
                             row->form == FAMILY_FORM_INPUT_HEADS;
    parameter->decays = row->cols != FAMILY_AXIS_NONE || row->role == PARAMETER_QUERY_START;
    parameter_shape(parameter, row->form, options);
    parameter->init = row_init(row);
    parameter->init_scale = row->form == FAMILY_FORM_INPUT_MAJOR_RESIDUAL
                                ? 1.0 / sqrt(2.0 * (double)options->layers)
                                : 1.0;
    table->parameter_count += parameter->count;
    return parameter->offset + parameter->count;
}

/* Appends `group`, with the rows of one or two lists. */
static void table_add_group(struct parameter_table *table, const struct model_options *options,
                            struct parameter_group group, const struct name_parts *parts,
                            const struct family_rows *const lists[2])
{
    group.offset = table->element_count;
    group.first_row = table->row_count;
    int64_t offset = group.offset;
    for (int list = 0; list < 2 && lists[list] != NULL; list++) {
        for (int64_t i = 0; i < lists[list]->count; i++) {
            if (row_applies(&lists[list]->rows[i], options)) {
                offset = table_add_row(table, options, &lists[list]->rows[i], parts, offset);
            }
        }
    }
    group.row_count = table->row_count - group.first_row;
    group.count = rounded_up(offset - group.offset, PARAMETER_BLOCK);
    table->element_count = group.offset + group.count;
    table->groups[table->group_count++] = group;
}

static bool half_is_shared(const struct model_options *options, enum parameter_half half)
{
    return options->share == MODEL_SHARE_ALL ||
           options->share == (half == PARAMETER_HALF_ATTENTION ? MODEL_SHARE_ATTENTION
                                                               : MODEL_SHARE_FEED_FORWARD);
}

/* The layer whose tensors `layer` uses in one half, itself if they are its own: the lowest of its
 * group that stands at the same place of the repeated block. */
static int64_t layer_owner(const struct model_options *options, int64_t layer,
                           enum parameter_half half)
{
    const int64_t group_layers = options->layers / model_layer_groups(options);
    return half_is_shared(options, half)
               ? layer / group_layers * group_layers + layer % model_inner_layers(options)
               : layer;
}

/* As Hugging Face counts: where nothing is shared, each block is a group of its own. */
static struct name_parts layer_name(const struct model_options *options,
                                    const struct family *family, int64_t layer,
                                    enum parameter_half half)
{
    const int64_t inner = model_inner_layers(options);
    const int64_t unit =
        half_is_shared(options, half) ? options->layers / model_layer_groups(options) : inner;
    return (struct name_parts){family->prefix, layer / unit, layer % inner};
}

/* The group of a half of `layer`, or of both. */
static void table_add_layer_group(struct parameter_table *table,
                                  const struct model_options *options, const struct family *family,
                                  int64_t layer, enum parameter_half half, bool whole)
{
    const bool attention = half == PARAMETER_HALF_ATTENTION;
    char *const name = table->names + table->group_count * GROUP_NAME_BYTES;
    (void)snprintf(name, GROUP_NAME_BYTES, "%s-%03d",
                   whole       ? "layer"
                   : attention ? "attention"
                               : "ffn",
                   (int)(layer % MODEL_LAYERS_MAX));
    const struct parameter_group group = {
        .name = name,
        .kind = whole       ? PARAMETER_KIND_LAYER
                : attention ? PARAMETER_KIND_ATTENTION
                            : PARAMETER_KIND_FEED_FORWARD,
        .lowest_layer = layer,
        .place = half_is_shared(options, half) ? layer % model_inner_layers(options) : 0};
    const struct name_parts parts = layer_name(options, family, layer, half);
    const struct family_rows *const lists[2] = {attention ? &family->attention
                                                          : &family->feed_forward,
                                                whole ? &family->feed_forward : NULL};
    table_add_group(table, options, group, &parts, lists);
}

/* The groups of `layer`, unless a lower layer has brought them. */
static void table_add_layer(struct parameter_table *table, const struct model_options *options,
                            const struct family *family, int64_t layer)
{
    const bool whole = options->share == MODEL_SHARE_NONE || options->share == MODEL_SHARE_ALL;
    for (int i = 0; i < PARAMETER_HALVES; i++) {
        const enum parameter_half half = (enum parameter_half)i;
        const int64_t owner = layer_owner(options, layer, half);
        int64_t group = table->group_count;
        if (owner != layer) {
            group = table->layer_groups[half][owner];
        } else if (whole && half == PARAMETER_HALF_FEED_FORWARD) {
            group = table->layer_groups[PARAMETER_HALF_ATTENTION][layer];
        } else {
            table_add_layer_group(table, options, family, layer, half, whole);
        }
        table->layer_groups[half][layer] = group;
        table->groups[group].highest_layer = layer;
    }
}

enum status parameter_table_init(struct parameter_table *table, const struct model_options *options,
                                 struct error *error)
{
    *table = (struct parameter_table){0};
    TRY(model_options_check(options, error));
    const struct family *const family = family_find(options);
    const size_t layers = (size_t)options->layers;
    const size_t groups = PARAMETER_HALVES * layers + 2;
    const size_t rows = (size_t)(family->embeddings.count + family->head.count) +
                        layers * (size_t)(family->attention.count + family->feed_forward.count);
    table->rows = memory_take(rows, sizeof *table->rows, "parameter table");
    table->groups = memory_take(groups, sizeof *table->groups, "parameter table");
    table->names = memory_take(groups, GROUP_NAME_BYTES, "parameter table");
    for (int half = 0; half < PARAMETER_HALVES; half++) {
        table->layer_groups[half] = memory_take(layers, sizeof(int64_t), "parameter table");
    }
    const struct name_parts parts = {.prefix = family->prefix};
    const struct parameter_group embeddings = {.name = "embeddings",
                                               .kind = PARAMETER_KIND_EMBEDDINGS,
                                               .lowest_layer = -1,
                                               .highest_layer = -1};
    const struct parameter_group head = {
        .name = "head", .kind = PARAMETER_KIND_HEAD, .lowest_layer = -1, .highest_layer = -1};
    table_add_group(table, options, embeddings, &parts,
                    (const struct family_rows *const[2]){&family->embeddings});
    for (int64_t layer = 0; layer < options->layers; layer++) {
        table_add_layer(table, options, family, layer);
    }
    table_add_group(table, options, head, &parts,
                    (const struct family_rows *const[2]){&family->head});
    return STATUS_OK;
}

void parameter_table_deinit(struct parameter_table *table)
{
    for (int half = 0; half < PARAMETER_HALVES; half++) {
        memory_release(table->layer_groups[half]);
    }
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

const struct parameter *parameter_maybe(const struct parameter_table *table, int64_t group,
                                        enum parameter_role role)
{
    const int64_t first = table->groups[group].first_row;
    const int64_t end = first + table->groups[group].row_count;
    for (int64_t i = first; i < end; i++) {
        if (table->rows[i].role == role) {
            return &table->rows[i];
        }
    }
    return NULL;
}

const struct parameter *parameter_of(const struct parameter_table *table, int64_t group,
                                     enum parameter_role role)
{
    const struct parameter *const parameter = parameter_maybe(table, group, role);
    INVARIANT(parameter != NULL);
    return parameter;
}

int64_t parameter_embedding_group(const struct parameter_table *table)
{
    INVARIANT(table->group_count > 0);
    return 0;
}

int64_t parameter_layer_group(const struct parameter_table *table, int64_t layer,
                              enum parameter_half half)
{
    const int64_t group = table->layer_groups[half][layer];
    INVARIANT(group > 0 && group < table->group_count - 1);
    return group;
}

int64_t parameter_head_group(const struct parameter_table *table)
{
    INVARIANT(table->group_count > 0);
    return table->group_count - 1;
}

/* Standard normal cut off at two, where `word` of 32 random bits falls in it: the inverse of the
 * distribution function, by P. J. Acklam's rational function (error below 4e-8 between -2 and 2).
 * Plain arithmetic only, so that no libm can change a bit of the initial weights. */
static double normal_at(uint32_t word)
{
    const double inside = 0.95449973610364158; /* the share of a whole normal that is kept */
    const double q = (((double)word + 0.5) * 0x1p-32 - 0.5) * inside;
    const double r = q * q;
    const double over =
        ((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
          1.383577518672690e+02) *
             r -
         3.066479806614716e+01) *
            r +
        2.506628277459239e+00;
    const double under =
        ((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
          6.680131188771972e+01) *
             r -
         1.328068155288572e+01) *
            r +
        1.0;
    return q * over / under;
}

/* Elements [from, to) of a tensor; four share a block of random bits. */
static void normal_fill(float *out, struct random_key key, double deviation, int64_t from,
                        int64_t to)
{
    enum { WORDS = 4 };
    for (int64_t i = from; i < to;) {
        const struct random_block block = random_at(key, 0, (uint64_t)(i / WORDS));
        for (int64_t w = i % WORDS; w < WORDS && i < to; w++, i++) {
            out[i - from] = (float)(deviation * normal_at(block.word[w]));
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
        const double deviation = init_range * row->init_scale;
        if (row->init == PARAMETER_INIT_ONE) {
            for (int64_t i = from; i < to; i++) {
                out[i - first] = 1.0F;
            }
        } else if (row->init != PARAMETER_INIT_ZERO) {
            normal_fill(out + (from - first), key, deviation, from - row->offset, to - row->offset);
        }
    }
}
