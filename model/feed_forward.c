/* See feed_forward.h. */
#include "model/feed_forward.h"

#include <stddef.h>

void feed_forward_forward(const struct pass *pass, int64_t layer, float *branch, const float *in,
                          const struct layer_activations *kept, float *wide)
{
    const int64_t n = pass->row_count;
    const int64_t c = pass->options->hidden;
    const int64_t f = pass->options->feed_forward;
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_FEED_FORWARD);
    pass_linear(pass, kept->inner, in, group, PARAMETER_INNER_WEIGHT, n, f, c);
    pass->kernels->activation_forward(wide, kept->inner,
                                      pass_weight(pass, group, PARAMETER_INNER_BIAS),
                                      pass_activation(pass), n, f);
    if (branch != NULL) {
        pass_linear(pass, branch, wide, group, PARAMETER_OUTER_WEIGHT, n, c, f);
    }
}

void feed_forward_backward(const struct pass *pass, float *d_in, bool add, const float *d_branch,
                           const float *in, const struct layer_activations *kept, float *wide,
                           const struct group_gradient *gradient)
{
    const int64_t n = pass->row_count;
    const int64_t c = pass->options->hidden;
    const int64_t f = pass->options->feed_forward;
    const enum kernels_activation kind = pass_activation(pass);
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_OUTER_BIAS), d_branch, n,
                                 c);
    pass->kernels->activation_forward(wide, kept->inner, NULL, kind, n, f);
    pass_linear_weight_gradient(pass, gradient, PARAMETER_OUTER_WEIGHT, d_branch, wide, n, c, f);
    pass_linear_backward(pass, wide, false, d_branch, gradient->group, PARAMETER_OUTER_WEIGHT, n, c,
                         f);
    pass->kernels->activation_backward(wide, wide, kept->inner, kind, n, f);
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_INNER_BIAS), wide, n, f);
    pass_linear_weight_gradient(pass, gradient, PARAMETER_INNER_WEIGHT, wide, in, n, f, c);
    pass_linear_backward(pass, d_in, add, wide, gradient->group, PARAMETER_INNER_WEIGHT, n, f, c);
}
