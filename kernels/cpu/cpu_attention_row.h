/* What every kind of attention does to a row of scores. */
#ifndef SHARDLM_KERNELS_CPU_ATTENTION_ROW_H
#define SHARDLM_KERNELS_CPU_ATTENTION_ROW_H

#include "kernels/cpu/cpu_dropout.h"
#include "kernels/functions.h"

static inline int64_t rounded_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Floats from one row of scores to the next: an odd number of lines, so that a tile's rows do not
 * meet in a few sets of the first-level cache. */
static inline int64_t scores_stride(int64_t keys)
{
    return (rounded_up(keys, KERNELS_LANES) / KERNELS_LANES | 1) * KERNELS_LANES;
}

/* Of a block of scores, or of their slopes. The two must not lie a multiple of a page apart: the
 * processor compares the low bits of addresses alone when it looks for a store that a load has to
 * wait for. */
static inline int64_t scores_floats(int64_t rows, int64_t keys)
{
    enum { APART = 256 };
    return rows * scores_stride(keys) + APART;
}

/* Kept-bits of `rows` queries from number `query` (head · rows in all + row) on, kept_stride bytes
 * each, and up to DROPOUT_LANES - 1 more; elements of a query are `longest`, a multiple of 8,
 * apart. */
static inline void rows_kept(uint8_t *kept, const struct kernels_dropout *dropout, int64_t query,
                             int64_t rows, int64_t kept_stride, int64_t longest)
{
    for (int64_t row = 0; row < rows; row++) {
        dropout_bytes(kept + row * kept_stride, dropout, (uint64_t)((query + row) * (longest / 8)),
                      kept_stride);
    }
}

static inline void row_scale(float *values, float factor, int64_t count)
{
    SIMD
    for (int64_t j = 0; j < count; j++) {
        values[j] *= factor;
    }
}

/* Rows are worked on in whole lanes: they are KERNELS_LANES apart or a multiple of it, and what
 * stands in the places behind the last key is nobody's. */
static inline int64_t row_pad(float *values, int64_t keys, float rest)
{
    const int64_t end = rounded_up(keys, KERNELS_LANES);
    for (int64_t j = keys; j < end; j++) {
        values[j] = rest;
    }
    return end;
}

/* The kept-bits of KERNELS_LANES keys from j on (bits behind the row mean nothing); without dropout
 * (NULL) all are kept. */
static inline uint32_t kept_lanes(const uint8_t *kept, int64_t j)
{
    uint16_t word = UINT16_MAX;
    if (kept != NULL) {
        memcpy(&word, kept + j / 8, sizeof word);
    }
    return word;
}

/* Scores become e^(score - most), and 0 where they are not kept; returns the sum before that. */
static inline float row_softmax(float *values, const uint8_t *kept, float most, int64_t keys)
{
    const int64_t end = row_pad(values, keys, -__builtin_inff());
    struct lanes sum = lanes_zero();
    for (int64_t j = 0; j < end; j += KERNELS_LANES) {
        const uint32_t word = kept_lanes(kept, j);
        float powers[KERNELS_LANES];
        SIMD
        for (int l = 0; l < KERNELS_LANES; l++) {
            powers[l] = function_exp(values[j + l] - most);
            values[j + l] = dropout_select(word, l, powers[l]);
        }
        sum = lanes_add(sum, lanes_load(powers));
    }
    return lanes_total(sum);
}

/* Scores become what multiplies d_out for d_v (kept P · dropout scale), slopes (dO V') become dS.
 */
static inline void row_slopes(float *scores, float *slopes, const uint8_t *kept,
                              const struct kernels_dropout *dropout, float log_sum, int64_t keys)
{
    const float scale = dropout != NULL ? dropout->scale : 1.0F;
    const uint8_t *const bits = dropout != NULL ? kept : NULL;
    const int64_t end = row_pad(scores, keys, -__builtin_inff());
    (void)row_pad(slopes, keys, 0.0F);
    struct lanes weight_sum = lanes_zero();
    struct lanes slope_sum = lanes_zero();
    for (int64_t j = 0; j < end; j += KERNELS_LANES) {
        const uint32_t word = kept_lanes(bits, j);
        SIMD
        for (int l = 0; l < KERNELS_LANES; l++) {
            scores[j + l] = function_exp(scores[j + l] - log_sum);
            slopes[j + l] = dropout_select(word, l, slopes[j + l]) * scale * scores[j + l];
        }
        weight_sum = lanes_add(weight_sum, lanes_load(scores + j));
        slope_sum = lanes_add(slope_sum, lanes_load(slopes + j));
    }
    const float delta = lanes_total(slope_sum) / lanes_total(weight_sum);
    for (int64_t j = 0; j < end; j += KERNELS_LANES) {
        const uint32_t word = kept_lanes(bits, j);
        SIMD
        for (int l = 0; l < KERNELS_LANES; l++) {
            slopes[j + l] -= scores[j + l] * delta;
            scores[j + l] = dropout_select(word, l, scores[j + l]) * scale;
        }
    }
}

static inline void row_clear(float *values, int64_t from, int64_t to)
{
    memset(values + from, 0, (size_t)(to - from) * sizeof *values);
}

#endif
