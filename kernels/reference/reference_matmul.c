/* C = alpha · op(A) · op(B) + beta · C, with the very order of operations that the contract states:
 * the specification of every level's bits. */
#include <string.h>

#include "kernels/operations.h"

struct lane {
    const void *values;
    int64_t stride;
    bool rounded;
};

/* Row i of op(A), column i of op(B). */
static struct lane lane_at(const struct kernels_matrix *matrix, bool runs, int64_t i)
{
    const int64_t first = runs ? i * matrix->ld : i;
    const void *const values = matrix->rounded
                                   ? (const void *)((const uint16_t *)matrix->values + first)
                                   : (const void *)((const float *)matrix->values + first);
    return (struct lane){values, runs ? 1 : matrix->ld, matrix->rounded};
}

/* Clones, because fma without its instruction is a slow call; static, because clang 14 gives the
 * clones of an external function a name that nobody else finds. */
__attribute__((target_clones("fma", "default"))) static float
block_sum(struct lane a, struct lane b, int64_t first, int64_t end)
{
    const float *const left = a.values;
    const float *const right = b.values;
    float sum = 0;
    for (int64_t k = first; k < end; k++) {
        sum = __builtin_fmaf(left[k * a.stride], right[k * b.stride], sum);
    }
    return sum;
}

/* The nearest bf16, its upper half in a word; denormals become zero. */
static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) {
        return (uint16_t)(bits >> 16 | 0x40U);
    }
    if ((bits & 0x7f800000U) == 0) {
        bits &= 0x80000000U;
    }
    return (uint16_t)((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

static float bf16_at(struct lane lane, int64_t k, int64_t end)
{
    if (k >= end) {
        return 0.0F;
    }
    const int64_t place = k * lane.stride;
    const uint32_t bits = (uint32_t)(lane.rounded ? ((const uint16_t *)lane.values)[place]
                                                  : bf16_of(((const float *)lane.values)[place]))
                          << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The same of bf16: neighbours of k in pairs. */
__attribute__((target_clones("fma", "default"))) static float
bf16_block_sum(struct lane a, struct lane b, int64_t first, int64_t end)
{
    float sum = 0;
    for (int64_t k = first; k < end; k += 2) {
        sum = __builtin_fmaf(bf16_at(a, k + 1, end), bf16_at(b, k + 1, end), sum);
        sum = __builtin_fmaf(bf16_at(a, k, end), bf16_at(b, k, end), sum);
    }
    return sum;
}

struct product {
    int64_t k;
    int64_t block; /* of k */
    float (*block_sum)(struct lane a, struct lane b, int64_t first, int64_t end);
    float alpha;
    float beta;
};

static void element_compute(float *element, const struct product *product, struct lane left,
                            struct lane right)
{
    float keep = product->beta;
    int64_t first = 0;
    do { /* once for k = 0, too */
        const int64_t left_k = product->k - first;
        const int64_t end = first + (left_k < product->block ? left_k : product->block);
        const float sum = product->alpha * product->block_sum(left, right, first, end);
        *element = keep == 0.0F ? sum : keep * *element + sum;
        keep = 1;
        first = end;
    } while (first < product->k);
}

static void product_compute(const struct product *product, int64_t m, int64_t n,
                            const struct kernels_matrix *a, const struct kernels_matrix *b,
                            float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            element_compute(&c[i * ldc + j], product, lane_at(a, !a->transposed, i),
                            lane_at(b, b->transposed, j));
        }
    }
}

void matmul_reference(int64_t m, int64_t n, int64_t k, float alpha, struct kernels_matrix a,
                      struct kernels_matrix b, float beta, float *c, int64_t ldc)
{
    const struct product product = {k, KERNELS_MATMUL_BLOCK, block_sum, alpha, beta};
    product_compute(&product, m, n, &a, &b, c, ldc);
}

void matmul_bf16_reference(int64_t m, int64_t n, int64_t k, float alpha, struct kernels_matrix a,
                           struct kernels_matrix b, float beta, float *c, int64_t ldc)
{
    const struct product product = {k, 2 * KERNELS_MATMUL_BLOCK, bf16_block_sum, alpha, beta};
    product_compute(&product, m, n, &a, &b, c, ldc);
}

void round_bf16_reference(uint16_t *out, const float *in, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        float value; /* `out` may be where `in` is */
        memcpy(&value, in + i, sizeof value);
        const uint16_t rounded = bf16_of(value);
        memcpy(out + i, &rounded, sizeof rounded);
    }
}
