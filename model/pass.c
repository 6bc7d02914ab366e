/* See pass.h. */
#include "model/pass.h"

#include <string.h>

#include "base/error.h"
#include "model/family.h"
#include "model/gradient_blocks.h"

const float *pass_weight(const struct pass *pass, int64_t group, enum parameter_role role)
{
    return pass->weights + parameter_of(pass->table, group, role)->offset;
}

bool pass_has(const struct pass *pass, int64_t group, enum parameter_role role)
{
    return parameter_maybe(pass->table, group, role) != NULL;
}

const float *pass_weight_maybe(const struct pass *pass, int64_t group, enum parameter_role role)
{
    return pass_has(pass, group, role) ? pass_weight(pass, group, role) : NULL;
}

float *pass_gradient(const struct pass *pass, const struct group_gradient *gradient,
                     enum parameter_role role)
{
    const struct parameter *const row = parameter_of(pass->table, gradient->group, role);
    return gradient->values + gradient_tensor_of(pass->table, pass->parts, row).local;
}

/* True for what linear_backward (or the tied decoder) writes as a whole: every matrix but the
 * tables that only rows are looked up in. */
static bool row_is_written(const struct parameter *row)
{
    return row->cols != 0 && row->role != PARAMETER_POSITION && row->role != PARAMETER_SEGMENT &&
           row->role != PARAMETER_SPAN_POSITION && row->role != PARAMETER_SAME_SEGMENT;
}

void pass_gradient_begin(const struct pass *pass, const struct group_gradient *gradient)
{
    const struct parameter_group *const group = &pass->table->groups[gradient->group];
    if (gradient->adds) {
        return;
    }
    for (int64_t i = group->first_row; i < group->first_row + group->row_count; i++) {
        const struct parameter *const row = &pass->table->rows[i];
        if (!row_is_written(row)) {
            const struct gradient_tensor at = gradient_tensor_of(pass->table, pass->parts, row);
            memset(gradient->values + at.local, 0, (size_t)at.count * sizeof *gradient->values);
        }
    }
}

void pass_gradient_clear(const struct pass *pass, const struct group_gradient *gradient)
{
    const int64_t count = gradient_blocks_elements(pass->table, pass->parts, gradient->group);
    memset(gradient->values, 0, (size_t)count * sizeof *gradient->values);
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

/* W (out, in) or Wᵀ. */
static struct kernels_matrix stored_weight(const struct pass *pass, const struct parameter *row,
                                           int64_t out, int64_t in, bool transposed)
{
    return (struct kernels_matrix){.values = pass->weights + row->offset,
                                   .ld = row->input_major ? out : in,
                                   .transposed = transposed != row->input_major};
}

void pass_linear(const struct pass *pass, float *y, const float *x, int64_t group,
                 enum parameter_role role, int64_t n, int64_t out, int64_t in)
{
    const struct parameter *const row = parameter_of(pass->table, group, role);
    pass->kernels->matmul(n, out, in, 1.0F, matrix_of(x, in),
                          stored_weight(pass, row, out, in, true), 0.0F, y, out);
}

void pass_linear_weight_gradient(const struct pass *pass, const struct group_gradient *gradient,
                                 enum parameter_role role, const float *d_y, const float *x,
                                 int64_t n, int64_t out, int64_t in)
{
    const struct parameter *const row = parameter_of(pass->table, gradient->group, role);
    float *const d_weight = pass_gradient(pass, gradient, role);
    const float beta = gradient->adds ? 1.0F : 0.0F;
    if (row->input_major) {
        pass->kernels->matmul(in, out, n, 1.0F, matrix_transposed(x, in), matrix_of(d_y, out), beta,
                              d_weight, out);
    } else {
        pass->kernels->matmul(out, in, n, 1.0F, matrix_transposed(d_y, out), matrix_of(x, in), beta,
                              d_weight, in);
    }
}

void pass_linear_backward(const struct pass *pass, float *d_x, bool add, const float *d_y,
                          int64_t group, enum parameter_role role, int64_t n, int64_t out,
                          int64_t in)
{
    const struct parameter *const row = parameter_of(pass->table, group, role);
    pass->kernels->matmul(n, in, out, 1.0F, matrix_of(d_y, out),
                          stored_weight(pass, row, out, in, false), add ? 1.0F : 0.0F, d_x, in);
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

bool pass_is_relative(const struct pass *pass)
{
    const struct family *const family = family_find(pass->options);
    INVARIANT(family != NULL);
    return family->relative;
}

enum kernels_activation pass_head_activation(const struct pass *pass)
{
    const struct family *const family = family_find(pass->options);
    INVARIANT(family != NULL);
    return family->head_is_gelu ? KERNELS_ACTIVATION_GELU : pass_activation(pass);
}
