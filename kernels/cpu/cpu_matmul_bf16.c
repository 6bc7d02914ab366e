/* Matrix products of bf16: operands are rounded to bf16 (nearest even) while they are packed, two
 * neighbours of k in a unit; vdpbf16ps adds both products of a unit to a sum in fp32. Needs
 * AVX512-BF16: kernels.c asks for it before this is called. The instruction takes denormals for
 * zero. */
#include "kernels/cpu/cpu_matmul_tile.h"

static inline vector tile_step(vector sum, vector left, vector right)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)left, (__m512bh)right);
}

/* Lanes whose elements lie side by side: eight of them by sixteen k at a time, which are eight
 * units. */
static void pack_runs(uint32_t *panel, int64_t width, const struct operand *operand, int64_t first,
                      int64_t depth_first, int64_t depth)
{
    for (int64_t group = 0; group < width; group += 8) {
        const int64_t lanes = operand->lanes - first - group;
        const float *const in = operand->values + (first + group) * operand->ld + depth_first;
        for (int64_t k = 0; k < depth; k += 16) {
            const __mmask16 wanted = mask_of(depth - k);
            __m256i rows[8];
            if (lanes >= 16) {
                lanes_prefetch(in + k, operand->ld, 8);
            }
            for (int64_t l = 0; l < 8; l++) {
                rows[l] = l < lanes ? (__m256i)_mm512_cvtneps_pbh(
                                          _mm512_maskz_loadu_ps(wanted, in + l * operand->ld + k))
                                    : _mm256_setzero_si256();
            }
            uint32_t *const out = panel + k / 2 * width + group;
            if (depth - k >= 16) {
                units_transpose(out, width, rows, 8);
            } else {
                units_transpose(out, width, rows, (depth - k + 1) / 2);
            }
        }
    }
}

/* A row of lanes as bf16, with zeros behind the last. */
static void row_round(uint16_t *out, const float *in, int64_t lanes)
{
    for (int64_t lane = 0; lane < lanes; lane += VECTOR_FLOATS) {
        const __m512 values = _mm512_maskz_loadu_ps(mask_of(lanes - lane), in + lane);
        _mm256_storeu_si256((void *)(out + lane), (__m256i)_mm512_cvtneps_pbh(values));
    }
}

/* Lanes lie side by side: two rows of k become one of units in all panels. The first waits as bf16,
 * so that memory is read row by row. */
static void pack_columns(const struct panels *panels, const struct operand *operand, int64_t first,
                         int64_t count, int64_t depth_first, int64_t depth)
{
    enum { PAIR_LANES = 32 };
    uint16_t places[PAIR_LANES]; /* 0, 16, 1, 17, … */
    for (int l = 0; l < PAIR_LANES; l++) {
        places[l] = (uint16_t)(l / 2 + l % 2 * VECTOR_FLOATS);
    }
    const __m512i order = _mm512_loadu_si512(places);
    const int64_t lanes = smaller(operand->lanes - first, count + TILE_COLUMNS);
    uint16_t evens[PACKED_LANES + 2 * TILE_COLUMNS] = {0};
    for (int64_t k = 0; k < depth; k += 2) {
        const float *const in = operand->values + (depth_first + k) * operand->ld + first;
        const __mmask16 pair = mask_of(k + 1 < depth ? VECTOR_FLOATS : 0);
        uint32_t *out = panels->units + k / 2 * panels->width;
        row_round(evens, in, lanes);
        for (int64_t lane = 0; lane < count; lane += panels->step) {
            for (int64_t l = lane; l < lane + panels->width; l += VECTOR_FLOATS) {
                const __m512 odd =
                    _mm512_maskz_loadu_ps(mask_of(lanes - l) & pair, in + operand->ld + l);
                const __m512i both = _mm512_inserti64x4(
                    _mm512_castsi256_si512(_mm256_loadu_si256((const void *)(evens + l))),
                    (__m256i)_mm512_cvtneps_pbh(odd), 1);
                _mm512_storeu_si512(out + (l - lane), _mm512_permutexvar_epi16(order, both));
            }
            out += panels->stride;
        }
    }
}

const struct matmul_type matmul_bf16 = {2, pack_runs, pack_columns, tile_run};

void matmul_bf16_avx512(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                        float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                        float beta, float *c, int64_t ldc)
{
    const struct product product = {.a = {a, lda, !transpose_a, m},
                                    .b = {b, ldb, transpose_b, n},
                                    .k = k,
                                    .alpha = alpha,
                                    .beta = beta,
                                    .c = c,
                                    .ldc = ldc};
    if (m > 0) {
        matmul_run(&matmul_bf16, &product);
    }
}
