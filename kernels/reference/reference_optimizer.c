/* AdamW, LAMB, and the sum of squares that clipping needs. */
#include <math.h>

#include "kernels/operations.h"
#include "kernels/reference/reference_lanes.h"

void adamw_reference(const struct kernels_state *to, const struct kernels_state *from,
                     const float *gradient, const struct kernels_adamw *options, int64_t count)
{
    const float keep = (float)(1.0 - options->rate * options->weight_decay);
    const float rate = (float)(options->rate * options->correction1);
    for (int64_t i = 0; i < count; i++) {
        const float g = gradient[i] * (float)options->gradient_scale;
        const float m = (float)options->beta1 * from->first[i] + (float)(1.0 - options->beta1) * g;
        const float v =
            (float)options->beta2 * from->second[i] + (float)(1.0 - options->beta2) * (g * g);
        const float root = sqrtf(v * (float)options->correction2);
        to->weights[i] = from->weights[i] * keep - rate * (m / (root + (float)options->epsilon));
        to->first[i] = m;
        to->second[i] = v;
    }
}

void lamb_moments_reference(float *first, float *second, const float *gradient,
                            const struct kernels_adamw *options, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float g = gradient[i] * (float)options->gradient_scale;
        first[i] = (float)options->beta1 * first[i] + (float)(1.0 - options->beta1) * g;
        second[i] = (float)options->beta2 * second[i] + (float)(1.0 - options->beta2) * (g * g);
    }
}

void lamb_direction_reference(float *direction, const float *weights, const float *first,
                              const float *second, const struct kernels_adamw *options,
                              int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float root = sqrtf(second[i] * (float)options->correction2);
        direction[i] = first[i] * (float)options->correction1 / (root + (float)options->epsilon) +
                       (float)options->weight_decay * weights[i];
    }
}

void lamb_apply_reference(float *weights, const float *direction, double step, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        weights[i] -= (float)step * direction[i];
    }
}

double square_sum_reference(const float *values, int64_t count)
{
    double lanes[KERNELS_LANES] = {0};
    for (int64_t i = 0; i < count; i++) {
        lanes[i % KERNELS_LANES] += (double)values[i] * (double)values[i];
    }
    return square_sums_total(lanes);
}
