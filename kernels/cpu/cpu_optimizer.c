/* AdamW in one pass over gradient, weights and moments, LAMB in three, and the sum of squares that
 * clipping needs. */
#include <math.h>

#include "kernels/cpu/cpu_level.h"

/* What adamw() needs of its options, each rounded to float once. */
struct adamw {
    float gradient_scale;
    float beta1, rest1;
    float beta2, rest2;
    float correction;
    float epsilon;
    float keep;
    float rate;
};

/* Up to a line of elements; a constant where this is called. */
static inline __attribute__((always_inline)) void
adamw_line(const struct adamw *adamw, const struct kernels_state *to,
           const struct kernels_state *from, const float *gradient, int64_t first, int64_t count)
{
    SIMD
    for (int64_t i = first; i < first + count; i++) {
        const float g = gradient[i] * adamw->gradient_scale;
        const float m = adamw->beta1 * from->first[i] + adamw->rest1 * g;
        const float v = adamw->beta2 * from->second[i] + adamw->rest2 * (g * g);
        const float root = sqrtf(v * adamw->correction);
        to->first[i] = m;
        to->second[i] = v;
        to->weights[i] =
            from->weights[i] * adamw->keep - adamw->rate * (m / (root + adamw->epsilon));
    }
}

/* Four streams come from memory side by side, each in its order, asked for into the second-level
 * cache: as fast as memory gets. */
void OPERATION(adamw)(const struct kernels_state *to, const struct kernels_state *from,
                      const float *gradient, const struct kernels_adamw *options, int64_t count)
{
    const struct adamw adamw = {.gradient_scale = (float)options->gradient_scale,
                                .beta1 = (float)options->beta1,
                                .rest1 = (float)(1.0 - options->beta1),
                                .beta2 = (float)options->beta2,
                                .rest2 = (float)(1.0 - options->beta2),
                                .correction = (float)options->correction2,
                                .epsilon = (float)options->epsilon,
                                .keep = (float)(1.0 - options->rate * options->weight_decay),
                                .rate = (float)(options->rate * options->correction1)};
    const struct kernels_state out = *to;
    const struct kernels_state in = *from;
    int64_t i = 0;
    for (; i + KERNELS_LANES <= count; i += KERNELS_LANES) {
        stream_prefetch(in.weights + i);
        stream_prefetch(in.first + i);
        stream_prefetch(in.second + i);
        stream_prefetch(gradient + i);
        adamw_line(&adamw, &out, &in, gradient, i, KERNELS_LANES);
    }
    adamw_line(&adamw, &out, &in, gradient, i, count - i);
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
    struct square_sums sum = {{0}, {0}};
    int64_t i = 0;
    for (; i + KERNELS_LANES <= count; i += KERNELS_LANES) {
        square_sums_add(&sum, lanes_load(values + i));
    }
    square_sums_add(&sum, lanes_load_part(values + i, count - i));
    return square_sums_total(&sum);
}
