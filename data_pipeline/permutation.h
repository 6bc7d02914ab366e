/* Permutation language modelling (XLNet): which tokens of a sequence are predicted, in which order,
 * and who may see whom. Two numbers a token say it all; no T x T mask is made:
 *     j is visible to i  <=>  horizons[i] > orders[j], and to its own content stream always.
 * Kinds of token: targets are predicted; functional ones (separators, classes) are neither
 * predicted nor context; all others are context, seen by all, and see context only. A token's order
 * is -1 for context, else its rank in the factorisation order; its horizon is 0 for context, its
 * rank for a target, its rank + 1 for a functional token. So a target sees the context, and targets
 * and functional tokens of lower rank.
 * Choosing targets goes through the sequence: n = 1 .. 5 words with p(n) ~ 1/n, after a uniform 0
 * to 6 n - 1 tokens of context, and behind them as much as makes six tokens of context for each
 * token of the span (words differ in length: a fixed 6 n would draw the targets to the left); until
 * `goal` tokens are chosen (85 of 512). What the spans leave open is chosen token by token, each
 * alike. Everything is a pure function of the draw. The sequence's memory of earlier segments is
 * context to all, and no part of this. */
#ifndef SHARDLM_DATA_PIPELINE_PERMUTATION_H
#define SHARDLM_DATA_PIPELINE_PERMUTATION_H

#include "data_pipeline/sampling.h"

enum {
    PERMUTATION_SPAN_WORDS_MAX = 5,
    PERMUTATION_CONTEXT = 6, /* tokens of context for each target, both sides together */
};

enum permutation_kind {
    PERMUTATION_KIND_CONTEXT,
    PERMUTATION_KIND_TARGET,
    PERMUTATION_KIND_FUNCTIONAL,
};

/* Keys for (seed, epoch); part: as in sampling.h. */
struct permutation_draw {
    struct random_key targets;
    struct random_key order;
    uint64_t part;
};
struct permutation_draw permutation_draw_make(uint64_t seed, int64_t epoch, int64_t document,
                                              int64_t offset);

/* Length of a span in words for a uniform number in [0, 1). */
int64_t permutation_span_words(double uniform);

/* Fills kinds (count): special tokens of the table are functional; exactly `goal` others are
 * targets, or all of them if there are fewer. Returns the number of targets. */
int64_t permutation_choose_targets(const struct sampling_table *table,
                                   const struct permutation_draw *draw, const int32_t *ids,
                                   int64_t count, int64_t goal, enum permutation_kind *kinds);

/* Fills ranks (count), the step of the factorisation at which each place stands: every order is
 * equally likely. Places are permuted within blocks of `block` (>= 1, the last may be shorter):
 * ranks of a block are its places' numbers. XLNet's block is the part that is new to the memory. */
void permutation_draw_ranks(const struct permutation_draw *draw, int64_t count, int64_t block,
                            int32_t *ranks);

/* Fills orders (count) and horizons (count). */
void permutation_make_orders(const enum permutation_kind *kinds, const int32_t *ranks,
                             int64_t count, int32_t *orders, int32_t *horizons);

#endif
