/* Matrix products of bf16: operands are rounded to bf16 (nearest even) while they are packed, two
 * neighbours of k in a unit; vdpbf16ps adds both products of a unit to a sum in fp32. Needs
 * AVX512-BF16: kernels.c asks for it before this is called. The instruction takes denormals for
 * zero. */
#include "kernels/cpu/cpu_matmul_tile.h"
#include "kernels/operations.h"

static inline vector tile_step(vector sum, vector left, vector right)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)left, (__m512bh)right);
}

/* Elements [place, place + 16) of an operand, of which those in `wanted` are read; others are 0. */
static inline __attribute__((always_inline)) __m256i
operand_load(const struct operand *operand, bool rounded, __mmask16 wanted, int64_t place)
{
    if (rounded) {
        return _mm256_maskz_loadu_epi16(wanted, (const uint16_t *)operand->values + place);
    }
    return (__m256i)_mm512_cvtneps_pbh(
        _mm512_maskz_loadu_ps(wanted, (const float *)operand->values + place));
}

/* Asks for the elements at `place` of the next `lanes` lanes. */
static inline __attribute__((always_inline)) void
operand_prefetch(const struct operand *operand, bool rounded, int64_t place, int64_t lanes)
{
    const int64_t bytes = rounded ? sizeof(uint16_t) : sizeof(float);
    for (int64_t l = lanes; l < 2 * lanes; l++) {
        __builtin_prefetch((const char *)operand->values + (place + l * operand->ld) * bytes);
    }
}

/* Lanes whose elements lie side by side: eight of them by sixteen k at a time, which are eight
 * units. */
static inline __attribute__((always_inline)) void pack_runs_of(uint32_t *panel, int64_t width,
                                                               const struct operand *operand,
                                                               bool rounded, int64_t first,
                                                               int64_t depth_first, int64_t depth)
{
    for (int64_t group = 0; group < width; group += 8) {
        const int64_t lanes = operand->lanes - first - group;
        for (int64_t k = 0; k < depth; k += 16) {
            const int64_t place = (first + group) * operand->ld + depth_first + k;
            const __mmask16 wanted = mask_of(depth - k);
            __m256i rows[8];
            if (lanes >= 16) {
                operand_prefetch(operand, rounded, place, 8);
            }
            for (int64_t l = 0; l < 8; l++) {
                rows[l] = l < lanes
                              ? operand_load(operand, rounded, wanted, place + l * operand->ld)
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

static void pack_runs(uint32_t *panel, int64_t width, const struct operand *operand, int64_t first,
                      int64_t depth_first, int64_t depth)
{
    if (operand->rounded) {
        pack_runs_of(panel, width, operand, true, first, depth_first, depth);
    } else {
        pack_runs_of(panel, width, operand, false, first, depth_first, depth);
    }
}

/* Lanes lie side by side: two rows of k become one of units in all panels. The first waits as bf16,
 * so that memory is read row by row. */
static inline __attribute__((always_inline)) void
pack_columns_of(const struct panels *panels, const struct operand *operand, bool rounded,
                int64_t first, int64_t count, int64_t depth_first, int64_t depth)
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
        const int64_t place = (depth_first + k) * operand->ld + first;
        const __mmask16 pair = mask_of(k + 1 < depth ? VECTOR_FLOATS : 0);
        uint32_t *out = panels->units + k / 2 * panels->width;
        for (int64_t l = 0; l < lanes; l += VECTOR_FLOATS) {
            _mm256_storeu_si256((void *)(evens + l),
                                operand_load(operand, rounded, mask_of(lanes - l), place + l));
        }
        for (int64_t lane = 0; lane < count; lane += panels->step) {
            for (int64_t l = lane; l < lane + panels->width; l += VECTOR_FLOATS) {
                const __m256i odd = operand_load(operand, rounded, mask_of(lanes - l) & pair,
                                                 place + operand->ld + l);
                const __m512i both = _mm512_inserti64x4(
                    _mm512_castsi256_si512(_mm256_loadu_si256((const void *)(evens + l))), odd, 1);
                _mm512_storeu_si512(out + (l - lane), _mm512_permutexvar_epi16(order, both));
            }
            out += panels->stride;
        }
    }
}

static void pack_columns(const struct panels *panels, const struct operand *operand, int64_t first,
                         int64_t count, int64_t depth_first, int64_t depth)
{
    if (operand->rounded) {
        pack_columns_of(panels, operand, true, first, count, depth_first, depth);
    } else {
        pack_columns_of(panels, operand, false, first, count, depth_first, depth);
    }
}

const struct matmul_type matmul_bf16 = {2, pack_runs, pack_columns, tile_run};

void round_bf16_avx512(uint16_t *out, const float *in, int64_t count)
{
    for (int64_t i = 0; i < count; i += VECTOR_FLOATS) {
        const __mmask16 wanted = mask_of(count - i);
        const __m512 values = _mm512_maskz_loadu_ps(wanted, in + i);
        _mm256_mask_storeu_epi16(out + i, wanted, (__m256i)_mm512_cvtneps_pbh(values));
    }
}

void matmul_bf16_avx512(int64_t m, int64_t n, int64_t k, float alpha, struct kernels_matrix a,
                        struct kernels_matrix b, float beta, float *c, int64_t ldc)
{
    const struct product product = {.a = operand_left(&a, m),
                                    .b = operand_right(&b, n),
                                    .k = k,
                                    .alpha = alpha,
                                    .beta = beta,
                                    .c = c,
                                    .ldc = ldc};
    if (m > 0) {
        matmul_run(&matmul_bf16, &product);
    }
}
