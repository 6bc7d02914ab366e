/* See two_stream.h. */
#include "model/two_stream.h"

#include <math.h>
#include <string.h>

/* The thirds of (R, 3C). */
struct thirds {
    float *q;
    float *k;
    float *v;
};

static struct thirds thirds_of(const struct pass *pass, float *qkv)
{
    const int64_t size = pass->row_count * pass->options->hidden;
    return (struct thirds){qkv, qkv + size, qkv + 2 * size};
}

static bool streams_remember(const struct pass *pass)
{
    return pass->streams.key_count > pass->batch->token_count;
}

/* The content stream, or the query stream behind it. */
static struct kernels_relative_shape stream_shape(const struct pass *pass, int64_t layer,
                                                  bool queries)
{
    const struct streams *const streams = &pass->streams;
    const struct model_options *const options = pass->options;
    const int64_t first = queries ? pass->batch->token_count : 0;
    const int64_t width = options->hidden / options->heads;
    return (struct kernels_relative_shape){
        .sequence_count = pass->batch->sequence_count,
        .query_starts = queries ? streams->query_starts : pass->batch->starts,
        .key_starts = streams->key_starts,
        .heads = options->heads,
        .head_width = width,
        .zero_row = streams->zero_row,
        .reversed = pass->batch->chained ? pass->batch->reversed : NULL,
        .places = streams->places + first,
        .query_orders = streams->query_orders + first,
        .key_orders = streams->key_orders,
        .query_segments = streams->query_segments + first,
        .key_segments = pass->batch->segments == NULL ? NULL : streams->key_segments,
        .sees_itself = !queries,
        .scale = (float)(1.0 / sqrt((double)width)),
        .dropout =
            pass_dropout(pass, options->attention_dropout, layer,
                         queries ? PASS_PLACE_QUERY_PROBABILITIES : PASS_PLACE_PROBABILITIES),
    };
}

/* The distances of this batch, projected, and its keys and values in the order of streams.key_rows.
 */
static struct kernels_relative_inputs inputs_make(const struct pass *pass, int64_t group,
                                                  float *qkv,
                                                  const struct relative_activations *work)
{
    const struct streams *const streams = &pass->streams;
    const int64_t c = pass->options->hidden;
    const struct thirds thirds = thirds_of(pass, qkv);
    pass_linear(pass, work->r, relative_distances(work, streams->distance_first), group,
                PARAMETER_DISTANCE_WEIGHT, streams->distance_count, c, c);
    if (streams_remember(pass)) {
        pass->kernels->rows_gather(work->k, thirds.k, streams->key_rows, streams->key_count, c);
        pass->kernels->rows_gather(work->v, thirds.v, streams->key_rows, streams->key_count, c);
    }
    return (struct kernels_relative_inputs){
        .q = thirds.q,
        .k = streams_remember(pass) ? work->k : thirds.k,
        .v = streams_remember(pass) ? work->v : thirds.v,
        .r = work->r,
        .content_bias = pass_weight(pass, group, PARAMETER_CONTENT_BIAS),
        .position_bias = pass_weight(pass, group, PARAMETER_DISTANCE_BIAS),
        .segment_bias = pass_weight(pass, group, PARAMETER_SAME_SEGMENT_BIAS),
        .segment_embedding = pass_weight(pass, group, PARAMETER_SAME_SEGMENT),
    };
}

void two_stream_forward(const struct pass *pass, int64_t layer, float *branch, const float *in,
                        const struct layer_activations *kept,
                        const struct relative_activations *work)
{
    const int64_t n = pass->batch->token_count;
    const int64_t rows = pass->row_count;
    const int64_t c = pass->options->hidden;
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_ATTENTION);
    const struct thirds thirds = thirds_of(pass, kept->qkv);
    pass_linear(pass, thirds.q, in, group, PARAMETER_QUERY_WEIGHT, rows, c, c);
    pass_linear(pass, thirds.k, in, group, PARAMETER_KEY_WEIGHT, n, c, c);
    pass_linear(pass, thirds.v, in, group, PARAMETER_VALUE_WEIGHT, n, c, c);
    struct kernels_relative_inputs inputs = inputs_make(pass, group, kept->qkv, work);
    const struct kernels_relative_shape content = stream_shape(pass, layer, false);
    pass->kernels->relative_forward(kept->heads, kept->log_sum, &inputs, &content, work->scratch);
    if (rows > n) {
        const struct kernels_relative_shape queries = stream_shape(pass, layer, true);
        inputs.q += n * c;
        pass->kernels->relative_forward(kept->heads + n * c,
                                        kept->log_sum + n * pass->options->heads, &inputs, &queries,
                                        work->scratch);
    }
    if (branch != NULL) {
        pass_linear(pass, branch, kept->heads, group, PARAMETER_ATTENTION_WEIGHT, rows, c, c);
    }
}

static void clear(float *values, int64_t count)
{
    memset(values, 0, (size_t)count * sizeof *values);
}

/* Through the attention of both streams: d_q is written, all others are added up from zero or what
 * `gradient` holds. */
