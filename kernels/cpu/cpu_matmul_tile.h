/* The tile of a matrix product. The file that includes this says, in tile_step, what is done with a
 * unit. Units that are not floats travel as bits: nothing but loads and broadcasts touches them
 * here. */
#ifndef SHARDLM_KERNELS_CPU_MATMUL_TILE_H
#define SHARDLM_KERNELS_CPU_MATMUL_TILE_H

#include "kernels/cpu/cpu_matmul.h"

#ifdef __AVX512F__
#define vector_load     _mm512_loadu_ps
#define vector_store    _mm512_storeu_ps
#define vector_multiply _mm512_mul_ps
#define vector_add      _mm512_add_ps
#define vector_set      _mm512_set1_ps
#else
#define vector_load     _mm256_loadu_ps
#define vector_store    _mm256_storeu_ps
#define vector_multiply _mm256_mul_ps
#define vector_add      _mm256_add_ps
#define vector_set      _mm256_set1_ps
#endif

/* One unit of each lane: sum + left · right. */
static inline vector tile_step(vector sum, vector left, vector right);

/* `rows` is a constant where these are called, so that the sums are registers. */
static inline __attribute__((always_inline)) void
tile_units(vector sum[TILE_ROWS][2], const int rows, const float *a, const float *b, int64_t units)
{
#pragma GCC unroll 4
    for (int64_t k = 0; k < units; k++) {
        const vector low = vector_load(b + k * TILE_COLUMNS);
        const vector high = vector_load(b + k * TILE_COLUMNS + VECTOR_FLOATS);
#pragma GCC unroll 14
        for (int i = 0; i < rows; i++) {
            const vector left = vector_set(a[k * ROW_PANEL + i]);
            sum[i][0] = tile_step(sum[i][0], left, low);
            sum[i][1] = tile_step(sum[i][1], left, high);
        }
    }
}

/* C is asked for when as many units are left as memory takes time: before, panels would push it out
 * of the first-level cache again. */
enum { LAST_UNITS = 32 };

static inline __attribute__((always_inline)) void tile_as(const struct tile_place *place,
                                                          const int rows, const float *a,
                                                          const float *b, int64_t units)
{
    const int64_t first_units = units > LAST_UNITS ? units - LAST_UNITS : 0;
    vector sum[TILE_ROWS][2];
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        sum[i][0] = vector_set(0.0F);
        sum[i][1] = vector_set(0.0F);
    }
    tile_units(sum, rows, a, b, first_units);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
        __builtin_prefetch(place->c + i * place->ldc);
        __builtin_prefetch(place->c + i * place->ldc + VECTOR_FLOATS);
    }
    tile_units(sum, rows, a + first_units * ROW_PANEL, b + first_units * TILE_COLUMNS,
               units - first_units);
    const vector alpha = vector_set(place->alpha);
    const vector beta = vector_set(place->beta);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            float *const c = place->c + i * place->ldc + half * VECTOR_FLOATS;
            const vector value = vector_multiply(alpha, sum[i][half]);
            vector_store(c, place->beta == 0.0F
                                ? value
                                : vector_add(vector_multiply(beta, vector_load(c)), value));
        }
    }
}

static void tile_run(const struct tile_place *place, int64_t rows, const uint32_t *row_panel,
                     const uint32_t *column_panel, int64_t units)
{
    const float *const a = (const float *)row_panel;
    const float *const b = (const float *)column_panel;
    if (rows <= 2) {
        tile_as(place, 2, a, b, units);
    } else if (rows <= 4) {
        tile_as(place, 4, a, b, units);
#ifdef __AVX512F__
    } else if (rows <= 8) {
        tile_as(place, 8, a, b, units);
#endif
    } else {
        tile_as(place, TILE_ROWS, a, b, units);
    }
}

#endif
