/* See attention_cache.h. */
#include "model/attention_cache.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

void attention_cache_init(struct attention_cache *cache, const struct kernels *kernels,
                          const struct model_options *options, int64_t capacity)
{
    INVARIANT(capacity >= 1 && capacity < INT32_MAX / 2);
    const size_t rows = (size_t)capacity;
    const size_t row = (size_t)options->hidden;
    *cache = (struct attention_cache){
        .kernels = kernels,
        .heads = options->heads,
        .width = options->hidden,
        .capacity = capacity,
        .keys = memory_take((size_t)options->layers * rows * row, sizeof(float), "keys"),
        .values = memory_take((size_t)options->layers * rows * row, sizeof(float), "values"),
        .queries = memory_take(rows * row, sizeof(float), "queries"),
        .zeros = memory_take(2 * rows * row, sizeof(float), "zeros"),
        .scratch = memory_take(
            (size_t)kernels->relative_scratch(capacity, options->hidden / options->heads),
            sizeof(float), "attention scratch"),
        .places = memory_take(rows, sizeof(int32_t), "places"),
        .orders = memory_take(rows, sizeof(int32_t), "orders"),
    };
    for (int64_t i = 0; i < capacity; i++) {
        cache->places[i] = (int32_t)i;
        cache->orders[i] = (int32_t)i + 1;
    }
}

void attention_cache_deinit(struct attention_cache *cache)
{
    memory_release(cache->orders);
    memory_release(cache->places);
    memory_release(cache->scratch);
    memory_release(cache->zeros);
    memory_release(cache->queries);
    memory_release(cache->values);
    memory_release(cache->keys);
    memset(cache, 0, sizeof *cache);
}

void attention_cache_forward(struct attention_cache *cache, int64_t layer, float *heads,
                             float *log_sum, const float *qkv, int64_t n)
{
    INVARIANT(n >= 1 && cache->count + n <= cache->capacity);
    const int64_t c = cache->width;
    const size_t row_bytes = (size_t)c * sizeof *qkv;
    float *const keys = cache->keys + layer * cache->capacity * c;
    float *const values = cache->values + layer * cache->capacity * c;
    for (int64_t i = 0; i < n; i++) {
        memcpy(cache->queries + i * c, qkv + 3 * i * c, row_bytes);
        memcpy(keys + (cache->count + i) * c, qkv + (3 * i + 1) * c, row_bytes);
        memcpy(values + (cache->count + i) * c, qkv + (3 * i + 2) * c, row_bytes);
    }
    const int32_t query_starts[] = {0, (int32_t)n};
    const int32_t key_starts[] = {0, (int32_t)(cache->count + n)};
    const int64_t head_width = c / cache->heads;
    const struct kernels_relative_inputs inputs = {
        .q = cache->queries,
        .k = keys,
        .v = values,
        .r = cache->zeros,
        .content_bias = cache->zeros,
        .position_bias = cache->zeros,
        .segment_bias = cache->zeros,
        .segment_embedding = cache->zeros,
    };
    const struct kernels_relative_shape shape = {
        .sequence_count = 1,
        .query_starts = query_starts,
        .key_starts = key_starts,
        .heads = cache->heads,
        .head_width = head_width,
        .zero_row = cache->capacity,
        .places = cache->places + cache->count,
        .query_orders = cache->orders + cache->count,
        .key_orders = cache->places,
        .scale = (float)(1.0 / sqrt((double)head_width)),
        .dropout = kernels_dropout_make(0.0, (struct random_key){{0, 0}}, 0),
    };
    cache->kernels->relative_forward(heads, log_sum, &inputs, &shape, cache->scratch);
}
