/* See attention.h. */
#include "model/attention.h"

#include <math.h>
#include <stddef.h>

#include "base/error.h"
#include "model/attention_cache.h"
#include "model/family.h"
#include "model/needed.h"

static struct kernels_attention_shape attention_shape(const struct pass *pass, int64_t layer)
{
    const struct model_options *const options = pass->options;
    const struct family *const family = family_find(options);
    const int64_t width = options->hidden / options->heads;
    const bool visible = pass->visibility.lists != NULL;
    INVARIANT(family != NULL);
    return (struct kernels_attention_shape){
        .sequence_count = pass->batch->sequence_count,
        .starts = pass->batch->starts,
        .heads = options->heads,
        .head_width = width,
        .kind = visible          ? KERNELS_ATTENTION_VISIBLE
                : family->causal ? KERNELS_ATTENTION_CAUSAL
                                 : KERNELS_ATTENTION_FULL,
        .scale = (float)(1.0 / sqrt((double)width)),
        .dropout = pass_dropout(pass, options->attention_dropout, layer, PASS_PLACE_PROBABILITIES),
        .visibility = visible ? &pass->visibility : NULL,
    };
}

void attention_forward(const struct pass *pass, int64_t layer, float *branch, const float *in,
                       const struct layer_activations *kept, float *rows, float *scratch)
{
    const int64_t n = pass->batch->token_count;
    const int64_t c = pass->options->hidden;
    const struct pass needed = needed_pass(pass, layer);
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_ATTENTION);
    const struct kernels_attention_shape shape = attention_shape(pass, layer);
    pass_linear(pass, kept->qkv, in, group, PARAMETER_QUERY_WEIGHT, n, 3 * c, c);
    pass->kernels->bias_forward(kept->qkv, pass_weight(pass, group, PARAMETER_QUERY_BIAS), n,
                                3 * c);
    if (pass->cache != NULL) {
        attention_cache_forward(pass->cache, layer, kept->heads, kept->log_sum, kept->qkv, n);
    } else {
        pass->kernels->attention_forward(kept->heads, kept->log_sum, kept->qkv, &shape, scratch);
    }
    if (branch != NULL) {
        pass_linear(pass, branch, needed_gather(pass, layer, rows, kept->heads), group,
                    PARAMETER_ATTENTION_WEIGHT, needed.row_count, c, c);
    }
}

void attention_backward_heads(const struct pass *pass, int64_t layer, float *d_qkv, float *d_heads,
                              const float *d_branch, const struct layer_activations *kept,
                              float *scratch, const struct group_gradient *gradient)
{
    const int64_t n = needed_pass(pass, layer).row_count;
    const int64_t c = pass->options->hidden;
    const struct kernels_attention_shape shape = attention_shape(pass, layer);
    const float *const heads =
        needed_gather(pass, layer, d_qkv, kept->heads); /* d_qkv is not written yet */
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_ATTENTION_BIAS), d_branch,
                                 n, c);
    pass_linear_weight_gradient(pass, gradient, PARAMETER_ATTENTION_WEIGHT, d_branch, heads, n, c,
                                c);
    pass_linear_backward(pass, d_heads, false, d_branch, gradient->group,
                         PARAMETER_ATTENTION_WEIGHT, n, c, c);
    needed_spread(pass, layer, d_heads);
    pass->kernels->attention_backward(d_qkv, d_heads, kept->heads, kept->log_sum, kept->qkv, &shape,
                                      scratch);
}

void attention_backward_input(const struct pass *pass, float *d_in, bool add, const float *d_qkv,
                              const float *in, const struct group_gradient *gradient)
{
    const int64_t n = pass->batch->token_count;
    const int64_t c = pass->options->hidden;
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_QUERY_BIAS), d_qkv, n,
                                 3 * c);
    pass_linear_weight_gradient(pass, gradient, PARAMETER_QUERY_WEIGHT, d_qkv, in, n, 3 * c, c);
    pass_linear_backward(pass, d_in, add, d_qkv, gradient->group, PARAMETER_QUERY_WEIGHT, n, 3 * c,
                         c);
}
