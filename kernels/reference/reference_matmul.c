/* C = alpha · op(A) · op(B) + beta · C, with the very order of operations that the contract states:
 * the specification of every level's bits. */
#include <string.h>

#include "kernels/operations.h"

/* Clones, because fma without its instruction is a slow call; static, because clang 14 gives the
 * clones of an external function a name that nobody else finds. */
__attribute__((target_clones("fma", "default"))) static void
product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
        const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
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

void matmul_reference(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                      float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                      float beta, float *c, int64_t ldc)
{
    product(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/* The nearest bf16, as a float; denormals become zero. */
static float bf16_round(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) {
        return value;
    }
    if ((bits & 0x7f800000U) == 0) {
        bits &= 0x80000000U;
    }
    bits += 0x7fffU + (bits >> 16 & 1U);
    bits &= 0xffff0000U;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct bf16_lane {
    const float *values;
    int64_t stride;
};

static float bf16_at(struct bf16_lane lane, int64_t k, int64_t end)
{
    return k < end ? bf16_round(lane.values[k * lane.stride]) : 0.0F;
}

/* The sum of one block of k, from `first` up to `end`. */
__attribute__((target_clones("fma", "default"))) static float
bf16_block(struct bf16_lane a, struct bf16_lane b, int64_t first, int64_t end)
{
    float sum = 0;
    for (int64_t k = first; k < end; k += 2) {
        sum = __builtin_fmaf(bf16_at(a, k + 1, end), bf16_at(b, k + 1, end), sum);
        sum = __builtin_fmaf(bf16_at(a, k, end), bf16_at(b, k, end), sum);
    }
    return sum;
}

void matmul_bf16_reference(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                           float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                           float beta, float *c, int64_t ldc)
{
    const int64_t block = 2 * KERNELS_MATMUL_BLOCK;
    for (int64_t i = 0; i < m; i++) {
        const struct bf16_lane left = {transpose_a ? a + i : a + i * lda, transpose_a ? lda : 1};
        for (int64_t j = 0; j < n; j++) {
            const struct bf16_lane right = {transpose_b ? b + j * ldb : b + j,
                                            transpose_b ? 1 : ldb};
            float *const element = &c[i * ldc + j];
            float keep = beta;
            int64_t first = 0;
            do {
                const int64_t end = first + block < k ? first + block : k;
                const float sum = bf16_block(left, right, first, end);
                *element = keep == 0.0F ? alpha * sum : keep * *element + alpha * sum;
                keep = 1;
                first += block;
            } while (first < k);
        }
    }
}
