/* See head_pair.h. */
#include "model/head_pair.h"

#include "base/error.h"

bool head_pair_exists(const struct pass *pass)
{
    return pass_has(pass, parameter_head_group(pass->table), PARAMETER_PAIR_WEIGHT);
}

/* kept->rows[0, count) to kept->pooled and logits (count, 2) without their bias. */
static void pair_logits(const struct pass *pass, const struct pair_activations *kept,
                        const float *hidden, int64_t count, float *logits)
{
    const int64_t c = pass->options->hidden;
    const int64_t group = parameter_head_group(pass->table);
    pass->kernels->rows_gather(kept->first, hidden, kept->rows, count, c);
    pass_linear(pass, kept->inner, kept->first, group, PARAMETER_POOLER_WEIGHT, count, c, c);
    pass->kernels->activation_forward(kept->pooled, kept->inner, kept->inner,
                                      pass_weight(pass, group, PARAMETER_POOLER_BIAS),
                                      KERNELS_ACTIVATION_TANH, count, c);
    pass_linear(pass, logits, kept->pooled, group, PARAMETER_PAIR_WEIGHT, count, HEAD_PAIR_LABELS,
                c);
}

int64_t head_pair_forward(const struct pass *pass, const struct pair_activations *kept,
                          const float *hidden)
{
    const struct batch *const batch = pass->batch;
    int64_t count = 0;
    for (int64_t b = 0; b < batch->sequence_count && batch->sequence_labels != NULL; b++) {
        if (batch->sequence_labels[b] >= 0) {
            kept->rows[count] = batch->starts[b];
            kept->labels[count++] = batch->sequence_labels[b];
        }
    }
    if (count > 0) {
        pair_logits(pass, kept, hidden, count, kept->logits);
    }
    return count;
}

static void pair_cross_entropy(const struct pass *pass, const struct pair_activations *kept,
                               int64_t count, float gradient_scale, struct head_score *score)
{
    pass->kernels->softmax_cross_entropy(
        kept->logits, pass_weight(pass, parameter_head_group(pass->table), PARAMETER_PAIR_BIAS),
        kept->labels, gradient_scale, &score->loss_sum, &score->correct_count, count,
        HEAD_PAIR_LABELS);
    score->count += count;
}

void head_pair_score(const struct pass *pass, const struct pair_activations *kept, int64_t count,
                     struct head_score *score)
{
    if (count > 0) {
        pair_cross_entropy(pass, kept, count, 0.0F, score);
    }
}

void head_pair_backward(const struct pass *pass, const struct pair_activations *kept, int64_t count,
                        float *d_hidden, float loss_scale, const struct group_gradient *head,
                        struct head_score *score)
{
    const int64_t c = pass->options->hidden;
    INVARIANT(count > 0 && pass->batch->sequence_weight > 0.0F);
    pair_cross_entropy(pass, kept, count, loss_scale * pass->batch->sequence_weight, score);
    pass->kernels->bias_backward(pass_gradient(pass, head, PARAMETER_PAIR_BIAS), kept->logits,
                                 count, HEAD_PAIR_LABELS);
    pass_linear_weight_gradient(pass, head, PARAMETER_PAIR_WEIGHT, kept->logits, kept->pooled,
                                count, HEAD_PAIR_LABELS, c);
    pass_linear_backward(pass, kept->d_inner, false, kept->logits, head->group,
                         PARAMETER_PAIR_WEIGHT, count, HEAD_PAIR_LABELS, c);
    pass->kernels->activation_backward(kept->d_inner,
                                       pass_gradient(pass, head, PARAMETER_POOLER_BIAS),
                                       kept->d_inner, kept->inner, count, c);
    pass_linear_weight_gradient(pass, head, PARAMETER_POOLER_WEIGHT, kept->d_inner, kept->first,
                                count, c, c);
    float *const d_first = kept->pooled; /* has done its work */
    pass_linear_backward(pass, d_first, false, kept->d_inner, head->group, PARAMETER_POOLER_WEIGHT,
                         count, c, c);
    pass->kernels->rows_scatter_add(d_hidden, d_first, kept->rows, count, c);
}

void head_pair_logits(const struct pass *pass, const struct pair_activations *kept,
                      const float *hidden, float *logits)
{
    const int64_t count = pass->batch->sequence_count;
    for (int64_t b = 0; b < count; b++) {
        kept->rows[b] = pass->batch->starts[b];
    }
    pair_logits(pass, kept, hidden, count, logits);
    pass->kernels->bias_forward(
        logits, pass_weight(pass, parameter_head_group(pass->table), PARAMETER_PAIR_BIAS), count,
        HEAD_PAIR_LABELS);
}
