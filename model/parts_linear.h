/* Matrix products with a weight that is cut into parts (parts.h). Cut along its outputs, the
 * product is v products side by side, each element as if nothing were cut; along its inputs, v
 * partial products that are added in the tree. In backward it is the other way round. Biases of
 * outputs that are cut are cut with them. With v = 1 every call is the one product of pass.h.
 *
 * Rows given as a matrix are (n, local columns), not transposed, rounded or not. */
#ifndef SHARDLM_MODEL_PARTS_LINEAR_H
#define SHARDLM_MODEL_PARTS_LINEAR_H

#include "model/pass.h"

/* A matrix W (out, in) of `group`, or a bias (out). */
struct parts_weight {
    int64_t group;
    enum parameter_role role;
    int64_t out;
    int64_t in;
    int64_t segments; /* stacked matrices, each cut alike: 3 for query, key and value; else 1 */
    int64_t first_segment; /* of the matrix: the segments that a product is of; biases are of all */
    int64_t segment_count; /* 0: all */
};

/* W cut along `out`. y (n, local out) = x·Wᵀ: one segment's columns after the other. Columns of
 * segments that the product is not of are left alone, and are no part of a sum. */
void parts_out_forward(const struct pass *pass, float *y, const float *x /* (n, in) */,
                       const struct parts_weight *weight, int64_t n);
/* d_x (n, in) = d_y·W + (add ? d_x : 0), over all parts. */
void parts_out_backward(const struct pass *pass, float *d_x, bool add,
                        struct kernels_matrix d_y, const struct parts_weight *weight, int64_t n);
void parts_out_gradient(const struct pass *pass, const struct group_gradient *gradient,
                        struct kernels_matrix d_y, const float *x,
                        const struct parts_weight *weight, int64_t n);

/* W cut along `in`. y (n, out) = x·Wᵀ, over all parts. */
void parts_in_forward(const struct pass *pass, float *y, struct kernels_matrix x,
                      const struct parts_weight *weight, int64_t n);
void parts_in_backward(const struct pass *pass, float *d_x /* (n, local in) */,
                       const float *d_y /* (n, out) */, const struct parts_weight *weight,
                       int64_t n);
void parts_in_gradient(const struct pass *pass, const struct group_gradient *gradient,
                       const float *d_y, struct kernels_matrix x,
                       const struct parts_weight *weight, int64_t n);

/* y (n, local out) += bias. */
void parts_bias_forward(const struct pass *pass, float *y, const struct parts_weight *bias,
                        int64_t n);
void parts_bias_gradient(const struct pass *pass, const struct group_gradient *gradient,
                         const float *d_y, const struct parts_weight *bias, int64_t n);

#endif
