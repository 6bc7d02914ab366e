/* See transform.h. */
#include "model/transform.h"

#include <stddef.h>

static struct norm_place transform_norm_place(const struct pass *pass,
                                              const struct transform_place *place)
{
    return (struct norm_place){
        .group = parameter_head_group(pass->table), .gain = place->gain, .shift = place->shift};
}

void transform_forward(const struct pass *pass, const struct transform_place *place,
                       const struct transform_activations *kept, const float *in, int64_t n)
{
    const struct norm_place norm = transform_norm_place(pass, place);
    const struct parameter *const weight = parameter_of(pass->table, norm.group, place->weight);
    pass_linear(pass, kept->inner, in, norm.group, place->weight, n, weight->rows, weight->cols);
    pass->kernels->activation_forward(kept->activated, kept->inner, kept->inner,
                                      pass_weight(pass, norm.group, place->bias), place->activation,
                                      n, weight->rows);
    norm_forward(pass, kept->normed, &kept->norm, kept->activated, &norm, n);
}

void transform_backward(const struct pass *pass, const struct transform_place *place,
                        const struct transform_activations *kept, float *d_in, const float *in,
                        int64_t n, const struct group_gradient *gradient)
{
    const struct norm_place norm = transform_norm_place(pass, place);
    const struct parameter *const weight = parameter_of(pass->table, norm.group, place->weight);
    const int64_t out_width = weight->rows;
    const int64_t in_width = weight->cols;
    norm_backward(pass, kept->d_inner, gradient, NULL, kept->d_normed, kept->activated, &kept->norm,
                  &norm, n);
    pass->kernels->activation_backward(kept->d_inner, pass_gradient(pass, gradient, place->bias),
                                       kept->d_inner, kept->inner, n, out_width);
    pass_linear_weight_gradient(pass, gradient, place->weight, kept->d_inner, in, n, out_width,
                                in_width);
    pass_linear_backward(pass, d_in, false, kept->d_inner, norm.group, place->weight, n, out_width,
                         in_width);
}
