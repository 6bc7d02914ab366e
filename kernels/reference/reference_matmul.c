/* C = alpha · op(A) · op(B) + beta · C: each element summed in double, ascending k, and rounded
 * once. The check on OpenBLAS, and the matrix product of the reference level. */
#include "kernels/operations.h"

void matmul_reference(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                      float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                      float beta, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++) {
                const float left = transpose_a ? a[l * lda + i] : a[i * lda + l];
                const float right = transpose_b ? b[j * ldb + l] : b[l * ldb + j];
                sum += (double)left * (double)right;
            }
            const double before = beta == 0.0F ? 0.0 : (double)beta * (double)c[i * ldc + j];
            c[i * ldc + j] = (float)((double)alpha * sum + before);
        }
    }
}
