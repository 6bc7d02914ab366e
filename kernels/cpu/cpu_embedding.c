/* The sum of a word's, a position's and a segment's row, and rows gathered and scattered by index.
 */
#include "kernels/cpu/cpu_level.h"

static void row_add(float *restrict out, const float *restrict in, int64_t c)
{
    SIMD
    for (int64_t j = 0; j < c; j++) {
        out[j] += in[j];
    }
}

void OPERATION(embedding_forward)(float *out, const float *word, const float *position,
                                  const float *type, const int32_t *ids, const int32_t *positions,
                                  const int32_t *segments, int64_t position_offset, int64_t n,
                                  int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        float *const row = out + i * c;
        memcpy(row, word + ids[i] * c, (size_t)c * sizeof *row);
        if (position != NULL) {
            row_add(row, position + (positions[i] + position_offset) * c, c);
        }
        if (type != NULL) {
            row_add(row, type + (segments == NULL ? 0 : segments[i]) * c, c);
        }
    }
}

void OPERATION(embedding_backward)(float *d_word, float *d_position, float *d_type,
                                   const float *d_out, const int32_t *ids, const int32_t *positions,
                                   const int32_t *segments, int64_t position_offset, int64_t pad_id,
                                   int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        const float *const row = d_out + i * c;
        if (d_word != NULL && ids[i] != pad_id) {
            row_add(d_word + ids[i] * c, row, c);
        }
        if (d_position != NULL) {
            row_add(d_position + (positions[i] + position_offset) * c, row, c);
        }
        if (d_type != NULL) {
            row_add(d_type + (segments == NULL ? 0 : segments[i]) * c, row, c);
        }
    }
}

void OPERATION(rows_gather)(float *out, const float *in, const int32_t *rows, int64_t count,
                            int64_t c)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(out + i * c, in + rows[i] * c, (size_t)c * sizeof *out);
    }
}

void OPERATION(rows_scatter_add)(float *out, const float *in, const int32_t *rows, int64_t count,
                                 int64_t c)
{
    for (int64_t i = 0; i < count; i++) {
        row_add(out + rows[i] * c, in + i * c, c);
    }
}
