/* Softmax and cross entropy over the rows of a logit matrix: one pass for bias and maximum, one for
 * the exponentials and their sum, one to scale. A row of 50,000 logits stays in the second-level
 * cache between them. */
#include "kernels/cpu/cpu_level.h"
#include "kernels/functions.h"

static void row_bias(float *restrict row, const float *restrict bias, int64_t v)
{
    SIMD
    for (int64_t j = 0; j < v; j++) {
        row[j] += bias[j];
    }
}

/* Whether `target` holds the largest value and none before it equals it. */
static bool row_correct(const float *row, int64_t target, float most)
{
    if (row[target] < most || row[target] != row[target]) {
        return false;
    }
    for (int64_t j = 0; j < target; j++) {
        if (row[j] == most) {
            return false;
        }
    }
    return true;
}

/* Σ exp(row - most); the exponentials replace the row where `keep`. */
static double row_exp_sum(float *row, float most, bool keep, int64_t v)
{
    double sum = 0;
    float buffer[KERNELS_BLOCK];
    for (int64_t first = 0; first < v; first += KERNELS_BLOCK) {
        const int64_t count = v - first < KERNELS_BLOCK ? v - first : KERNELS_BLOCK;
        const float *const in = row + first;
        float *const out = keep ? row + first : buffer;
        SIMD
        for (int64_t j = 0; j < count; j++) {
            out[j] = function_exp(in[j] - most);
        }
        sum += (double)lanes_sum(out, count);
    }
    return sum;
}

static void row_scale(float *restrict row, float factor, int64_t v)
{
    SIMD
    for (int64_t j = 0; j < v; j++) {
        row[j] *= factor;
    }
}

void OPERATION(softmax_cross_entropy)(float *logits, const float *bias, const int32_t *targets,
                                      float gradient_scale, double *loss_sum, int64_t *correct,
                                      int64_t count, int64_t v)
{
    for (int64_t i = 0; i < count; i++) {
        float *const row = logits + i * v;
        if (bias != NULL) {
            row_bias(row, bias, v);
        }
        const bool keep = gradient_scale != 0.0F;
        const float most = lanes_max(row, v);
        const double target_logit = (double)row[targets[i]];
        *correct += row_correct(row, targets[i], most) ? 1 : 0;
        const double sum = row_exp_sum(row, most, keep, v);
        *loss_sum += function_log(sum) + ((double)most - target_logit);
        if (keep) {
            const float factor = (float)((double)gradient_scale / sum);
            row_scale(row, factor, v);
            row[targets[i]] -= gradient_scale;
        }
    }
}

/* First column that has the row's largest value; -1 if none has. */
static int64_t row_place(const float *row, float most, int64_t v)
{
    for (int64_t j = 0; j < v; j++) {
        if (row[j] == most) {
            return j;
        }
    }
    return -1;
}

void OPERATION(softmax_part)(float *logits, int64_t ld, const float *bias, const int32_t *targets,
                             int64_t first, bool keeps, struct kernels_softmax_part *parts,
                             int64_t count, int64_t v)
{
    for (int64_t i = 0; i < count; i++) {
        float *const row = logits + i * ld;
        if (bias != NULL) {
            row_bias(row, bias, v);
        }
        const int64_t target = targets[i] - first;
        struct kernels_softmax_part *const part = &parts[i];
        part->most = lanes_max(row, v);
        part->target = target >= 0 && target < v ? row[target] : -__builtin_inff();
        const int64_t place = row_place(row, part->most, v);
        part->best = place < 0 ? -1 : (int32_t)(first + place);
        part->sum = row_exp_sum(row, part->most, keeps, v);
    }
}

void OPERATION(softmax_part_gradient)(float *logits, int64_t ld, const int32_t *targets,
                                      int64_t first, float gradient_scale,
                                      const struct kernels_softmax_part *parts,
                                      const struct kernels_softmax_part *wholes, int64_t count,
                                      int64_t v)
{
    for (int64_t i = 0; i < count; i++) {
        float *const row = logits + i * ld;
        const double rise = (double)parts[i].most - (double)wholes[i].most;
        row_scale(row, (float)((double)gradient_scale * function_exp_below(rise) / wholes[i].sum),
                  v);
        if (targets[i] >= first && targets[i] < first + v) {
            row[targets[i] - first] -= gradient_scale;
        }
    }
}
