/* Matrix products in fp32. Bits are the same on every level and for every shape: an element's sum
 * over a block of KERNELS_MATMUL_BLOCK values of k is one chain of fmas in ascending k, whatever
 * tile it lies in. */
#include "kernels/cpu/cpu_matmul_tile.h"

/* Tiles over the edge are made in a buffer; the formula is that of a whole tile. */
static void tile_edge(const struct matmul_type *type, const struct tile_place *place, int64_t rows,
                      int64_t columns, const uint32_t *row_panel, const uint32_t *column_panel,
                      int64_t units)
{
    _Alignas(64) float sums[TILE_ROWS * TILE_COLUMNS];
    const struct tile_place buffer = {sums, TILE_COLUMNS, place->alpha, 0.0F};
    type->tile(&buffer, rows, row_panel, column_panel, units);
    for (int64_t i = 0; i < rows; i++) {
        float *const c = place->c + i * place->ldc;
        const float *const sum = sums + i * TILE_COLUMNS;
        for (int64_t j = 0; j < columns; j++) {
            c[j] = place->beta == 0.0F ? sum[j] : place->beta * c[j] + sum[j];
        }
    }
}

/* One block of k. */
struct depth_block {
    int64_t first;
    int64_t count;
    int64_t units;
};

/* Rows of the next tile where `left` are left. Some more than a tile has stand in its panel and are
 * cut in two: a tile of one or two rows would wait for its own sums. */
static int64_t tile_height(int64_t left)
{
    return left > ROW_PANEL ? TILE_ROWS : left > TILE_ROWS ? ROW_PANEL / 2 : left;
}

/* Packed rows [first, first + count) by one block of columns. */
static void block_run(const struct matmul_type *type, const struct product *product,
                      const struct depth_block *depth, const struct panels *rows, int64_t first,
                      int64_t count, const struct panels *columns, int64_t column_first)
{
    const int64_t width = smaller(product->b.lanes - column_first, BLOCK_COLUMNS);
    int64_t height;
    for (int64_t i = 0; i < count; i += height) {
        height = tile_height(count - i);
        const uint32_t *const row_panel =
            rows->units + i / TILE_ROWS * rows->stride + i % TILE_ROWS;
        for (int64_t j = 0; j < width; j += TILE_COLUMNS) {
            const struct tile_place place = {
                product->c + (first + i) * product->ldc + column_first + j, product->ldc,
                product->alpha, depth->first == 0 ? product->beta : 1.0F};
            const uint32_t *const panel = columns->units + j / TILE_COLUMNS * columns->stride;
            if ((height == TILE_ROWS || height == ROW_PANEL / 2) && width - j >= TILE_COLUMNS) {
                type->tile(&place, height, row_panel, panel, depth->units);
            } else {
                tile_edge(type, &place, height, smaller(width - j, TILE_COLUMNS), row_panel, panel,
                          depth->units);
            }
        }
    }
}

static void operand_pack(const struct matmul_type *type, const struct panels *panels,
                         const struct operand *operand, int64_t first, int64_t count,
                         const struct depth_block *depth)
{
    if (!operand->depth_runs) {
        type->pack_columns(panels, operand, first, count, depth->first, depth->count);
        return;
    }
    for (int64_t lane = 0; lane < count; lane += panels->step) {
        type->pack_runs(panels->units + lane / panels->step * panels->stride, panels->width,
                        operand, first + lane, depth->first, depth->count);
    }
}

static struct depth_block depth_at(const struct matmul_type *type, int64_t first, int64_t end)
{
    const int64_t count = smaller(end - first, BLOCK_UNITS * type->unit_elements);
    return (struct depth_block){first, count,
                                (count + type->unit_elements - 1) / type->unit_elements};
}

/* Where a block of k lies in what is packed. */
static struct panels packed_panels(const struct matmul_type *type, const struct packed *packed,
                                   int64_t depth_first)
{
    const int64_t lanes = columns_rounded(packed->lanes);
    const struct depth_block depth = depth_at(type, depth_first, packed->k);
    return (struct panels){packed->units + depth_first / type->unit_elements * lanes, TILE_COLUMNS,
                           TILE_COLUMNS, TILE_COLUMNS * depth.units};
}

