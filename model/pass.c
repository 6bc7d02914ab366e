/* See pass.h. */
#include "model/pass.h"

#include <string.h>

const float *pass_weight(const struct pass *pass, int64_t group, enum parameter_role role)
{
    return pass->weights + parameter_of(pass->table, group, role)->offset;
}

float *pass_gradient(const struct pass *pass, const struct group_gradient *gradient,
                     enum parameter_role role)
{
    const int64_t offset = parameter_of(pass->table, gradient->group, role)->offset;
    return gradient->values + (offset - pass->table->groups[gradient->group].offset);
}

/* True for what linear_backward (or the tied decoder) writes as a whole. */
static bool role_is_written(enum parameter_role role)
{
    switch ((int)role) {
    case PARAMETER_WORD:
    case PARAMETER_QUERY_WEIGHT:
    case PARAMETER_KEY_WEIGHT:
    case PARAMETER_VALUE_WEIGHT:
    case PARAMETER_ATTENTION_WEIGHT:
    case PARAMETER_INNER_WEIGHT:
    case PARAMETER_OUTER_WEIGHT:
    case PARAMETER_HEAD_WEIGHT:
        return true;
    default:
        return false;
    }
}

void pass_gradient_begin(const struct pass *pass, const struct group_gradient *gradient)
{
    const struct parameter_group *const group = &pass->table->groups[gradient->group];
    for (int64_t i = group->first_row; i < group->first_row + group->row_count; i++) {
        const struct parameter *const row = &pass->table->rows[i];
        if (!role_is_written(row->role)) {
            memset(gradient->values + (row->offset - group->offset), 0,
                   (size_t)row->count * sizeof *gradient->values);
        }
    }
}

struct kernels_dropout pass_dropout(const struct pass *pass, double rate, int64_t layer,
                                    enum pass_place place)
{
    const uint64_t site = (uint64_t)layer * PASS_PLACES + (uint64_t)place;
    return kernels_dropout_make(pass->trains ? rate : 0.0, pass->batch->dropout_key, site);
}

const uint32_t *pass_dropout_bits(const struct pass *pass, const struct kernels_dropout *dropout,
                                  uint32_t *bits, int64_t count)
{
    if (dropout->threshold == 0) {
        return NULL;
    }
    pass->kernels->dropout_bits(bits, dropout, count);
    return bits;
}

void pass_linear(const struct pass *pass, float *y, const float *x, int64_t group,
                 enum parameter_role role, int64_t n, int64_t out, int64_t in)
{
    pass->kernels->matmul(false, true, n, out, in, 1.0F, x, in, pass_weight(pass, group, role), in,
                          0.0F, y, out);
}

void pass_linear_weight_gradient(const struct pass *pass, const struct group_gradient *gradient,
                                 enum parameter_role role, const float *d_y, const float *x,
                                 int64_t n, int64_t out, int64_t in)
{
    pass->kernels->matmul(true, false, out, in, n, 1.0F, d_y, out, x, in, 0.0F,
                          pass_gradient(pass, gradient, role), in);
}

void pass_linear_backward(const struct pass *pass, float *d_x, bool add, const float *d_y,
                          int64_t group, enum parameter_role role, int64_t n, int64_t out,
                          int64_t in)
{
    pass->kernels->matmul(false, false, n, in, out, 1.0F, d_y, out, pass_weight(pass, group, role),
                          in, add ? 1.0F : 0.0F, d_x, in);
}

enum kernels_activation pass_activation(const struct pass *pass)
{
    switch (pass->options->activation) {
    case MODEL_ACTIVATION_GELU_TANH:
        return KERNELS_ACTIVATION_GELU_TANH;
    case MODEL_ACTIVATION_RELU:
        return KERNELS_ACTIVATION_RELU;
    case MODEL_ACTIVATION_GELU:
    default:
        return KERNELS_ACTIVATION_GELU;
    }
}
