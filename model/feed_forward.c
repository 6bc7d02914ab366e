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

/* Rows of the inside that products alone read from here on: as matmul makes them of floats, if it
 * does. */
static struct kernels_matrix inside_of(const struct pass *pass, const void *values)
{
    return (struct kernels_matrix){.values = values,
                                   .ld =
                                       parts_local(pass->parts, pass->options->feed_forward).count,
                                   .rounded = pass->kernels->round != NULL};
}

/* inside = activation(pre + bias), with `slope` as the kernel has it. Where it is rounded, floats
 * exist a row at a time only, in what `wide` has behind N rows: a row that stays in the cache. */
static void inside_forward(const struct pass *pass, void *inside, float *slope, float *pre,
                           const float *bias, float *wide)
{
    const int64_t n = pass->row_count;
    const int64_t f = parts_local(pass->parts, pass->options->feed_forward).count;
    const struct kernels *const kernels = pass->kernels;
    const enum kernels_activation kind = pass_activation(pass);
    if (kernels->round == NULL) {
        kernels->activation_forward(inside, slope, pre, bias, kind, n, f);
        return;
    }
    float *const row = wide + n * f;
    for (int64_t i = 0; i < n; i++) {
        kernels->activation_forward(row, slope != NULL ? slope + i * f : NULL, pre + i * f, bias,
                                    kind, 1, f);
        kernels->round((uint16_t *)inside + i * f, row, f);
    }
}

/* The gradient of the inside in `wide` becomes that of what its activation read. */
static void inside_backward(const struct pass *pass, float *wide, float *d_bias, const float *slope)
{
    const int64_t n = pass->row_count;
    const int64_t f = parts_local(pass->parts, pass->options->feed_forward).count;
    const struct kernels *const kernels = pass->kernels;
    if (kernels->round == NULL) {
        kernels->activation_backward(wide, d_bias, wide, slope, n, f);
        return;
    }
    float *const row = wide + n * f;
    for (int64_t i = 0; i < n; i++) {
        kernels->activation_backward(row, d_bias, wide + i * f, slope + i * f, 1, f);
        kernels->round((uint16_t *)wide + i * f, row, f);
    }
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
    void *const activated = keeps ? kept->activated : wide;
    parts_out_forward(pass, kept->inner, in, &inner, n);
    inside_forward(pass, activated, keeps ? kept->inner : NULL, kept->inner,
                   pass_weight(pass, group, PARAMETER_INNER_BIAS) + local.first, wide);
    if (branch != NULL) {
        parts_in_forward(pass, branch, inside_of(pass, activated), &outer, n);
    }
}

void feed_forward_backward(const struct pass *pass, float *d_in, bool add, const float *d_branch,
                           const float *in, const struct layer_activations *kept, float *wide,
                           const struct group_gradient *gradient)
{
    const int64_t n = pass->row_count;
    const void *const activated = kept->activated != NULL ? kept->activated : wide;
    const struct parts_weight inner = inner_weight(pass, gradient->group, PARAMETER_INNER_WEIGHT);
    const struct parts_weight outer = outer_weight(pass, gradient->group);
    pass->kernels->bias_backward(pass_gradient(pass, gradient, PARAMETER_OUTER_BIAS), d_branch, n,
                                 pass->options->hidden);
    if (kept->activated == NULL) {
        inside_forward(pass, wide, kept->inner, kept->inner, NULL, wide);
    }
    parts_in_gradient(pass, gradient, d_branch, inside_of(pass, activated), &outer, n);
    parts_in_backward(pass, wide, d_branch, &outer, n);
    inside_backward(pass, wide, pass_gradient(pass, gradient, PARAMETER_INNER_BIAS), kept->inner);
    parts_out_gradient(pass, gradient, inside_of(pass, wide), in, &inner, n);
    parts_out_backward(pass, d_in, add, inside_of(pass, wide), &inner, n);
}