void matmul_pack(const struct matmul_type *type, const struct packed *packed,
                 const struct operand *b)
{
    for (int64_t k = 0; k < packed->k; k += BLOCK_UNITS * type->unit_elements) {
        const struct depth_block depth = depth_at(type, k, packed->k);
        struct panels panels = packed_panels(type, packed, k);
        for (int64_t lane = 0; lane < packed->lanes; lane += PACKED_COLUMNS) {
            operand_pack(type, &panels, b, lane, smaller(packed->lanes - lane, PACKED_COLUMNS),
                         &depth);
            panels.units += PACKED_COLUMNS / TILE_COLUMNS * panels.stride;
        }
    }
}

/* One block of k. Where columns fit into one block they are packed once, and rows a panel at a time
 * if each is read as it lies in memory; else many rows are packed once for all columns. */
static void depth_run(const struct matmul_type *type, const struct product *product,
                      const struct depth_block *depth)
{
    _Alignas(64) uint32_t column_units[PACKED_COLUMNS * BLOCK_UNITS];
    _Alignas(64) uint32_t row_units[PACKED_ROWS / TILE_ROWS * ROW_PANEL * BLOCK_UNITS];
    const struct panels columns = product->packed != NULL
                                      ? packed_panels(type, product->packed, depth->first)
                                      : (struct panels){column_units, TILE_COLUMNS, TILE_COLUMNS,
                                                        TILE_COLUMNS * depth->units};
    const struct panels rows = {row_units, TILE_ROWS, ROW_PANEL, ROW_PANEL * depth->units};
    const bool once = product->b.lanes <= BLOCK_COLUMNS && product->a.depth_runs;
    const int64_t step = once ? TILE_ROWS : PACKED_ROWS;
    int64_t packed = -1;
    int64_t count;
    for (int64_t i = 0; i < product->a.lanes; i += count) {
        const int64_t left = product->a.lanes - i;
        count = left <= ROW_PANEL ? left : smaller(left, step);
        operand_pack(type, &rows, &product->a, i, count, depth);
        for (int64_t j = 0; j < product->b.lanes; j += BLOCK_COLUMNS) {
            const int64_t inside = product->packed != NULL ? j : j % PACKED_COLUMNS;
            struct panels block = columns;
            if (product->packed == NULL && inside == 0 && packed != j) {
                operand_pack(type, &columns, &product->b, j,
                             smaller(product->b.lanes - j, PACKED_COLUMNS), depth);
                packed = j;
            }
            block.units += inside / TILE_COLUMNS * columns.stride;
            block_run(type, product, depth, &rows, i, count, &block, j);
        }
    }
}

void matmul_run(const struct matmul_type *type, const struct product *product)
{
    int64_t k = 0;
    do { /* once for k = 0, too: beta · C */
        const struct depth_block depth = depth_at(type, k, product->k);
        depth_run(type, product, &depth);
        k += depth.count;
    } while (k < product->k);
}

/* The first `count` elements, then zeros. */
static inline vector vector_load_part(const float *in, int64_t count)
{
#ifdef __AVX512F__
    return _mm512_maskz_loadu_ps(mask_of(count), in);
#else
    const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int wanted = (int)smaller(count, VECTOR_FLOATS);
    return _mm256_maskload_ps(in, _mm256_cmpgt_epi32(_mm256_set1_epi32(wanted), places));
#endif
}

/* A square of floats, of which `count` columns are wanted: out[j · width + r] = in[r][j]. */
static inline void vectors_transpose(float *out, int64_t width, const vector in[VECTOR_FLOATS],
                                     int64_t count)
{
#ifdef __AVX512F__
    enum { EVEN_QUARTERS = 0x88, ODD_QUARTERS = 0xdd };
    vector rows[VECTOR_FLOATS]; /* of quarters: four neighbours in r, of k = j, j + 4, j + 8, … */
#pragma GCC unroll 4
    for (int i = 0; i < VECTOR_FLOATS; i += 4) {
        const __m512d low = (__m512d)_mm512_unpacklo_ps(in[i], in[i + 1]);
        const __m512d high = (__m512d)_mm512_unpackhi_ps(in[i], in[i + 1]);
        const __m512d next_low = (__m512d)_mm512_unpacklo_ps(in[i + 2], in[i + 3]);
        const __m512d next_high = (__m512d)_mm512_unpackhi_ps(in[i + 2], in[i + 3]);
        rows[i] = (vector)_mm512_unpacklo_pd(low, next_low);
        rows[i + 1] = (vector)_mm512_unpackhi_pd(low, next_low);
        rows[i + 2] = (vector)_mm512_unpacklo_pd(high, next_high);
        rows[i + 3] = (vector)_mm512_unpackhi_pd(high, next_high);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const vector even = _mm512_shuffle_f32x4(rows[j], rows[j + 4], EVEN_QUARTERS);
        const vector odd = _mm512_shuffle_f32x4(rows[j], rows[j + 4], ODD_QUARTERS);
        const vector next_even = _mm512_shuffle_f32x4(rows[j + 8], rows[j + 12], EVEN_QUARTERS);
        const vector next_odd = _mm512_shuffle_f32x4(rows[j + 8], rows[j + 12], ODD_QUARTERS);
        rows[j] = _mm512_shuffle_f32x4(even, next_even, EVEN_QUARTERS);
        rows[j + 4] = _mm512_shuffle_f32x4(odd, next_odd, EVEN_QUARTERS);
        rows[j + 8] = _mm512_shuffle_f32x4(even, next_even, ODD_QUARTERS);
        rows[j + 12] = _mm512_shuffle_f32x4(odd, next_odd, ODD_QUARTERS);
    }
#pragma GCC unroll 16
    for (int j = 0; j < VECTOR_FLOATS; j++) {
        if (j < count) {
            _mm512_storeu_ps(out + j * width, rows[j]);
        }
    }
#else
    units_transpose((uint32_t *)out, width, (const __m256i *)in, count);
#endif
}

