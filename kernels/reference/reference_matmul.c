/* C = alpha · op(A) · op(B) + beta · C, with the very order of operations that the contract states:
 * the specification of every level's bits. */
#include "kernels/operations.h"

/* Clones, because fma without its instruction is a slow call. */
__attribute__((target_clones("fma", "default"))) void
matmul_reference(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                 const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                 int64_t ldc)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            float *const element = &c[i * ldc + j];
            float keep = beta;
            int64_t l = 0;
            do { /* once for k = 0, too */
                float sum = 0;
                const int64_t end = l + KERNELS_MATMUL_BLOCK < k ? l + KERNELS_MATMUL_BLOCK : k;
                for (; l < end; l++) {
                    const float left = transpose_a ? a[l * lda + i] : a[i * lda + l];
                    const float right = transpose_b ? b[j * ldb + l] : b[l * ldb + j];
                    sum = __builtin_fmaf(left, right, sum);
                }
                *element = keep == 0.0F ? alpha * sum : keep * *element + alpha * sum;
                keep = 1;
            } while (l < k);
        }
    }
}
