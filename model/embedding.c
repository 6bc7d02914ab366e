/* See embedding.h. */
#include "model/embedding.h"

#include "model/norm.h"

static struct norm_place embedding_norm_place(const struct pass *pass)
{
    return (struct norm_place){.group = parameter_embedding_group(pass->table),
                               .gain = PARAMETER_EMBEDDING_NORM_GAIN,
                               .shift = PARAMETER_EMBEDDING_NORM_SHIFT};
}

void embedding_forward(const struct pass *pass, const struct embedding_activations *kept)
{
    const struct batch *const batch = pass->batch;
    const struct model_options *const options = pass->options;
    const int64_t n = batch->token_count;
    const int64_t c = options->hidden;
    const struct norm_place place = embedding_norm_place(pass);
    pass->kernels->embedding_forward(kept->sum, pass_weight(pass, place.group, PARAMETER_WORD),
                                     pass_weight(pass, place.group, PARAMETER_POSITION),
                                     pass_weight(pass, place.group, PARAMETER_SEGMENT), batch->ids,
                                     batch->positions, batch->segments, options->position_offset, n,
                                     c);
    norm_forward(pass, kept->embedded, &kept->norm, kept->sum, &place, n);
    const struct kernels_dropout dropout =
        pass_dropout(pass, options->dropout, 0, PASS_PLACE_EMBEDDINGS);
    const uint32_t *const bits = pass_dropout_bits(pass, &dropout, kept->bits, n * c);
    if (bits != NULL) {
        pass->kernels->dropout_apply(kept->embedded, kept->embedded, bits, dropout.scale, n * c);
    }
}

void embedding_backward(const struct pass *pass, const struct embedding_activations *kept,
                        float *d_embedded, float *d_sum, const struct group_gradient *gradient)
{
    const struct batch *const batch = pass->batch;
    const struct model_options *const options = pass->options;
    const int64_t n = batch->token_count;
    const int64_t c = options->hidden;
    const struct norm_place place = embedding_norm_place(pass);
    const struct kernels_dropout dropout =
        pass_dropout(pass, options->dropout, 0, PASS_PLACE_EMBEDDINGS);
    if (dropout.threshold != 0) {
        pass->kernels->dropout_apply(d_embedded, d_embedded, kept->bits, dropout.scale, n * c);
    }
    norm_backward(pass, d_sum, gradient, NULL, d_embedded, kept->sum, &kept->norm, &place, n);
    pass->kernels->embedding_backward(pass_gradient(pass, gradient, PARAMETER_WORD),
                                      pass_gradient(pass, gradient, PARAMETER_POSITION),
                                      pass_gradient(pass, gradient, PARAMETER_SEGMENT), d_sum,
                                      batch->ids, batch->positions, batch->segments,
                                      options->position_offset, options->pad_id, n, c);
}
