/* Keys and values of the tokens of one text that a causal model has already seen, layer by layer,
 * so that the tokens that follow cost one row each instead of all rows again. Attention to them is
 * the kernels' relative attention with a position table of zeros: the one kernel whose queries are
 * other rows than its keys. */
#ifndef SHARDLM_MODEL_ATTENTION_CACHE_H
#define SHARDLM_MODEL_ATTENTION_CACHE_H

#include "kernels/kernels.h"
#include "model/model_options.h"

struct attention_cache {
    const struct kernels *kernels;
    int64_t heads;
    int64_t width;    /* C */
    int64_t capacity; /* most tokens */
    int64_t count;    /* tokens that all layers have; a pass adds its own to it when it is done */
    float *keys;      /* (L, capacity, C) */
    float *values;    /* (L, capacity, C) */
    float *queries;   /* (capacity, C) of a pass */
    float *zeros;     /* (2 capacity, C) position table; its first row also stands for biases */
    float *scratch;
    int32_t *places; /* (capacity) 0, 1, 2, …: where a key stands, and who comes when */
    int32_t *orders; /* (capacity) 1, 2, 3, …: a query sees itself and what stands before it */
};

void attention_cache_init(struct attention_cache *cache, const struct kernels *kernels,
                          const struct model_options *options, int64_t capacity);
void attention_cache_deinit(struct attention_cache *cache); /* accepts a zeroed cache */

/* Keeps keys and values of `n` new tokens of `layer`, and gives each the attention's output over
 * itself and all before it: heads (n, C), log_sum (H, n). count + n is at most the capacity. */
void attention_cache_forward(struct attention_cache *cache, int64_t layer, float *heads,
                             float *log_sum, const float *qkv /* (n, 3C) */, int64_t n);

#endif
