/* LayerNorm of a residual sum, and its gradient. */
#include <math.h>

#include "kernels/operations.h"
#include "kernels/reference/reference_dropout.h"
#include "kernels/reference/reference_lanes.h"

static float row_mean(const float *row, int64_t c)
{
    float lanes[KERNELS_LANES] = {0};
    for (int64_t j = 0; j < c; j++) {
        lanes[j % KERNELS_LANES] += row[j];
    }
    return lanes_total(lanes) / (float)c;
}

static float row_variance(const float *row, float mean, int64_t c)
{
    float lanes[KERNELS_LANES] = {0};
    for (int64_t j = 0; j < c; j++) {
        lanes[j % KERNELS_LANES] += (row[j] - mean) * (row[j] - mean);
    }
    return lanes_total(lanes) / (float)c;
}

void residual_norm_forward_reference(float *sum, float *normed, float *mean, float *rstd,
                                     const float *residual, const float *x, const float *bias,
                                     const uint32_t *bits, float scale, const float *gain,
                                     const float *shift, float epsilon, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            float value = x[i * c + j];
            if (bias != NULL) {
                value += bias[j];
            }
            if (bits != NULL) {
                value = dropout_bit(bits, i * c + j) ? value * scale : 0.0F;
            }
            sum[i * c + j] = residual == NULL ? value : residual[i * c + j] + value;
        }
        if (normed != NULL) {
            const float *const row = sum + i * c;
            mean[i] = row_mean(row, c);
            rstd[i] = 1.0F / sqrtf(row_variance(row, mean[i], c) + epsilon);
            for (int64_t j = 0; j < c; j++) {
                normed[i * c + j] = (row[j] - mean[i]) * rstd[i] * gain[j] + shift[j];
            }
        }
    }
}

void norm_backward_reference(float *d_sum, float *d_gain, float *d_shift, const float *d_pass,
                             const float *d_normed, const float *sum, const float *mean,
                             const float *rstd, const float *gain, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        float lanes_g[KERNELS_LANES] = {0};
        float lanes_gy[KERNELS_LANES] = {0};
        for (int64_t j = 0; j < c; j++) {
            const float y = (sum[i * c + j] - mean[i]) * rstd[i];
            const float g = d_normed[i * c + j] * gain[j];
            lanes_g[j % KERNELS_LANES] += g;
            lanes_gy[j % KERNELS_LANES] += g * y;
        }
        const float mean_g = lanes_total(lanes_g) / (float)c;
        const float mean_gy = lanes_total(lanes_gy) / (float)c;
        for (int64_t j = 0; j < c; j++) {
            const float y = (sum[i * c + j] - mean[i]) * rstd[i];
            const float d_y = d_normed[i * c + j];
            const float d = rstd[i] * (d_y * gain[j] - mean_g - y * mean_gy);
            d_gain[j] += d_y * y;
            d_shift[j] += d_y;
            d_sum[i * c + j] = d_pass == NULL ? d : d_pass[i * c + j] + d;
        }
    }
}
