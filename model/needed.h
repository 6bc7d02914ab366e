/* Rows that the end of the network needs. Heads read few rows of the last hidden state: the targets, first rows of
 * labelled sequences, boundaries of spans. In the last layer all other rows need be no more than keys and values, so
 * they are left out of the rest: queries, heads, attention_sum, inner, output_sum, the norms and the dropout of that
 * layer's second part hold the needed rows only, side by side (gradients of queries go back to their rows). What is
 * left has the bits of a pass over all rows, but for that dropout, which counts the needed rows, and for sums over
 * rows, which have fewer terms. */
#ifndef SHARDLM_MODEL_NEEDED_H
#define SHARDLM_MODEL_NEEDED_H

#include "model/pass.h"

/* Whether rows are left out at all: not where most are targets, nor in attention by distance. A function of the batch
 * alone. */
bool needed_is_part(const struct model_options *options, const struct batch *batch);
/* Fills pass->needed_rows (memory of N) and needed_count for what objective.h reads. */
void needed_plan(struct pass *pass, int32_t *rows);

/* `pass` as it is behind the attention of `layer`: with the rows that are needed there. */
struct pass needed_pass(const struct pass *pass, int64_t layer);
/* Whether the needed rows alone ask in the attention of `layer`; with a cache of keys all rows do. */
bool needed_asks(const struct pass *pass, int64_t layer);
/* The needed rows of `in` (N, width): in `out`, which may be `in`, or `in` itself where all are needed. */
const float *needed_gather(const struct pass *pass, int64_t layer, float *out, const float *in,
                           int64_t width);
/* Back to their places, rows being `ld` elements apart; rows between them become 0. */
void needed_spread(const struct pass *pass, int64_t layer, float *rows, int64_t width, int64_t ld);

#endif
