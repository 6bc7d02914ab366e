/* See activations.h. */
#include "model/activations.h"

#include "base/error.h"
#include "base/memory.h"

/* Hands out pieces of a block, or only counts them while there is none. */
struct layout {
    unsigned char *base; /* NULL: count */
    size_t used_bytes;
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

static struct layer_activations layout_layer(struct layout *layout,
                                             const struct model_options *options, int64_t n)
{
    const int64_t c = options->hidden;
    struct layer_activations layer;
    layer.qkv = layout_floats(layout, n * 3 * c);
    layer.heads = layout_floats(layout, n * c);
    layer.log_sum = layout_floats(layout, n * options->heads);
    layer.attention_sum = layout_floats(layout, n * c);
    layer.inner = layout_floats(layout, n * options->feed_forward);
    layer.output_sum = layout_floats(layout, n * c);
    layer.attention_norm = layout_norm(layout, n);
    layer.feed_forward_norm = layout_norm(layout, n);
    layer.attention_bits = layout_bits(layout, n * c);
    layer.feed_forward_bits = layout_bits(layout, n * c);
    return layer;
}

static struct head_activations
layout_head(struct layout *layout, const struct model_options *options, int64_t k, bool trains)
{
    const int64_t c = options->hidden;
    const int64_t chunk = head_chunk_rows(options->vocabulary);
    struct head_activations head = {0};
    head.rows = layout_floats(layout, k * c);
    head.inner = layout_floats(layout, k * c);
    head.activated = layout_floats(layout, k * c);
    head.normed = layout_floats(layout, k * c);
    head.norm = layout_norm(layout, k);
    head.logits = layout_floats(layout, (k < chunk ? k : chunk) * options->vocabulary);
    if (trains) {
        head.d_normed = layout_floats(layout, k * c);
        head.d_inner = layout_floats(layout, k * c);
    }
    return head;
}

static void layout_gradients(struct layout *layout, struct activations *activations,
                             const struct parameter_table *table)
{
    const struct parameter_group *const groups = table->groups;
    activations->embedding_gradient =
        layout_floats(layout, groups[parameter_embedding_group(table)].count);
    activations->layer_gradient =
        layout_floats(layout, groups[parameter_layer_group(table, 0)].count);
    activations->head_gradient = layout_floats(layout, groups[parameter_head_group(table)].count);
}

static void layout_all(struct layout *layout, struct activations *activations,
                       const struct kernels *kernels, const struct model_options *options,
                       const struct parameter_table *table, const struct batch_limits *limits,
                       bool trains)
{
    const int64_t n = limits->token_count;
    const int64_t c = options->hidden;
    activations->embedding.sum = layout_floats(layout, n * c);
    activations->embedding.embedded = layout_floats(layout, n * c);
    activations->embedding.norm = layout_norm(layout, n);
    activations->embedding.bits = layout_bits(layout, n * c);

    struct layer_activations *const layers =
        layout_take(layout, options->layers, sizeof *activations->layers);
    activations->layers = layers;
    struct layer_activations layer = layout_layer(layout, options, n);
    for (int64_t i = 0; i < options->layers; i++) {
        if (i > 0 && trains) {
            layer = layout_layer(layout, options, n);
        }
        if (layers != NULL) {
            layers[i] = layer;
        }
    }
    if (options->norm == MODEL_NORM_PRE) {
        activations->final_norm = layout_norm(layout, n);
    }
    activations->head = layout_head(layout, options, limits->target_count, trains);

    for (int i = 0; i < ACTIVATIONS_NARROW; i++) {
        activations->narrow[i] = layout_floats(layout, n * c);
    }
    const int64_t wide = options->feed_forward > 3 * c ? options->feed_forward : 3 * c;
    activations->wide = layout_floats(layout, n * wide);
    const int64_t longest = options->positions < n ? options->positions : n;
    activations->attention_scratch =
        layout_floats(layout, kernels->attention_scratch(longest, c / options->heads));
    if (trains) {
        layout_gradients(layout, activations, table);
    }
}

int64_t activations_bytes(const struct kernels *kernels, const struct model_options *options,
                          const struct parameter_table *table, const struct batch_limits *limits,
                          bool trains)
{
    struct layout count = {0};
    struct activations unused = {0};
    layout_all(&count, &unused, kernels, options, table, limits, trains);
    return (int64_t)count.used_bytes;
}

void activations_open(struct activations *activations, const struct kernels *kernels,
                      const struct model_options *options, const struct parameter_table *table,
                      const struct batch_limits *limits, bool trains)
{
    *activations = (struct activations){0};
    const int64_t bytes = activations_bytes(kernels, options, table, limits, trains);
    void *const block = memory_take((size_t)bytes, 1, "activations");
    struct layout layout = {.base = block};
    layout_all(&layout, activations, kernels, options, table, limits, trains);
    activations->block = block;
}

void activations_close(struct activations *activations)
{
    memory_release(activations->block);
    *activations = (struct activations){0};
}
