/* See activations.h. */
#include "model/activations.h"

#include "base/error.h"
#include "base/memory.h"
#include "model/cut_groups.h"
#include "model/family.h"

enum { PAIR_LABELS = 2 };

/* Hands out pieces of a block, or only counts them while there is none. */
struct layout {
    unsigned char *base; /* NULL: count */
    size_t used_bytes;
    size_t operand_bytes; /* of an element that products alone read */
};

static void *layout_take(struct layout *layout, int64_t count, size_t element_bytes)
{
    INVARIANT(count >= 0 && (uint64_t)count <= SIZE_MAX / 4 / element_bytes);
    const size_t bytes = (size_t)count * element_bytes;
    const size_t rounded = (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
    void *const piece = layout->base == NULL ? NULL : layout->base + layout->used_bytes;
    layout->used_bytes += rounded;
    return piece;
}

static float *layout_floats(struct layout *layout, int64_t count)
{
    return layout_take(layout, count, sizeof(float));
}

static uint32_t *layout_bits(struct layout *layout, int64_t count)
{
    return layout_take(layout, (count + 31) / 32, sizeof(uint32_t));
}

static struct norm_statistics layout_norm(struct layout *layout, int64_t rows)
{
    float *const mean = layout_floats(layout, rows);
    return (struct norm_statistics){.mean = mean, .rstd = layout_floats(layout, rows)};
}

int64_t head_chunk_rows(int64_t vocabulary)
{
    const int64_t rows = HEAD_LOGITS_BYTES / (vocabulary * (int64_t)sizeof(float));
    return rows < HEAD_CHUNK_ROWS_MIN ? HEAD_CHUNK_ROWS_MIN : rows;
}

static int64_t longest_sequence(const struct model_options *options, int64_t n)
{
    return options->positions < n ? options->positions : n;
}

/* What attention keeps. */
static void layout_attention(struct layout *layout, const struct model_options *options,
                             const struct parts *parts, int64_t n, bool bits,
                             struct layer_activations *layer)
{
    const int64_t width = parts_local(parts, options->hidden).count;
    const int64_t heads = parts_local(parts, options->heads).count;
    layer->qkv = layout_floats(layout, n * 3 * width);
    layer->heads = layout_floats(layout, n * width);
    layer->log_sum = layout_floats(layout, n * heads);
    layer->probability_bits =
        bits
            ? layout_take(layout, kernels_attention_kept(n, heads, longest_sequence(options, n)), 1)
            : NULL;
}

/* What else lies between a layer's input and its output. */
static void layout_between(struct layout *layout, const struct model_options *options,
                           const struct parts *parts, int64_t n, bool activated,
                           struct layer_activations *layer)
{
    const int64_t wide = parts_local(parts, options->feed_forward).count;
    layer->attention_sum = layout_floats(layout, n * options->hidden);
    layer->inner = layout_floats(layout, n * wide);
    layer->activated = activated ? layout_take(layout, n * wide, layout->operand_bytes) : NULL;
    layer->attention_norm = layout_norm(layout, n);
    layer->attention_bits = layout_bits(layout, n * options->hidden);
    layer->feed_forward_bits = layout_bits(layout, n * options->hidden);
}

/* Each layer has its own of what is kept; all else is that of `common`, or, if that is NULL, the
 * first one's. */
static struct layer_activations *
layout_layers(struct layout *layout, const struct model_options *options, const struct parts *parts,
              int64_t n, const struct model_role *role, const struct section *section,
              const struct layer_activations *common)
{
    const bool keeps_between = role->trains && role->recompute != MODEL_RECOMPUTE_LAYER;
    const bool keeps_all = role->trains && role->recompute == MODEL_RECOMPUTE_NONE;
    const struct family *const family = family_find(options);
    INVARIANT(family != NULL);
    const bool keeps_bits = keeps_all && options->attention_dropout > 0.0 && !family->relative;
    struct layer_activations *const layers = layout_take(layout, options->layers, sizeof *layers);
    struct layer_activations layer = common == NULL ? (struct layer_activations){0} : *common;
    for (int64_t i = section->first_layer; i < section->end_layer; i++) {
        const bool begins = i == section->first_layer && common == NULL;
        if (begins || keeps_all) {
            layout_attention(layout, options, parts, n, keeps_bits, &layer);
        }
        if (begins || keeps_between) {
            layout_between(layout, options, parts, n, keeps_all, &layer);
        }
        if (begins || role->trains) {
            layer.output_sum = layout_floats(layout, n * options->hidden);
            layer.feed_forward_norm = layout_norm(layout, n);
        }
        if (layers != NULL) {
            layers[i] = layer;
        }
    }
    return layers;
}

static struct embedding_activations layout_embedding(struct layout *layout,
                                                     const struct model_options *options,
                                                     const struct parameter_table *table,
                                                     const struct section *section, int64_t n)
{
    const int64_t width = model_embedding_width(options);
    const int64_t group = parameter_embedding_group(table);
    const bool mapped = parameter_maybe(table, group, PARAMETER_MAPPING_WEIGHT) != NULL;
    const bool normed = parameter_maybe(table, group, PARAMETER_EMBEDDING_NORM_GAIN) != NULL;
    struct embedding_activations embedding = {0};
    embedding.embedded = layout_floats(layout, n * options->hidden);
    if (!section_is_first(section)) {
        return embedding;
    }
    embedding.leaving = mapped ? layout_floats(layout, n * width) : embedding.embedded;
    embedding.sum = normed ? layout_floats(layout, n * width) : embedding.leaving;
    embedding.norm = layout_norm(layout, n);
    embedding.bits = layout_bits(layout, n * width);
    return embedding;
}

/* Without d_normed: the caller's. */
static struct transform_activations layout_transform(struct layout *layout, int64_t k,
                                                     int64_t width, bool trains)
{
    struct transform_activations transform = {0};
    transform.inner = layout_floats(layout, k * width);
    transform.activated = layout_floats(layout, k * width);
    transform.normed = layout_floats(layout, k * width);
    transform.norm = layout_norm(layout, k);
    if (trains) {
        transform.d_inner = layout_floats(layout, k * width);
    }
    return transform;
}

static struct head_activations layout_head(struct layout *layout,
                                           const struct model_options *options,
                                           const struct parts *parts, bool transforms, int64_t k,
                                           bool trains)
{
    const int64_t chunk = head_chunk_rows(options->vocabulary);
    struct head_activations head = {0};
    head.rows = layout_floats(layout, k * options->hidden);
    head.logits = layout_floats(layout, (k < chunk ? k : chunk) *
                                            parts_local(parts, options->vocabulary).count);
    if (trains) {
        head.d_rows = layout_floats(layout, k * options->hidden);
    }
    if (transforms) {
        head.transform = layout_transform(layout, k, model_embedding_width(options), trains);
        head.transform.d_normed = head.d_rows; /* E is not above C */
    }
    return head;
}

static struct pair_activations
layout_pair(struct layout *layout, const struct model_options *options, int64_t count, bool trains)
{
    const int64_t c = options->hidden;
    struct pair_activations pair = {0};
    pair.rows = layout_take(layout, count, sizeof *pair.rows);
    pair.labels = layout_take(layout, count, sizeof *pair.labels);
    pair.first = layout_floats(layout, count * c);
    pair.inner = layout_floats(layout, count * c);
    pair.pooled = layout_floats(layout, count * c);
    pair.logits = layout_floats(layout, count * PAIR_LABELS);
    if (trains) {
        pair.d_inner = layout_floats(layout, count * c);
    }
    return pair;
}

static struct span_activations layout_span(struct layout *layout,
                                           const struct model_options *options, float *logits,
                                           int64_t k, bool trains)
{
    const int64_t c = options->hidden;
    const int64_t place = options->span_position_width;
    struct span_activations span = {.logits = logits};
    span.left_rows = layout_take(layout, k, sizeof *span.left_rows);
    span.right_rows = layout_take(layout, k, sizeof *span.right_rows);
    span.places = layout_take(layout, k, sizeof *span.places);
    span.targets = layout_take(layout, k, sizeof *span.targets);
    span.in = layout_floats(layout, k * (2 * c + place));
    span.part = layout_floats(layout, k * (c > place ? c : place));
    span.inner = layout_transform(layout, k, c, trains);
    span.outer = layout_transform(layout, k, c, trains);
    if (trains) {
        span.d_in = layout_floats(layout, k * (2 * c + place));
        span.inner.d_normed = layout_floats(layout, k * c);
        span.outer.d_normed = layout_floats(layout, k * c);
    }
    return span;
}

static void layout_heads(struct layout *layout, struct activations *activations,
                         const struct model_options *options, const struct parameter_table *table,
                         const struct batch_limits *limits, bool trains)
{
    const int64_t group = parameter_head_group(table);
    const int64_t k = limits->target_count;
    const bool transforms = parameter_maybe(table, group, PARAMETER_HEAD_WEIGHT) != NULL;
    activations->head = layout_head(layout, options, &activations->parts, transforms, k, trains);
    if (parameter_maybe(table, group, PARAMETER_PAIR_WEIGHT) != NULL) {
        activations->pair = layout_pair(layout, options, limits->sequence_count, trains);
    }
    if (parameter_maybe(table, group, PARAMETER_SPAN_POSITION) != NULL) {
        activations->span = layout_span(layout, options, activations->head.logits, k, trains);
    }
}

/* The first group whose memory `group` uses: itself, unless an earlier one of the section never
 * needs it at the same time. */
static int64_t group_to_share_with(const struct parameter_table *table,
                                   const struct section *section, int64_t group)
{
    const struct parameter_group *const groups = table->groups;
    int64_t other = 0;
    while (other < group && (groups[other].kind != groups[group].kind ||
                             groups[other].place != groups[group].place ||
                             !section_adds_to_group(section, table, other))) {
        other++;
    }
    return other;
}

static struct gradient_blocks layout_blocks(struct layout *layout, const struct parts *parts,
                                            const struct parameter_table *table, int64_t group)
{
    const int64_t count = gradient_blocks_list(table, parts, group, NULL);
    struct gradient_block *const blocks = layout_take(layout, count, sizeof *blocks);
    return (struct gradient_blocks){
        .blocks = blocks,
        .count = gradient_blocks_list(table, parts, group, blocks),
        .elements = gradient_blocks_elements(table, parts, group),
    };
}

static void layout_gradients(struct layout *layout, struct activations *activations,
                             const struct parameter_table *table)
{
    const struct section *const section = &activations->section;
    const struct parts *const parts = &activations->parts;
    struct gradient_blocks *const blocks =
        layout_take(layout, table->group_count, sizeof *activations->blocks);
    float **const gradients =
        layout_take(layout, table->group_count, sizeof *activations->gradients);
    for (int64_t group = 0; group < table->group_count; group++) {
        const struct gradient_blocks own = layout_blocks(layout, parts, table, group);
        if (blocks != NULL) {
            blocks[group] = own;
        }
    }
    activations->blocks = blocks;
    activations->gradients = gradients;
    for (int64_t group = 0; group < table->group_count; group++) {
        if (!section_adds_to_group(section, table, group)) {
            continue;
        }
        const int64_t other = group_to_share_with(table, section, group);
        const int64_t elements = gradient_blocks_elements(table, parts, group);
        float *const own = other == group ? layout_floats(layout, elements) : NULL;
        if (gradients != NULL) {
            gradients[group] = other == group ? own : gradients[other];
        }
    }
}

static struct handover layout_handover(struct layout *layout, const struct model_options *options,
                                       const struct parameter_table *table,
                                       const struct parts *parts, const struct section *section,
                                       int64_t n)
{
    const bool first = section_is_first(section);
    const bool last = section_is_last(section);
    struct handover handover = {.words_count = last ? section->count - 1 : 1,
                                .words_size = n * model_embedding_width(options),
                                .state_size = n * options->hidden};
    handover.gradient_size =
        handover.state_size + cut_groups_size(table, parts, section->end_layer);
    if (section->count == 1) {
        return handover;
    }
    if (!last) {
        handover.leaving = layout_floats(layout, handover.state_size);
        handover.d_leaving = layout_floats(layout, handover.gradient_size);
    }
    if (!first) {
        handover.d_entering = layout_floats(
            layout, handover.state_size + cut_groups_size(table, parts, section->first_layer));
    }
    if (first || last) {
        handover.words = layout_floats(layout, handover.words_count * handover.words_size);
    }
    return handover;
}

static int32_t *layout_integers(struct layout *layout, int64_t count)
{
    return layout_take(layout, count, sizeof(int32_t));
}

static struct streams layout_streams(struct layout *layout, int64_t rows, int64_t keys,
                                     const struct batch_limits *limits)
{
    struct streams streams = {0};
    streams.key_starts = layout_integers(layout, limits->sequence_count + 1);
    streams.memory_counts = layout_integers(layout, limits->sequence_count);
    streams.key_rows = layout_integers(layout, keys);
    streams.key_orders = layout_integers(layout, keys);
    streams.key_segments = layout_integers(layout, keys);
    streams.places = layout_integers(layout, rows);
    streams.query_orders = layout_integers(layout, rows);
    streams.query_segments = layout_integers(layout, rows);
    streams.query_starts = layout_integers(layout, limits->sequence_count + 1);
    streams.query_rows = layout_integers(layout, limits->target_count);
    return streams;
}

static struct relative_activations layout_relative(struct layout *layout,
                                                   const struct kernels *kernels,
                                                   const struct model_options *options,
                                                   int64_t rows, const struct batch_limits *limits,
                                                   bool trains)
{
    const int64_t c = options->hidden;
    const int64_t keys = streams_keys_max(options, limits);
    const int64_t longest = streams_keys_longest(options, limits);
    const int64_t distances = 2 * longest - 1; /* either way */
    struct relative_activations relative = {.distance_most = longest - 1, .c = c};
    relative.streams = layout_streams(layout, rows, keys, limits);
    relative.distances = layout_floats(layout, distances * c);
    relative.r = layout_floats(layout, distances * c);
    relative.k = layout_floats(layout, keys * c);
    relative.v = layout_floats(layout, keys * c);
    if (trains) {
        relative.d_r = layout_floats(layout, distances * c);
        relative.d_k = layout_floats(layout, keys * c);
        relative.d_v = layout_floats(layout, keys * c);
    }
    relative.scratch =
        layout_floats(layout, kernels->relative_scratch(longest, c / options->heads));
    if (relative.distances != NULL) {
        kernels_sinusoids(relative.distances, relative.distance_most, options->distance_max,
                          distances, c);
    }
    return relative;
}

const float *relative_distances(const struct relative_activations *relative, int64_t first)
{
    INVARIANT(first <= relative->distance_most);
    return relative->distances + (relative->distance_most - first) * relative->c;
}

static void layout_parts(struct layout *layout, struct parts *parts,
                         const struct model_options *options, int64_t n, int64_t k)
{
    const int64_t chunk = head_chunk_rows(options->vocabulary);
    parts->partial_elements = n * options->hidden;
    parts->partials = layout_floats(layout, parts_levels(parts) * parts->partial_elements);
    parts->vector = layout_floats(layout, 3 * options->hidden);
    parts->ids = layout_integers(layout, n);
    parts->softmax =
        layout_take(layout, (parts->count + 1) * (k < chunk ? k : chunk), sizeof *parts->softmax);
}

/* What each further slot in flight has of its own. */
static void layout_sets(struct layout *layout, struct activations *sets, int64_t count,
                        const struct model_options *options, const struct parameter_table *table,
                        int64_t n, const struct model_role *role)
{
    const struct section *const section = &sets->section;
    const struct layer_activations *const layers = sets->layers;
    const struct layer_activations none = {0};
    for (int64_t i = 1; i < count; i++) {
        struct activations set = *sets;
        set.embedding = layout_embedding(layout, options, table, section, n);
        set.layers = layout_layers(layout, options, &sets->parts, n, role, section,
                                   layers == NULL ? &none : &layers[section->first_layer]);
        if (layers != NULL) {
            sets[i] = set;
        }
    }
}

static void layout_all(struct layout *layout, struct activations *sets,
                       const struct kernels *kernels, const struct model_options *options,
                       const struct parameter_table *table, const struct batch_limits *limits,
                       const struct model_role *role)
{
    const struct family *const family = family_find(options);
    INVARIANT(family != NULL);
    const int64_t n = limits->token_count + (family->relative ? limits->target_count : 0);
    const int64_t c = options->hidden;
    struct activations *const activations = sets;
    activations->parts =
        parts_make(role->tensor_parts, role->tensor_member, role->tensor_count, role->exchange);
    const struct parts *const parts = &activations->parts;
    activations->section = section_of(options, limits, role);
    const struct section *const section = &activations->section;
    activations->embedding = layout_embedding(layout, options, table, section, n);
    activations->recompute = role->recompute;
    activations->layers = layout_layers(layout, options, parts, n, role, section, NULL);
    if (options->norm == MODEL_NORM_PRE) {
        activations->final_norm = layout_norm(layout, n);
    }
    if (section_is_last(section)) {
        layout_heads(layout, activations, options, table, limits, role->trains);
    }
    activations->handover = layout_handover(layout, options, table, parts, section, n);
    for (int i = 0; i < ACTIVATIONS_NARROW; i++) {
        activations->narrow[i] = layout_floats(layout, n * c);
    }
    const int64_t local_f = parts_local(parts, options->feed_forward).count;
    const int64_t local_c = parts_local(parts, c).count;
    const int64_t wide = local_f > 3 * local_c ? local_f : 3 * local_c;
    activations->wide = layout_floats(layout, (n + 1) * wide);
    activations->needed_rows = layout_integers(layout, n);
    const int64_t longest = longest_sequence(options, n);
    if (family->relative) {
        activations->relative = layout_relative(layout, kernels, options, n, limits, role->trains);
    } else {
        activations->attention_scratch =
            layout_floats(layout, kernels->attention_scratch(longest, c / options->heads));
    }
    if (parts->count > 1) {
        layout_parts(layout, &activations->parts, options, n, limits->target_count);
    }
    if (role->trains) {
        layout_gradients(layout, activations, table);
    }
    layout_sets(layout, sets, activations_sets(options, limits, role), options, table, n, role);
}

int64_t activations_sets(const struct model_options *options, const struct batch_limits *limits,
                         const struct model_role *role)
{
    const struct section section = section_of(options, limits, role);
    return role->trains ? section_slots_in_flight(&section) : 1;
}

static size_t operand_bytes(const struct kernels *kernels)
{
    return kernels->round != NULL ? sizeof(uint16_t) : sizeof(float);
}

int64_t activations_bytes(const struct kernels *kernels, const struct model_options *options,
                          const struct parameter_table *table, const struct batch_limits *limits,
                          const struct model_role *role)
{
    struct layout count = {.operand_bytes = operand_bytes(kernels)};
    struct activations unused = {0};
    layout_all(&count, &unused, kernels, options, table, limits, role);
    return (int64_t)count.used_bytes;
}

void activations_open(struct activations *sets, const struct kernels *kernels,
                      const struct model_options *options, const struct parameter_table *table,
                      const struct batch_limits *limits, const struct model_role *role)
{
    *sets = (struct activations){0};
    const int64_t bytes = activations_bytes(kernels, options, table, limits, role);
    void *const block = memory_take((size_t)bytes, 1, "activations");
    struct layout layout = {.base = block, .operand_bytes = operand_bytes(kernels)};
    layout_all(&layout, sets, kernels, options, table, limits, role);
    sets->block = block;
}

void activations_close(struct activations *sets)
{
    memory_release(sets->block);
    *sets = (struct activations){0};
}
