/* See head_mlm.h. */
#include "model/head_mlm.h"

#include "model/transform.h"

static struct transform_place head_transform(const struct pass *pass)
{
    return (struct transform_place){.weight = PARAMETER_HEAD_WEIGHT,
                                    .bias = PARAMETER_HEAD_BIAS,
                                    .gain = PARAMETER_HEAD_NORM_GAIN,
                                    .shift = PARAMETER_HEAD_NORM_SHIFT,
                                    .activation = pass_head_activation(pass)};
}

static bool head_has_transform(const struct pass *pass)
{
    return pass_has(pass, parameter_head_group(pass->table), PARAMETER_HEAD_WEIGHT);
}

static struct decoder head_decoder(const struct pass *pass, const struct head_activations *kept)
{
    return (struct decoder){.rows = head_has_transform(pass) ? kept->transform.normed : kept->rows,
                            .targets = pass->batch->target_ids,
                            .count = pass->batch->target_count,
                            .logits = kept->logits,
                            .bias = PARAMETER_DECODER_BIAS};
}

void head_mlm_forward(const struct pass *pass, const struct head_activations *kept,
                      const float *hidden)
{
    const int64_t k = pass->batch->target_count;
    const struct transform_place place = head_transform(pass);
    if (k == 0) {
        return;
    }
    pass->kernels->rows_gather(kept->rows, hidden, pass->target_rows, k, pass->options->hidden);
    if (head_has_transform(pass)) {
        transform_forward(pass, &place, &kept->transform, kept->rows, k);
    }
}

void head_mlm_score(const struct pass *pass, const struct head_activations *kept,
                    struct head_score *score)
{
    const struct decoder decoder = head_decoder(pass, kept);
    decoder_score(pass, &decoder, score);
}

void head_mlm_logits(const struct pass *pass, const struct head_activations *kept, float *logits)
{
    const struct decoder decoder = head_decoder(pass, kept);
    decoder_logits(pass, &decoder, logits);
}

void head_mlm_backward(const struct pass *pass, const struct head_activations *kept,
                       float *d_hidden, float loss_scale, const struct group_gradient *head,
                       const struct group_gradient *embeddings, struct head_score *score)
{
    const int64_t k = pass->batch->target_count;
    const struct transform_place place = head_transform(pass);
    const struct decoder decoder = head_decoder(pass, kept);
    if (k == 0) {
        return;
    }
    if (head_has_transform(pass)) {
        decoder_backward(pass, &decoder, kept->transform.d_normed, loss_scale, head, embeddings,
                         score);
        transform_backward(pass, &place, &kept->transform, kept->d_rows, kept->rows, k, head);
    } else {
        decoder_backward(pass, &decoder, kept->d_rows, loss_scale, head, embeddings, score);
    }
    pass->kernels->rows_scatter_add(d_hidden, kept->d_rows, pass->target_rows, k,
                                    pass->options->hidden);
}
