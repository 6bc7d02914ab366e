/* See word_rows.h. */
#include "model/word_rows.h"

#include <string.h>

static struct word_run run_from(const struct pass *pass, int64_t first)
{
    const struct batch *const batch = pass->batch;
    const struct parts_range own = parts_local(pass->parts, pass->options->vocabulary);
    if (pass->parts->member_count == 1) {
        return (struct word_run){first, batch->token_count - first, batch->ids + first};
    }
    int32_t *const ids = pass->parts->ids;
    while (first < batch->token_count &&
           (batch->ids[first] < own.first || batch->ids[first] >= own.first + own.count)) {
        first++;
    }
    int64_t end = first;
    while (end < batch->token_count && batch->ids[end] >= own.first &&
           batch->ids[end] < own.first + own.count) {
        ids[end] = batch->ids[end] - (int32_t)own.first;
        end++;
    }
    return (struct word_run){first, end - first, ids + first};
}

struct word_run word_run_first(const struct pass *pass)
{
    return run_from(pass, 0);
}

struct word_run word_run_next(const struct pass *pass, const struct word_run *run)
{
    return run_from(pass, run->first + run->count);
}

void word_rows_give(const struct pass *pass, const struct group_gradient *embeddings, float *rows)
{
    const int64_t width = model_embedding_width(pass->options);
    const size_t row_bytes = (size_t)width * sizeof *rows;
    float *const table = pass_gradient(pass, embeddings, PARAMETER_WORD);
    memset(rows, 0, (size_t)pass->batch->token_count * row_bytes);
    for (struct word_run run = word_run_first(pass); run.count > 0;
         run = word_run_next(pass, &run)) {
        for (int64_t i = 0; i < run.count; i++) {
            float *const row = table + run.ids[i] * width;
            memcpy(rows + (run.first + i) * width, row, row_bytes);
            memset(row, 0, row_bytes);
        }
    }
}

void word_rows_take(const struct pass *pass, const struct group_gradient *embeddings,
                    const float *rows)
{
    const int64_t width = model_embedding_width(pass->options);
    float *const table = pass_gradient(pass, embeddings, PARAMETER_WORD);
    pass_gradient_clear(pass, embeddings);
    for (struct word_run run = word_run_first(pass); run.count > 0;
         run = word_run_next(pass, &run)) {
        pass->kernels->rows_scatter_add(table, rows + run.first * width, run.ids, run.count, width);
    }
}
