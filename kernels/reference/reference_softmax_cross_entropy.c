/* Softmax and cross entropy over the rows of a logit matrix; the logits become their gradient. */
#include <math.h>

#include "kernels/functions.h"
#include "kernels/operations.h"
#include "kernels/reference/reference_lanes.h"

static int64_t row_best(const float *row, int64_t v)
{
    int64_t best = 0;
    for (int64_t j = 1; j < v; j++) {
        best = row[j] > row[best] ? j : best;
    }
    return best;
}

static double row_exp_sum(const float *row, float most, int64_t v)
{
    double sum = 0;
    for (int64_t first = 0; first < v; first += KERNELS_BLOCK) {
        float lanes[KERNELS_LANES] = {0};
        for (int64_t j = first; j < v && j < first + KERNELS_BLOCK; j++) {
            lanes[j % KERNELS_LANES] += function_exp(row[j] - most);
        }
        sum += (double)lanes_total(lanes);
    }
    return sum;
}

void softmax_cross_entropy_reference(float *logits, const float *bias, const int32_t *targets,
                                     float gradient_scale, double *loss_sum, int64_t *correct,
                                     int64_t count, int64_t v)
{
    for (int64_t i = 0; i < count; i++) {
        float *const row = logits + i * v;
        for (int64_t j = 0; j < v && bias != NULL; j++) {
            row[j] += bias[j];
        }
        const int64_t best = row_best(row, v);
        const float most = row[best];
        const double sum = row_exp_sum(row, most, v);
        *loss_sum += function_log(sum) + ((double)most - (double)row[targets[i]]);
        *correct += best == targets[i] ? 1 : 0;
        if (gradient_scale != 0.0F) {
            const float factor = (float)((double)gradient_scale / sum);
            for (int64_t j = 0; j < v; j++) {
                row[j] = function_exp(row[j] - most) * factor;
            }
            row[targets[i]] -= gradient_scale;
        }
    }
}

void softmax_part_reference(float *logits, int64_t ld, const float *bias, const int32_t *targets,
                            int64_t first, bool keeps, struct kernels_softmax_part *parts,
                            int64_t count, int64_t v)
{
    for (int64_t i = 0; i < count; i++) {
        float *const row = logits + i * ld;
        for (int64_t j = 0; j < v && bias != NULL; j++) {
            row[j] += bias[j];
        }
        const int64_t best = row_best(row, v);
        const int64_t target = targets[i] - first;
        parts[i] = (struct kernels_softmax_part){.sum = row_exp_sum(row, row[best], v),
                                                 .most = row[best],
                                                 .target = target >= 0 && target < v ? row[target]
                                                                                     : -INFINITY,
                                                 .best = (int32_t)(first + best)};
        for (int64_t j = 0; j < v && keeps; j++) {
            row[j] = function_exp(row[j] - parts[i].most);
        }
    }
}

void softmax_part_gradient_reference(float *logits, int64_t ld, const int32_t *targets,
                                     int64_t first, float gradient_scale,
                                     const struct kernels_softmax_part *parts,
                                     const struct kernels_softmax_part *wholes, int64_t count,
                                     int64_t v)
{
    for (int64_t i = 0; i < count; i++) {
        float *const row = logits + i * ld;
        const double rise = (double)parts[i].most - (double)wholes[i].most;
        const float factor =
            (float)((double)gradient_scale * function_exp_below(rise) / wholes[i].sum);
        for (int64_t j = 0; j < v; j++) {
            row[j] *= factor;
        }
        if (targets[i] >= first && targets[i] < first + v) {
            row[targets[i] - first] -= gradient_scale;
        }
    }
}
