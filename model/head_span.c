/* See head_span.h. */
#include "model/head_span.h"

#include <string.h>

#include "base/error.h"
#include "model/transform.h"

static const struct transform_place span_inner = {
    PARAMETER_SPAN_INNER_WEIGHT, PARAMETER_SPAN_INNER_BIAS, PARAMETER_SPAN_INNER_NORM_GAIN,
    PARAMETER_SPAN_INNER_NORM_SHIFT, KERNELS_ACTIVATION_GELU};
static const struct transform_place span_outer = {
    PARAMETER_SPAN_OUTER_WEIGHT, PARAMETER_SPAN_OUTER_BIAS, PARAMETER_SPAN_OUTER_NORM_GAIN,
    PARAMETER_SPAN_OUTER_NORM_SHIFT, KERNELS_ACTIVATION_GELU};

bool head_span_exists(const struct pass *pass)
{
    return pass_has(pass, parameter_head_group(pass->table), PARAMETER_SPAN_POSITION);
}

static int64_t span_input_width(const struct pass *pass)
{
    return 2 * pass->options->hidden + pass->options->span_position_width;
}

/* Copies (count, columns) between rows that lie `to_ld` and `from_ld` elements apart. */
static void columns_copy(float *to, int64_t to_ld, const float *from, int64_t from_ld,
                         int64_t count, int64_t columns)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + i * to_ld, from + i * from_ld, (size_t)columns * sizeof *to);
    }
}

/* Rows of `table` into columns [first, first + columns) of kept->in. */
static void input_gather(const struct pass *pass, const struct span_activations *kept,
                         const float *table, const int32_t *rows, int64_t count, int64_t first,
                         int64_t columns)
{
    pass->kernels->rows_gather(kept->part, table, rows, count, columns);
    columns_copy(kept->in + first, span_input_width(pass), kept->part, columns, count, columns);
}

/* Columns [first, first + columns) of kept->d_in added to rows of `table`. */
static void input_scatter(const struct pass *pass, const struct span_activations *kept,
                          float *table, const int32_t *rows, int64_t count, int64_t first,
                          int64_t columns)
{
    columns_copy(kept->part, columns, kept->d_in + first, span_input_width(pass), count, columns);
    pass->kernels->rows_scatter_add(table, kept->part, rows, count, columns);
}

int64_t head_span_forward(const struct pass *pass, const struct span_activations *kept,
                          const float *hidden)
{
    const struct batch *const batch = pass->batch;
    const int64_t c = pass->options->hidden;
    int64_t count = 0;
    for (int64_t k = 0; k < batch->target_count && batch->left_rows != NULL; k++) {
        if (batch->left_rows[k] >= 0 && batch->span_places[k] < pass->options->span_positions) {
            kept->left_rows[count] = batch->left_rows[k];
            kept->right_rows[count] = batch->right_rows[k];
            kept->places[count] = batch->span_places[k];
            kept->targets[count++] = batch->target_ids[k];
        }
    }
    if (count == 0) {
        return 0;
    }
    input_gather(pass, kept, hidden, kept->left_rows, count, 0, c);
    input_gather(pass, kept, hidden, kept->right_rows, count, c, c);
    input_gather(pass, kept,
                 pass_weight(pass, parameter_head_group(pass->table), PARAMETER_SPAN_POSITION),
                 kept->places, count, 2 * c, pass->options->span_position_width);
    transform_forward(pass, &span_inner, &kept->inner, kept->in, count);
    transform_forward(pass, &span_outer, &kept->outer, kept->inner.normed, count);
    return count;
}

static struct decoder span_decoder(const struct span_activations *kept, int64_t count)
{
    return (struct decoder){.rows = kept->outer.normed,
                            .targets = kept->targets,
                            .count = count,
                            .logits = kept->logits,
                            .bias = PARAMETER_SPAN_DECODER_BIAS};
}

void head_span_score(const struct pass *pass, const struct span_activations *kept, int64_t count,
                     struct head_score *score)
{
    const struct decoder decoder = span_decoder(kept, count);
    decoder_score(pass, &decoder, score);
}

void head_span_backward(const struct pass *pass, const struct span_activations *kept, int64_t count,
                        float *d_hidden, float loss_scale, const struct group_gradient *head,
                        const struct group_gradient *embeddings, struct head_score *score)
{
    const int64_t c = pass->options->hidden;
    const struct decoder decoder = span_decoder(kept, count);
    INVARIANT(count > 0);
    decoder_backward(pass, &decoder, kept->outer.d_normed, loss_scale, head, embeddings, score);
    transform_backward(pass, &span_outer, &kept->outer, kept->inner.d_normed, kept->inner.normed,
                       count, head);
    transform_backward(pass, &span_inner, &kept->inner, kept->d_in, kept->in, count, head);
    input_scatter(pass, kept, d_hidden, kept->left_rows, count, 0, c);
    input_scatter(pass, kept, d_hidden, kept->right_rows, count, c, c);
    input_scatter(pass, kept, pass_gradient(pass, head, PARAMETER_SPAN_POSITION), kept->places,
                  count, 2 * c, pass->options->span_position_width);
}
