/* See feed_forward.h. */
#include "model/feed_forward.h"

#include <stddef.h>

#include "model/parts_linear.h"

static struct parts_weight inner_weight(const struct pass *pass, int64_t group,
                                        enum parameter_role role)
{
    return (struct parts_weight){.group = group,
                                 .role = role,
                                 .out = pass->options->feed_forward,
                                 .in = pass->options->hidden,
                                 .segments = 1};
}

static struct parts_weight outer_weight(const struct pass *pass, int64_t group)
{
    return (struct parts_weight){.group = group,
                                 .role = PARAMETER_OUTER_WEIGHT,
                                 .out = pass->options->hidden,
                                 .in = pass->options->feed_forward,
                                 .segments = 1};
}

void feed_forward_forward(const struct pass *pass, int64_t layer, float *branch, const float *in,
                          const struct layer_activations *kept, float *wide)
{
    const int64_t n = pass->row_count;
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_FEED_FORWARD);
    const struct parts_range local = parts_local(pass->parts, pass->options->feed_forward);
    const struct parts_weight inner = inner_weight(pass, group, PARAMETER_INNER_WEIGHT);
    const struct parts_weight outer = outer_weight(pass, group);
    const bool keeps = kept->activated != NULL;
    float *const activated = keeps ? kept->activated : wide;
    parts_out_forward(pass, kept->inner, in, &inner, n);
    pass->kernels->activation_forward(activated, keeps ? kept->inner : NULL, kept->inner,
                                      pass_weight(pass, group, PARAMETER_INNER_BIAS) + local.first,
                                      pass_activation(pass), n, local.count);
    if (branch != NULL) {
        parts_in_forward(pass, branch, activated, &outer, n);
    }
}

void feed_forward_backward(const struct pass *pass, float *d_in, bool add, const float *d_branch,
                           const float *in, const struct layer_activations *kept, float *wide,
                           const struct group_gradient *gradient)
{
    const int64_t n = pass->row_count;
    const int64_t f = parts_local(pass->parts, pass->options->feed_forward).count;
    const float *const activated = kept->activated != NULL ? kept->activated : wide;
    const struct parts_weight inner = inner_weight(pass, gradient->group, PARAMETER_INNER_WEIGHT);
    const struct parts_weight outer = outer_weight(pass, gradient->group);
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_OUTER_BIAS), d_branch, n,
                                 pass->options->hidden);
    if (kept->activated == NULL) {
        pass->kernels->activation_forward(wide, kept->inner, kept->inner, NULL,
                                          pass_activation(pass), n, f);
    }
    parts_in_gradient(pass, gradient, d_branch, activated, &outer, n);
    parts_in_backward(pass, wide, d_branch, &outer, n);
    pass->kernels->activation_backward(wide, pass_gradient(pass, gradient, PARAMETER_INNER_BIAS),
                                       wide, kept->inner, n, f);
    parts_out_gradient(pass, gradient, wide, in, &inner, n);
    parts_out_backward(pass, d_in, add, wide, &inner, n);
}
