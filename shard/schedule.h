/* Learning rate of a step. Formulas as in transformers' optimization.py, with the shifted
 * convention: step t = 1, 2, … uses the rule at s = t, so the first update is not lost to a rate of
 * zero. */
#ifndef SHARDLM_SHARD_SCHEDULE_H
#define SHARDLM_SHARD_SCHEDULE_H

#include "shard/optimizer_options.h"

/* Multiplier in [0, 1] at s (>= 0): s / warmup below warmup_steps, then
 *   linear               (total - s) / (total - warmup), not below 0
 *   cosine               (1 + cos(pi · (s - warmup) / (total - warmup))) / 2
 *   inverse_square_root  1 / sqrt(s / warmup)   (warmup 0: timescale 10,000, as the reference)
 *   constant             1 */
double schedule_factor(const struct optimizer_options *options, int64_t s);
double schedule_rate(const struct optimizer_options *options,
                     int64_t step); /* peak_rate · factor(step) */

#endif
