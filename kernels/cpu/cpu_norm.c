/* LayerNorm of a residual sum, and its gradient. A row is read from memory once and stays in the
 * first-level cache for its other passes. */
#include <math.h>

#include "kernels/cpu/cpu_dropout.h"

/* sum = residual + dropout(x + bias) for one row; `bits_at` is its first element's number, of
 * bits_count. */
struct row_sum {
    const float *residual;
    const float *x;
    const float *bias;
    const uint32_t *bits;
    int64_t bits_at;
    int64_t bits_count;
    float scale;
};

static inline float element_sum(const struct row_sum *row, int64_t j, uint32_t word, int l,
                                bool biased, bool dropped, bool added)
{
    float value = row->x[j];
    if (biased) {
        value += row->bias[j];
    }
    if (dropped) {
        value = dropout_select(word, l, value * row->scale);
    }
    return added ? row->residual[j] + value : value;
}

/* The three flags are constants where this is called, so that the loops have no branches. */
static inline __attribute__((always_inline)) void
row_sum_as(float *sum, const struct row_sum *row, int64_t c, bool biased, bool dropped, bool added)
{
    for (int64_t first = 0; first < c; first += 32) {
        const uint32_t word =
            dropped ? dropout_word(row->bits, row->bits_at + first, row->bits_count) : 0;
        if (first + 32 <= c) {
            SIMD
            for (int l = 0; l < 32; l++) {
                sum[first + l] = element_sum(row, first + l, word, l, biased, dropped, added);
            }
        } else {
            for (int l = 0; first + l < c; l++) {
                sum[first + l] = element_sum(row, first + l, word, l, biased, dropped, added);
            }
        }
    }
}

static void row_sum(float *sum, const struct row_sum *row, int64_t c)
{
    const int kind =
        (row->bias != NULL ? 4 : 0) | (row->bits != NULL ? 2 : 0) | (row->residual != NULL ? 1 : 0);
    switch (kind) {
    case 0:
        memmove(sum, row->x, (size_t)c * sizeof *sum);
        break;
    case 1:
        row_sum_as(sum, row, c, false, false, true);
        break;
    case 2:
        row_sum_as(sum, row, c, false, true, false);
        break;
    case 3:
        row_sum_as(sum, row, c, false, true, true);
        break;
    case 4:
        row_sum_as(sum, row, c, true, false, false);
        break;
    case 5:
        row_sum_as(sum, row, c, true, false, true);
        break;
    case 6:
        row_sum_as(sum, row, c, true, true, false);
        break;
    default:
        row_sum_as(sum, row, c, true, true, true);
        break;
    }
}

static inline struct lanes squares_add(struct lanes sum, struct lanes centred)
{
    return lanes_add(sum, lanes_multiply(centred, centred));
}

static float row_variance(const float *row, float mean, int64_t c)
{
    struct lanes sum = lanes_zero();
    int64_t j = 0;
    for (; j + KERNELS_LANES <= c; j += KERNELS_LANES) {
        sum = squares_add(sum, lanes_subtract_value(lanes_load(row + j), mean));
    }
    float rest[KERNELS_LANES] = {0};
    for (int l = 0; j + l < c; l++) {
        rest[l] = row[j + l] - mean;
    }
    return lanes_total(squares_add(sum, lanes_load(rest))) / (float)c;
}

void OPERATION(residual_norm_forward)(float *sum, float *normed, float *mean, float *rstd,
                                      const float *residual, const float *x, const float *bias,
                                      const uint32_t *bits, float scale, const float *gain,
                                      const float *shift, float epsilon, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        float *const row = sum + i * c;
        const struct row_sum parts = {.residual = residual == NULL ? NULL : residual + i * c,
                                      .x = x + i * c,
                                      .bias = bias,
                                      .bits = bits,
                                      .bits_at = i * c,
                                      .bits_count = n * c,
                                      .scale = scale};
        if (row != parts.x || bias != NULL || bits != NULL || residual != NULL) {
            row_sum(row, &parts, c);
        }
        if (normed != NULL) {
            const float row_mean = lanes_sum(row, c) / (float)c;
            const float row_rstd = 1.0F / sqrtf(row_variance(row, row_mean, c) + epsilon);
            float *const out = normed + i * c;
            SIMD
            for (int64_t j = 0; j < c; j++) {
                out[j] = (row[j] - row_mean) * row_rstd * gain[j] + shift[j];
            }
            mean[i] = row_mean;
            rstd[i] = row_rstd;
        }
    }
}

/* Σ g and Σ g·y of one row, divided by C. */
static void row_means(const float *d_normed, const float *sum, const float *gain, float mean,
                      float rstd, int64_t c, float *mean_g, float *mean_gy)
{
    struct lanes total_g = lanes_zero();
    struct lanes total_gy = lanes_zero();
    int64_t j = 0;
    for (; j + KERNELS_LANES <= c; j += KERNELS_LANES) {
        const struct lanes y =
            lanes_multiply_value(lanes_subtract_value(lanes_load(sum + j), mean), rstd);
        const struct lanes g = lanes_multiply(lanes_load(d_normed + j), lanes_load(gain + j));
        total_g = lanes_add(total_g, g);
        total_gy = lanes_add(total_gy, lanes_multiply(g, y));
    }
    float rest_g[KERNELS_LANES] = {0};
    float rest_gy[KERNELS_LANES] = {0};
    for (int l = 0; j + l < c; l++) {
        rest_g[l] = d_normed[j + l] * gain[j + l];
        rest_gy[l] = rest_g[l] * ((sum[j + l] - mean) * rstd);
    }
    *mean_g = lanes_total(lanes_add(total_g, lanes_load(rest_g))) / (float)c;
    *mean_gy = lanes_total(lanes_add(total_gy, lanes_load(rest_gy))) / (float)c;
}

/* What a row's gradient needs beside its arrays. */
struct row_moments {
    float mean;
    float rstd;
    float mean_g;
    float mean_gy;
};

/* `passed` is a constant where this is called. */
static inline __attribute__((always_inline)) void
row_backward_as(float *d_sum, float *d_gain, float *d_shift, const float *d_pass,
                const float *d_normed, const float *sum, const float *gain,
                struct row_moments moments, int64_t c, bool passed)
{
    SIMD
    for (int64_t j = 0; j < c; j++) {
        const float y = (sum[j] - moments.mean) * moments.rstd;
        const float d_y = d_normed[j];
        const float d = moments.rstd * (d_y * gain[j] - moments.mean_g - y * moments.mean_gy);
        d_gain[j] += d_y * y;
        d_shift[j] += d_y;
        d_sum[j] = passed ? d_pass[j] + d : d;
    }
}

void OPERATION(norm_backward)(float *d_sum, float *d_gain, float *d_shift, const float *d_pass,
                              const float *d_normed, const float *sum, const float *mean,
                              const float *rstd, const float *gain, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = i * c;
        struct row_moments moments = {.mean = mean[i], .rstd = rstd[i]};
        row_means(d_normed + at, sum + at, gain, mean[i], rstd[i], c, &moments.mean_g,
                  &moments.mean_gy);
        if (d_pass == NULL) {
            row_backward_as(d_sum + at, d_gain, d_shift, NULL, d_normed + at, sum + at, gain,
                            moments, c, false);
        } else {
            row_backward_as(d_sum + at, d_gain, d_shift, d_pass + at, d_normed + at, sum + at, gain,
                            moments, c, true);
        }
    }
}
