/* See attention.h. */
#include "model/attention.h"

#include <math.h>
#include <stddef.h>

#include "base/error.h"
#include "model/attention_cache.h"
#include "model/family.h"
#include "model/needed.h"
#include "model/parts_linear.h"

static struct kernels_attention_shape attention_shape(const struct pass *pass, int64_t layer,
                                                      const struct layer_activations *kept)
{
    const struct model_options *const options = pass->options;
    const struct family *const family = family_find(options);
    const int64_t width = options->hidden / options->heads;
    const struct parts_range heads = parts_local(pass->parts, options->heads);
    const bool visible = pass->visibility.lists != NULL;
    const bool some = needed_asks(pass, layer);
    INVARIANT(family != NULL);
    return (struct kernels_attention_shape){
        .sequence_count = pass->batch->sequence_count,
        .starts = pass->batch->starts,
        .heads = heads.count,
        .first_head = heads.first,
        .head_width = width,
        .kind = visible          ? KERNELS_ATTENTION_VISIBLE
                : family->causal ? KERNELS_ATTENTION_CAUSAL
                                 : KERNELS_ATTENTION_FULL,
        .scale = (float)(1.0 / sqrt((double)width)),
        .dropout = pass_dropout(pass, options->attention_dropout, layer, PASS_PLACE_PROBABILITIES),
        .visibility = visible ? &pass->visibility : NULL,
        .queries = some ? pass->needed_rows : NULL,
        .query_count = some ? pass->needed_count : 0,
        .kept = kept->probability_bits,
    };
}

static struct parts_weight attention_inputs(const struct pass *pass, int64_t group,
                                            enum parameter_role role)
{
    const int64_t c = pass->options->hidden;
    return (struct parts_weight){
        .group = group, .role = role, .out = 3 * c, .in = c, .segments = 3};
}

/* Some of query, key and value: where not all rows ask, not all rows have the same. */
static struct parts_weight inputs_part(struct parts_weight inputs, int64_t first, int64_t count)
{
    inputs.first_segment = first;
    inputs.segment_count = count;
    return inputs;
}

static struct parts_weight attention_output(const struct pass *pass, int64_t group)
{
    const int64_t c = pass->options->hidden;
    return (struct parts_weight){
        .group = group, .role = PARAMETER_ATTENTION_WEIGHT, .out = c, .in = c, .segments = 1};
}

/* kept->qkv of `in`; `rows` (N, C) is scratch. */
static void inputs_forward(const struct pass *pass, int64_t layer, const float *in,
                           const struct layer_activations *kept, float *rows)
{
    const int64_t n = pass->batch->token_count;
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_ATTENTION);
    const struct parts_weight inputs = attention_inputs(pass, group, PARAMETER_QUERY_WEIGHT);
    const struct parts_weight biases = attention_inputs(pass, group, PARAMETER_QUERY_BIAS);
    if (needed_asks(pass, layer)) {
        const struct parts_weight keys = inputs_part(inputs, 1, 2);
        const struct parts_weight queries = inputs_part(inputs, 0, 1);
        parts_out_forward(pass, kept->qkv, in, &keys, n);
        parts_out_forward(pass, kept->qkv,
                          needed_gather(pass, layer, rows, in, pass->options->hidden), &queries,
                          pass->needed_count);
    } else {
        parts_out_forward(pass, kept->qkv, in, &inputs, n);
    }
    parts_bias_forward(pass, kept->qkv, &biases, n);
}

void attention_forward(const struct pass *pass, int64_t layer, float *branch, const float *in,
                       const struct layer_activations *kept, float *rows, float *scratch)
{
    const int64_t width = parts_local(pass->parts, pass->options->hidden).count;
    const struct pass needed = needed_pass(pass, layer);
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_ATTENTION);
    const struct kernels_attention_shape shape = attention_shape(pass, layer, kept);
    const struct parts_weight output = attention_output(pass, group);
    const float *heads = kept->heads;
    inputs_forward(pass, layer, in, kept, rows);
    if (pass->cache != NULL) {
        INVARIANT(pass->parts->member_count == 1);
        attention_cache_forward(pass->cache, layer, kept->heads, kept->log_sum, kept->qkv,
                                pass->batch->token_count);
        heads = needed_gather(pass, layer, kept->heads, kept->heads, width);
    } else {
        pass->kernels->attention_forward(kept->heads, kept->log_sum, kept->qkv, &shape, scratch);
    }
    if (branch != NULL) {
        parts_in_forward(pass, branch, matrix_of(heads, width), &output, needed.row_count);
    }
}

void attention_backward_heads(const struct pass *pass, int64_t layer, float *d_qkv, float *d_heads,
                              const float *d_branch, const struct layer_activations *kept,
                              float *scratch, const struct group_gradient *gradient)
{
    const int64_t n = needed_pass(pass, layer).row_count;
    const int64_t c = pass->options->hidden;
    const int64_t width = parts_local(pass->parts, c).count;
    const struct kernels_attention_shape shape = attention_shape(pass, layer, kept);
    const struct parts_weight output = attention_output(pass, gradient->group);
    INVARIANT(pass->cache == NULL);
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_ATTENTION_BIAS), d_branch,
                                 n, c);
    parts_in_gradient(pass, gradient, d_branch, matrix_of(kept->heads, width), &output, n);
    parts_in_backward(pass, d_heads, d_branch, &output, n);
    pass->kernels->attention_backward(d_qkv, d_heads, kept->heads, kept->log_sum, kept->qkv, &shape,
                                      scratch);
    needed_spread(pass, layer, d_qkv, width, 3 * width); /* gradients of queries */
}

void attention_backward_input(const struct pass *pass, float *d_in, bool add, const float *d_qkv,
                              const float *in, const struct group_gradient *gradient)
{
    const int64_t n = pass->batch->token_count;
    const struct parts_weight inputs =
        attention_inputs(pass, gradient->group, PARAMETER_QUERY_WEIGHT);
    const struct parts_weight biases =
        attention_inputs(pass, gradient->group, PARAMETER_QUERY_BIAS);
    const struct kernels_matrix d_inputs =
        matrix_of(d_qkv, 3 * parts_local(pass->parts, pass->options->hidden).count);
    parts_bias_gradient(pass, gradient, d_qkv, &biases, n);
    parts_out_gradient(pass, gradient, d_inputs, in, &inputs, n);
    parts_out_backward(pass, d_in, add, d_inputs, &inputs, n);
}