static void heads_backward(const struct pass *pass, int64_t layer, float *d_q, const float *d_heads,
                           const struct layer_activations *kept,
                           const struct relative_activations *work,
                           const struct group_gradient *gradient)
{
    const int64_t n = pass->batch->token_count;
    const int64_t c = pass->options->hidden;
    struct kernels_relative_inputs inputs = inputs_make(pass, gradient->group, kept->qkv, work);
    struct kernels_relative_gradients to = {
        .q = d_q,
        .k = work->d_k,
        .v = work->d_v,
        .r = work->d_r,
        .content_bias = pass_gradient(pass, gradient, PARAMETER_CONTENT_BIAS),
        .position_bias = pass_gradient(pass, gradient, PARAMETER_DISTANCE_BIAS),
        .segment_bias = pass_gradient(pass, gradient, PARAMETER_SAME_SEGMENT_BIAS),
        .segment_embedding = pass_gradient(pass, gradient, PARAMETER_SAME_SEGMENT),
    };
    clear(work->d_k, pass->streams.key_count * c);
    clear(work->d_v, pass->streams.key_count * c);
    clear(work->d_r, pass->streams.distance_count * c);
    const struct kernels_relative_shape content = stream_shape(pass, layer, false);
    pass->kernels->relative_backward(&to, d_heads, kept->log_sum, &inputs, &content, work->scratch);
    if (pass->row_count > n) {
        const struct kernels_relative_shape queries = stream_shape(pass, layer, true);
        inputs.q += n * c;
        to.q += n * c;
        pass->kernels->relative_backward(&to, d_heads + n * c,
                                         kept->log_sum + n * pass->options->heads, &inputs,
                                         &queries, work->scratch);
    }
}

void two_stream_backward_heads(const struct pass *pass, int64_t layer, float *d_qkv, float *d_heads,
                               const float *d_branch, const struct layer_activations *kept,
                               const struct relative_activations *work,
                               const struct group_gradient *gradient)
{
    const int64_t rows = pass->row_count;
    const int64_t c = pass->options->hidden;
    pass_linear_weight_gradient(pass, gradient, PARAMETER_ATTENTION_WEIGHT, d_branch, kept->heads,
                                rows, c, c);
    pass_linear_backward(pass, d_heads, false, d_branch, gradient->group,
                         PARAMETER_ATTENTION_WEIGHT, rows, c, c);
    heads_backward(pass, layer, thirds_of(pass, d_qkv).q, d_heads, kept, work, gradient);
    pass_linear_weight_gradient(pass, gradient, PARAMETER_DISTANCE_WEIGHT, work->d_r,
                                relative_distances(work, pass->streams.distance_first),
                                pass->streams.distance_count, c, c);
}

/* The tokens' own keys, out of all. */
static void keys_take_own(const struct pass *pass, float *own /* (N, C) */, const float *all)
{
    const struct streams *const streams = &pass->streams;
    const int64_t c = pass->options->hidden;
    for (int64_t b = 0; b < pass->batch->sequence_count; b++) {
        const int64_t first = pass->batch->starts[b];
        const int64_t count = pass->batch->starts[b + 1] - first;
        memcpy(own + first * c, all + (streams->key_starts[b] + streams->memory_counts[b]) * c,
               (size_t)(count * c) * sizeof *own);
    }
}

/* Adds the remembered ones to the tokens that they are. */
static void keys_add_remembered(const struct pass *pass, float *own /* (N, C) */, const float *all)
{
    const struct streams *const streams = &pass->streams;
    const int64_t c = pass->options->hidden;
    for (int64_t b = 0; b < pass->batch->sequence_count; b++) {
        const int64_t key = streams->key_starts[b];
        pass->kernels->rows_scatter_add(own, all + key * c, streams->key_rows + key,
                                        streams->memory_counts[b], c);
    }
}

/* One of key and value: its own gradient goes on to the input, all of it to the weight. */
static void keys_backward(const struct pass *pass, float *d_in, float *own, const float *all,
                          enum parameter_role role, const float *in,
                          const struct group_gradient *gradient)
{
    const int64_t n = pass->batch->token_count;
    const int64_t c = pass->options->hidden;
    keys_take_own(pass, own, all);
    pass_linear_backward(pass, d_in, true, own, gradient->group, role, n, c, c);
    keys_add_remembered(pass, own, all);
    pass_linear_weight_gradient(pass, gradient, role, own, in, n, c, c);
}

void two_stream_backward_input(const struct pass *pass, float *d_in, bool add, float *d_qkv,
                               const float *in, const struct relative_activations *work,
                               const struct group_gradient *gradient)
{
    const int64_t rows = pass->row_count;
    const int64_t c = pass->options->hidden;
    const struct thirds d = thirds_of(pass, d_qkv);
    pass_linear_weight_gradient(pass, gradient, PARAMETER_QUERY_WEIGHT, d.q, in, rows, c, c);
    pass_linear_backward(pass, d_in, add, d.q, gradient->group, PARAMETER_QUERY_WEIGHT, rows, c, c);
    keys_backward(pass, d_in, d.k, work->d_k, PARAMETER_KEY_WEIGHT, in, gradient);
    keys_backward(pass, d_in, d.v, work->d_v, PARAMETER_VALUE_WEIGHT, in, gradient);
}