/* Asks for what is packed after the `lanes` at `in`, `ld` apart: as many further on. */
static void lanes_prefetch(const float *in, int64_t ld, int64_t lanes)
{
    for (int64_t l = lanes; l < 2 * lanes; l++) {
        __builtin_prefetch(in + l * ld);
    }
}

/* Lanes whose elements lie side by side: a vector of them by as many k at a time, so that lines are
 * read and written once. */
static void pack_runs(uint32_t *panel, int64_t width, const struct operand *operand, int64_t first,
                      int64_t depth_first, int64_t depth)
{
    for (int64_t group = 0; group < width; group += VECTOR_FLOATS) {
        const int64_t lanes = operand->lanes - first - group;
        const float *const in =
            (const float *)operand->values + (first + group) * operand->ld + depth_first;
        for (int64_t k = 0; k < depth; k += VECTOR_FLOATS) {
            float *const out = (float *)panel + k * width + group;
            vector rows[VECTOR_FLOATS];
            if (lanes >= 2 * VECTOR_FLOATS) {
                lanes_prefetch(in + k, operand->ld, VECTOR_FLOATS);
            }
#pragma GCC unroll 16
            for (int64_t l = 0; l < VECTOR_FLOATS; l++) {
                rows[l] = l < lanes ? vector_load_part(in + l * operand->ld + k, depth - k)
                                    : vector_set(0.0F);
            }
            if (depth - k >= VECTOR_FLOATS) {
                vectors_transpose(out, width, rows, VECTOR_FLOATS);
            } else {
                vectors_transpose(out, width, rows, depth - k);
            }
        }
    }
}

/* Lanes lie side by side: a row of k goes into all panels. */
static void pack_columns(const struct panels *panels, const struct operand *operand, int64_t first,
                         int64_t count, int64_t depth_first, int64_t depth)
{
    const int64_t lanes = operand->lanes - first;
    for (int64_t k = 0; k < depth; k++) {
        const float *const in =
            (const float *)operand->values + (depth_first + k) * operand->ld + first;
        float *out = (float *)panels->units + k * panels->width;
        for (int64_t lane = 0; lane < count; lane += panels->step) {
            if (lanes - lane >= panels->width) {
                for (int64_t l = 0; l < panels->width; l += VECTOR_FLOATS) {
                    memcpy(out + l, in + lane + l, VECTOR_FLOATS * sizeof *out);
                }
            } else {
                memset(out, 0, (size_t)panels->width * sizeof *out);
                memcpy(out, in + lane, (size_t)(lanes - lane) * sizeof *out);
            }
            out += panels->stride;
        }
    }
}

static inline vector tile_step(vector sum, vector left, vector right)
{
#ifdef __AVX512F__
    return _mm512_fmadd_ps(left, right, sum);
#else
    return _mm256_fmadd_ps(left, right, sum);
#endif
}

const struct matmul_type matmul_fp32 = {1, pack_runs, pack_columns, tile_run};

void OPERATION(matmul)(int64_t m, int64_t n, int64_t k, float alpha, struct kernels_matrix a,
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
        matmul_run(&matmul_fp32, &product);
    }
}
