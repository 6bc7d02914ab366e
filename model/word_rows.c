/* See word_rows.h. */
#include "model/word_rows.h"

#include <string.h>

void word_rows_give(const struct pass *pass, const struct group_gradient *embeddings, float *rows)
{
    const int64_t width = model_embedding_width(pass->options);
    const size_t row_bytes = (size_t)width * sizeof *rows;
    float *const table = pass_gradient(pass, embeddings, PARAMETER_WORD);
    for (int64_t i = 0; i < pass->batch->token_count; i++) {
        float *const row = table + pass->batch->ids[i] * width;
        memcpy(rows + i * width, row, row_bytes);
        memset(row, 0, row_bytes);
    }
}

void word_rows_take(const struct pass *pass, const struct group_gradient *embeddings,
                    const float *rows)
{
    const int64_t width = model_embedding_width(pass->options);
    pass_gradient_clear(pass, embeddings);
    pass->kernels->rows_scatter_add(pass_gradient(pass, embeddings, PARAMETER_WORD), rows,
                                    pass->batch->ids, pass->batch->token_count, width);
}
