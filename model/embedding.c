/* See embedding.h. */
#include "model/embedding.h"

#include <string.h>

#include "model/norm.h"
#include "model/word_rows.h"

static struct norm_place embedding_norm_place(const struct pass *pass)
{
    return (struct norm_place){.group = parameter_embedding_group(pass->table),
                               .gain = PARAMETER_EMBEDDING_NORM_GAIN,
                               .shift = PARAMETER_EMBEDDING_NORM_SHIFT};
}

static bool embedding_has_norm(const struct pass *pass)
{
    return pass_has(pass, parameter_embedding_group(pass->table), PARAMETER_EMBEDDING_NORM_GAIN);
}

static bool embedding_is_mapped(const struct pass *pass)
{
    return pass_has(pass, parameter_embedding_group(pass->table), PARAMETER_MAPPING_WEIGHT);
}

/* Rows [N, R): the query stream's start. */
static void queries_start(const struct pass *pass, float *rows /* (Q, C) */)
{
    const int64_t c = pass->options->hidden;
    for (int64_t k = 0; k < pass->row_count - pass->batch->token_count; k++) {
        memcpy(rows + k * c,
               pass_weight(pass, parameter_embedding_group(pass->table), PARAMETER_QUERY_START),
               (size_t)c * sizeof *rows);
    }
}

void embedding_forward(const struct pass *pass, const struct embedding_activations *kept)
{
    const struct batch *const batch = pass->batch;
    const struct model_options *const options = pass->options;
    const int64_t n = batch->token_count;
    const int64_t rows = pass->row_count;
    const int64_t c = options->hidden;
    const int64_t width = model_embedding_width(options);
    const struct norm_place place = embedding_norm_place(pass);
    pass->kernels->embedding_forward(kept->sum, pass_weight(pass, place.group, PARAMETER_WORD),
                                     pass_weight_maybe(pass, place.group, PARAMETER_POSITION),
                                     pass_weight_maybe(pass, place.group, PARAMETER_SEGMENT),
                                     batch->ids, batch->positions, batch->segments,
                                     options->position_offset, n, width);
    queries_start(pass, kept->sum + n * width);
    if (embedding_has_norm(pass)) {
        norm_forward(pass, kept->leaving, &kept->norm, kept->sum, &place, n);
    }
    const struct kernels_dropout dropout =
        pass_dropout(pass, options->dropout, 0, PASS_PLACE_EMBEDDINGS);
    const uint32_t *const bits = pass_dropout_bits(pass, &dropout, kept->bits, rows * width);
    if (bits != NULL) {
        pass->kernels->dropout_apply(kept->leaving, kept->leaving, bits, dropout.scale,
                                     rows * width);
    }
    if (embedding_is_mapped(pass)) {
        pass_linear(pass, kept->embedded, kept->leaving, place.group, PARAMETER_MAPPING_WEIGHT, n,
                    c, width);
        pass->kernels->bias_forward(kept->embedded,
                                    pass_weight(pass, place.group, PARAMETER_MAPPING_BIAS), n, c);
    }
}

/* Gradient (N, E) of what leaves the tables, into `scratch` if it is not d_embedded itself. */
static float *mapping_backward(const struct pass *pass, const struct embedding_activations *kept,
                               float *d_embedded, float *scratch,
                               const struct group_gradient *gradient)
{
    const int64_t n = pass->batch->token_count;
    const int64_t c = pass->options->hidden;
    const int64_t width = model_embedding_width(pass->options);
    if (!embedding_is_mapped(pass)) {
        return d_embedded;
    }
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_MAPPING_BIAS), d_embedded,
                                 n, c);
    pass_linear_weight_gradient(pass, gradient, PARAMETER_MAPPING_WEIGHT, d_embedded, kept->leaving,
                                n, c, width);
    pass_linear_backward(pass, scratch, false, d_embedded, gradient->group,
                         PARAMETER_MAPPING_WEIGHT, n, c, width);
    return scratch;
}

/* Adds to the rows of words that this member has. */
static void words_backward(const struct pass *pass, float *d_word, const float *d_sum)
{
    const int64_t width = model_embedding_width(pass->options);
    const int64_t first_word = parts_local(pass->parts, pass->options->vocabulary).first;
    for (struct word_run run = word_run_first(pass); run.count > 0;
         run = word_run_next(pass, &run)) {
        pass->kernels->embedding_backward(d_word, NULL, NULL, d_sum + run.first * width, run.ids,
                                          NULL, NULL, 0, pass->options->pad_id - first_word,
                                          run.count, width);
    }
}

void embedding_backward(const struct pass *pass, const struct embedding_activations *kept,
                        float *d_embedded, float *scratch, const struct group_gradient *gradient)
{
    const struct batch *const batch = pass->batch;
    const struct model_options *const options = pass->options;
    const int64_t n = batch->token_count;
    const int64_t width = model_embedding_width(options);
    const struct norm_place place = embedding_norm_place(pass);
    const struct kernels_dropout dropout =
        pass_dropout(pass, options->dropout, 0, PASS_PLACE_EMBEDDINGS);
    float *d_sum = mapping_backward(pass, kept, d_embedded, scratch, gradient);
    if (dropout.threshold != 0) {
        pass->kernels->dropout_apply(d_sum, d_sum, kept->bits, dropout.scale,
                                     pass->row_count * width);
    }
    if (embedding_has_norm(pass)) {
        norm_backward(pass, d_sum, gradient, NULL, d_sum, kept->sum, &kept->norm, &place, n);
    }
    if (pass_has(pass, place.group, PARAMETER_QUERY_START)) {
        pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_QUERY_START),
                                     d_sum + n * width, pass->row_count - n, width);
    }
    const bool positions = pass_has(pass, place.group, PARAMETER_POSITION);
    const bool segments = pass_has(pass, place.group, PARAMETER_SEGMENT);
    words_backward(pass, pass_gradient(pass, gradient, PARAMETER_WORD), d_sum);
    pass->kernels->embedding_backward(
        NULL, positions ? pass_gradient(pass, gradient, PARAMETER_POSITION) : NULL,
        segments ? pass_gradient(pass, gradient, PARAMETER_SEGMENT) : NULL, d_sum, batch->ids,
        batch->positions, batch->segments, options->position_offset, options->pad_id, n, width);
}
