/* AdamW in one pass, LAMB in three, and the sum of squares that clipping needs. */
#include <math.h>

#include "kernels/cpu/cpu_level.h"

enum { LINE_FLOATS = 16, LOCALITY_SECOND = 2 /* of __builtin_prefetch: second-level cache */ };

void OPERATION(adamw)(float *weights, float *first, float *second, const float *gradient,
                      const struct kernels_adamw *options, int64_t count)
{
    const float gradient_scale = (float)options->gradient_scale;
    const float beta1 = (float)options->beta1;
    const float beta2 = (float)options->beta2;
    const float rest1 = (float)(1.0 - options->beta1);
    const float rest2 = (float)(1.0 - options->beta2);
    const float correction = (float)options->correction2;
    const float epsilon = (float)options->epsilon;
    const float keep = (float)(1.0 - options->rate * options->weight_decay);
    const float rate = (float)(options->rate * options->correction1);
    for (int64_t line = 0; line < count; line += LINE_FLOATS) {
        const int64_t end = line + LINE_FLOATS < count ? line + LINE_FLOATS : count;
        if (options->ahead != 0) {
            __builtin_prefetch(weights + line + options->ahead, 0, LOCALITY_SECOND);
            __builtin_prefetch(first + line + options->ahead, 0, LOCALITY_SECOND);
            __builtin_prefetch(second + line + options->ahead, 0, LOCALITY_SECOND);
        }
        SIMD
        for (int64_t i = line; i < end; i++) {
            const float g = gradient[i] * gradient_scale;
            const float m = beta1 * first[i] + rest1 * g;
            const float v = beta2 * second[i] + rest2 * (g * g);
            first[i] = m;
            second[i] = v;
            weights[i] = weights[i] * keep - rate * (m / (sqrtf(v * correction) + epsilon));
        }
    }
}

void OPERATION(lamb_moments)(float *first, float *second, const float *gradient,
                             const struct kernels_adamw *options, int64_t count)
{
    const float gradient_scale = (float)options->gradient_scale;
    const float beta1 = (float)options->beta1;
    const float beta2 = (float)options->beta2;
    const float rest1 = (float)(1.0 - options->beta1);
    const float rest2 = (float)(1.0 - options->beta2);
    SIMD
    for (int64_t i = 0; i < count; i++) {
        const float g = gradient[i] * gradient_scale;
        first[i] = beta1 * first[i] + rest1 * g;
        second[i] = beta2 * second[i] + rest2 * (g * g);
    }
}

void OPERATION(lamb_direction)(float *direction, const float *weights, const float *first,
                               const float *second, const struct kernels_adamw *options,
                               int64_t count)
{
    const float correction1 = (float)options->correction1;
    const float correction2 = (float)options->correction2;
    const float epsilon = (float)options->epsilon;
    const float decay = (float)options->weight_decay;
    SIMD
    for (int64_t i = 0; i < count; i++) {
        const float root = sqrtf(second[i] * correction2);
        direction[i] = first[i] * correction1 / (root + epsilon) + decay * weights[i];
    }
}

void OPERATION(lamb_apply)(float *weights, const float *direction, double step, int64_t count)
{
    const float factor = (float)step;
    SIMD
    for (int64_t i = 0; i < count; i++) {
        weights[i] -= factor * direction[i];
    }
}

double OPERATION(square_sum)(const float *values, int64_t count)
{
    typedef double quarter_lanes __attribute__((vector_size(32)));
    typedef float quarter_floats __attribute__((vector_size(16)));
    quarter_lanes sum[4] = {{0}, {0}, {0}, {0}};
    int64_t i = 0;
    for (; i + KERNELS_LANES <= count; i += KERNELS_LANES) {
        for (int q = 0; q < 4; q++) {
            quarter_floats part;
            memcpy(&part, values + i + 4 * q, sizeof part);
            const quarter_lanes wide = __builtin_convertvector(part, quarter_lanes);
            sum[q] += wide * wide;
        }
    }
    for (int l = 0; i + l < count; l++) {
        sum[l / 4][l % 4] += (double)values[i + l] * (double)values[i + l];
    }
    const quarter_lanes four = (sum[0] + sum[2]) + (sum[1] + sum[3]);
    return (four[0] + four[2]) + (four[1] + four[3]);
}
