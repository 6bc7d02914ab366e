/* Which token comes next, from one row of logits: filters that shape the distribution and the draw
 * itself. Deterministic: of equal logits the lower id comes first, the random number is the
 * caller's. It knows no model and no text.
 *
 * A removed token has logit -infinity. Logits are finite or -infinity, one at least is finite. */
#ifndef SHARDLM_TASKS_TOKEN_FILTER_H
#define SHARDLM_TASKS_TOKEN_FILTER_H

#include <stdint.h>

struct token_filter_options {
    double temperature; /* logits are divided by it; above 0, 1: as they are */
    int64_t top_k;      /* keep the k largest; 0: all */
    double top_p;       /* keep the smallest set of largest that has this probability; 1: all */
    double repetition_penalty; /* above 0, 1: none */
};

struct token_filter {
    int64_t v;      /* V: vocabulary */
    int32_t *ids;   /* (V) scratch: a heap of tokens, largest logit first */
    uint8_t *known; /* (V) scratch: token is in the history; all 0 between calls */
};

void token_filter_init(struct token_filter *filter, int64_t v);
void token_filter_deinit(struct token_filter *filter);

/* All filters that `options` ask for, in this order: repetition, temperature, top_k, top_p. */
void token_filter_apply(struct token_filter *filter, float *logits /* (V) */,
                        const int32_t *history /* (count) */, int64_t count,
                        const struct token_filter_options *options);

/* Each token of the history once, however often it occurs: a positive logit is divided by
 * `penalty`, any other multiplied with it. Ids are in [0, V). */
void token_filter_repetition(struct token_filter *filter, float *logits, const int32_t *history,
                             int64_t count, double penalty);
void token_filter_temperature(const struct token_filter *filter, float *logits, double temperature);
/* k >= 1. */
void token_filter_top_k(struct token_filter *filter, float *logits, int64_t k);
/* p in (0, 1]; one token at least stays. */
void token_filter_top_p(struct token_filter *filter, float *logits, double p);

/* The token with the largest logit. */
int32_t token_filter_best(const struct token_filter *filter, const float *logits);
/* The token at `unit` in [0, 1) of the cumulative softmax in the order of ids. */
int32_t token_filter_draw(const struct token_filter *filter, const float *logits, double unit);

#endif
