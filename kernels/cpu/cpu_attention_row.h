/* What every kind of attention does to a row of scores. */
#ifndef SHARDLM_KERNELS_CPU_ATTENTION_ROW_H
#define SHARDLM_KERNELS_CPU_ATTENTION_ROW_H

#include "kernels/cpu/cpu_dropout.h"
#include "kernels/functions.h"

static inline int64_t rounded_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* The kept-bits of keys j to j + 31 (bits behind the row mean nothing). */
static inline uint32_t kept_word(const uint8_t *kept, int64_t j, int64_t keys)
{
    uint32_t word = 0;
    const int64_t left = rounded_up(keys - j, 8) / 8;
    memcpy(&word, kept + j / 8, left < 4 ? (size_t)left : 4);
    return word;
}

static inline void row_drop(float *values, const uint8_t *kept, int64_t keys)
{
    int64_t j = 0;
    for (; j + 32 <= keys; j += 32) {
        const uint32_t word = kept_word(kept, j, keys);
        SIMD
        for (int l = 0; l < 32; l++) {
            values[j + l] = dropout_select(word, l, values[j + l]);
        }
    }
    if (j < keys) {
        const uint32_t word = kept_word(kept, j, keys);
        for (int l = 0; j + l < keys; l++) {
            values[j + l] = dropout_select(word, l, values[j + l]);
        }
    }
}

/* Kept-bits of `rows` queries from number `query` (head · rows in all + row) on, kept_stride bytes
 * each; elements of a query are `longest`, a multiple of 8, apart. */
static inline void rows_kept(uint8_t *kept, const struct kernels_dropout *dropout, int64_t query,
                             int64_t rows, int64_t kept_stride, int64_t longest)
{
    const int64_t count = rows * kept_stride;
    int64_t row = 0;
    int64_t column = 0;
    for (int64_t byte = 0; byte < count; byte += DROPOUT_LANES) {
        uint64_t blocks[DROPOUT_LANES];
        for (int l = 0; l < DROPOUT_LANES; l++) {
            blocks[l] = (uint64_t)((query + row) * (longest / 8) + column);
            if (++column == kept_stride) {
                column = 0;
                row++;
            }
        }
        dropout_bytes(kept + byte, dropout, blocks);
    }
}

static inline void row_exp(float *values, float most, int64_t keys)
{
    SIMD
    for (int64_t j = 0; j < keys; j++) {
        values[j] = function_exp(values[j] - most);
    }
}

static inline void row_scale(float *values, float factor, int64_t count)
{
    SIMD
    for (int64_t j = 0; j < count; j++) {
        values[j] *= factor;
    }
}

/* Scores become what multiplies d_out for d_v (kept P · dropout scale), slopes (dO V') become dS.
 */
static inline void row_slopes(float *scores, float *slopes, const uint8_t *kept,
                              const struct kernels_dropout *dropout, float log_sum, int64_t keys)
{
    if (dropout != NULL) {
        row_drop(slopes, kept, keys);
        row_scale(slopes, dropout->scale, keys);
    }
    row_exp(scores, log_sum, keys);
    SIMD
    for (int64_t j = 0; j < keys; j++) {
        slopes[j] *= scores[j];
    }
    const float delta = lanes_sum(slopes, keys) / lanes_sum(scores, keys);
    SIMD
    for (int64_t j = 0; j < keys; j++) {
        slopes[j] -= scores[j] * delta;
    }
    if (dropout != NULL) {
        row_drop(scores, kept, keys);
        row_scale(scores, dropout->scale, keys);
    }
}

static inline void row_clear(float *values, int64_t from, int64_t to)
{
    memset(values + from, 0, (size_t)(to - from) * sizeof *values);
}

#endif
