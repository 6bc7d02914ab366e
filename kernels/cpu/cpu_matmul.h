/* The matrix product's loops, for any type of element: what fp32 and bf16 give to them.
 *
 * Both operands are packed into panels of 32-bit units (one float, or two bf16 of neighbouring k):
 * a panel of rows holds unit k of ROW_PANEL rows side by side, a panel of columns that of
 * TILE_COLUMNS columns. A tile is TILE_ROWS by TILE_COLUMNS sums that stay in registers over a
 * block of k. Packed columns of a block stay in the second-level cache, a panel of rows in the
 * first-level one. Operands are packed more than a block at a time, so that they are read as they
 * lie in memory: only then does the processor fetch ahead. */
#ifndef SHARDLM_KERNELS_CPU_MATMUL_H
#define SHARDLM_KERNELS_CPU_MATMUL_H

#include <immintrin.h>

#include "kernels/cpu/cpu_level.h"

#ifdef __AVX512F__
enum { VECTOR_FLOATS = 16, TILE_ROWS = 14, ROW_PANEL = 16 };
typedef __m512 vector;
#else
enum { VECTOR_FLOATS = 8, TILE_ROWS = 6, ROW_PANEL = 8 };
typedef __m256 vector;
#endif

enum {
    TILE_COLUMNS = 2 * VECTOR_FLOATS,
    BLOCK_UNITS = KERNELS_MATMUL_BLOCK, /* of k */
    BLOCK_COLUMNS = 512,
    PACKED_COLUMNS = 2 * BLOCK_COLUMNS,
    PACKED_ROWS = 75 * TILE_ROWS, /* a slot of 1,024 tokens */
    PACKED_LANES = PACKED_ROWS > PACKED_COLUMNS ? PACKED_ROWS : PACKED_COLUMNS,
};

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* op(A) by rows or op(B) by columns: `lanes` vectors of length k. */
struct operand {
    const void *values; /* floats, or, if they are rounded, bf16 */
    int64_t ld;
    bool depth_runs; /* the elements of a lane lie side by side; else those of one k do */
    int64_t lanes;
    bool rounded; /* only where the type rounds */
};

/* Where a tile goes: C = beta · C + alpha · sum. */
struct tile_place {
    float *c;
    int64_t ldc;
    float alpha;
    float beta;
};

/* Where lanes go: `step` of them into each panel, which is `width` units wide and `stride` units
 * behind the one before. */
struct panels {
    uint32_t *units;
    int64_t step;
    int64_t width;
    int64_t stride;
};

struct matmul_type {
    int64_t unit_elements; /* of k; of more than one each is rounded */
    /* Packs `depth` elements from `depth_first` on of an operand's lanes from `first` on; zeros
     * behind its last lane and k. One panel of lanes whose elements lie side by side: */
    void (*pack_runs)(uint32_t *panel, int64_t width, const struct operand *operand, int64_t first,
                      int64_t depth_first, int64_t depth);
    /* All panels of `count` <= PACKED_LANES lanes that lie side by side. Units of a panel beyond
     * its own lanes are those of neighbours or zeros. */
    void (*pack_columns)(const struct panels *panels, const struct operand *operand, int64_t first,
                         int64_t count, int64_t depth_first, int64_t depth);
    /* A tile of which `rows` <= TILE_ROWS are wanted (more may be written into the buffer c). */
    void (*tile)(const struct tile_place *place, int64_t rows, const uint32_t *row_panel,
                 const uint32_t *column_panel, int64_t units);
};

/* All columns of a right operand, packed once for several products. What a product takes of it may
 * be fewer columns and fewer k, but none of them in the middle. A block of k follows the other. */
struct packed {
    uint32_t *units;
    int64_t lanes;
    int64_t k;
};

static inline int64_t columns_rounded(int64_t lanes)
{
    return (lanes + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
}

/* For any type. */
static inline int64_t packed_units(int64_t lanes, int64_t k)
{
    return columns_rounded(lanes) * k;
}

struct product {
    struct operand a;
    struct operand b;
    const struct packed *packed; /* NULL: b is packed on the way */
    int64_t k;
    float alpha;
    float beta;
    float *c;
    int64_t ldc;
};

#define matmul_run OPERATION(matmul_run)
void matmul_run(const struct matmul_type *type, const struct product *product);

/* op(A)'s rows and op(B)'s columns. */
static inline struct operand operand_left(const struct kernels_matrix *a, int64_t m)
{
    return (struct operand){a->values, a->ld, !a->transposed, m, a->rounded};
}

static inline struct operand operand_right(const struct kernels_matrix *b, int64_t n)
{
    return (struct operand){b->values, b->ld, b->transposed, n, b->rounded};
}

#define matmul_pack OPERATION(matmul_pack)
/* Packs all of op(B) into packed->units, which are packed_units() of them. */
void matmul_pack(const struct matmul_type *type, const struct packed *packed,
                 const struct operand *b);

#define matmul_fp32 OPERATION(matmul_fp32)
extern const struct matmul_type matmul_fp32;
#ifdef __AVX512F__
extern const struct matmul_type matmul_bf16; /* needs AVX512-BF16 */
#endif

#ifdef __AVX512F__
/* Of the first `count` elements of a vector, be it negative or too many. */
static inline __mmask16 mask_of(int64_t count)
{
    return (__mmask16)(count >= 16 ? 0xffffU : count <= 0 ? 0U : (1U << count) - 1U);
}
#endif

/* Eight vectors of eight units, of which `count` are wanted: out[j · width + r] = in[r][j]. */
static inline void units_transpose(uint32_t *out, int64_t width, const __m256i in[8], int64_t count)
{
    __m256 pairs[8];
    for (int i = 0; i < 4; i++) {
        pairs[2 * i] = _mm256_unpacklo_ps((__m256)in[2 * i], (__m256)in[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_ps((__m256)in[2 * i], (__m256)in[2 * i + 1]);
    }
    __m256 fours[8];
    for (int i = 0; i < 2; i++) {
        for (int half = 0; half < 2; half++) {
            const __m256d low = (__m256d)pairs[4 * i + half];
            const __m256d high = (__m256d)pairs[4 * i + 2 + half];
            fours[4 * i + 2 * half] = (__m256)_mm256_unpacklo_pd(low, high);
            fours[4 * i + 2 * half + 1] = (__m256)_mm256_unpackhi_pd(low, high);
        }
    }
    for (int j = 0; j < 4 && j < count; j++) {
        _mm256_storeu_ps((float *)(out + j * width),
                         _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x20));
        if (j + 4 < count) {
            _mm256_storeu_ps((float *)(out + (j + 4) * width),
                             _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x31));
        }
    }
}

#endif
