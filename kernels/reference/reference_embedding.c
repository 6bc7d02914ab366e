/* The sum of a word's, a position's and a segment's row, and rows gathered and scattered by index.
 */
#include "kernels/operations.h"

void embedding_forward_reference(float *out, const float *word, const float *position,
                                 const float *type, const int32_t *ids, const int32_t *positions,
                                 const int32_t *segments, int64_t position_offset, int64_t n,
                                 int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            float sum = word[ids[i] * c + j];
            if (position != NULL) {
                sum += position[(positions[i] + position_offset) * c + j];
            }
            if (type != NULL) {
                sum += type[(segments == NULL ? 0 : segments[i]) * c + j];
            }
            out[i * c + j] = sum;
        }
    }
}

static void row_add(float *table, int64_t row, const float *values, int64_t c)
{
    for (int64_t j = 0; j < c && table != NULL; j++) {
        table[row * c + j] += values[j];
    }
}

void embedding_backward_reference(float *d_word, float *d_position, float *d_type,
                                  const float *d_out, const int32_t *ids, const int32_t *positions,
                                  const int32_t *segments, int64_t position_offset, int64_t pad_id,
                                  int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] != pad_id) {
            row_add(d_word, ids[i], d_out + i * c, c);
        }
        if (d_position != NULL) {
            row_add(d_position, positions[i] + position_offset, d_out + i * c, c);
        }
        row_add(d_type, segments == NULL ? 0 : segments[i], d_out + i * c, c);
    }
}

void rows_gather_reference(float *out, const float *in, const int32_t *rows, int64_t count,
                           int64_t c)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < c; j++) {
            out[i * c + j] = in[rows[i] * c + j];
        }
    }
}

void rows_scatter_add_reference(float *out, const float *in, const int32_t *rows, int64_t count,
                                int64_t c)
{
    for (int64_t i = 0; i < count; i++) {
        row_add(out, rows[i], in + i * c, c);
    }
}
