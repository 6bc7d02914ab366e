/* Every operation of `struct kernels`, once: from this list follow the declarations of each
 * level's functions (OPERATION_reference, OPERATION_avx2, OPERATION_avx512), the tables of kernels.c and the tests. */
#ifndef SHARDLM_KERNELS_OPERATIONS_H
#define SHARDLM_KERNELS_OPERATIONS_H

#include "kernels/kernels.h"

#define KERNELS_OPERATIONS(X, level) \
    X(matmul, level)                 \
    X(embedding_forward, level)      \
    X(embedding_backward, level)     \
    X(dropout_bits, level)           \
    X(dropout_apply, level)          \
    X(residual_norm_forward, level)  \
    X(norm_backward, level)          \
    X(activation_forward, level)     \
    X(activation_backward, level)    \
    X(bias_forward, level)           \
    X(bias_backward, level)          \
    X(attention_forward, level)      \
    X(attention_backward, level)     \
    X(attention_scratch, level)      \
    X(relative_forward, level)       \
    X(relative_backward, level)      \
    X(relative_scratch, level)       \
    X(rows_gather, level)            \
    X(rows_scatter_add, level)       \
    X(softmax_cross_entropy, level)  \
    X(softmax_part, level)           \
    X(softmax_part_gradient, level)  \
    X(fixed_point_add, level)        \
    X(fixed_point_set, level)        \
    X(fixed_point_finish, level)     \
    X(square_sum, level)             \
    X(adamw, level)                  \
    X(lamb_moments, level)           \
    X(lamb_direction, level)         \
    X(lamb_apply, level)

/* A function of the type that its place in the table has. */
#define KERNELS_DECLARE(name, level) __typeof__(*((struct kernels *)0)->name) name##_##level;

KERNELS_OPERATIONS(KERNELS_DECLARE, reference)
KERNELS_OPERATIONS(KERNELS_DECLARE, avx2)
KERNELS_OPERATIONS(KERNELS_DECLARE, avx512)

__typeof__(matmul_reference) matmul_openblas;

/* Products of bf16 are of two kinds only, attention by them of one: the reference's sums are in double. */
__typeof__(matmul_reference) matmul_bf16_reference;
__typeof__(matmul_avx512) matmul_bf16_avx512;
__typeof__(*((struct kernels *)0)->round) round_bf16_reference;
__typeof__(*((struct kernels *)0)->round) round_bf16_avx512;
__typeof__(attention_forward_avx512) attention_forward_bf16_avx512;
__typeof__(attention_backward_avx512) attention_backward_bf16_avx512;

#endif
