/* See needed.h. */
#include "model/needed.h"

#include <string.h>

#include "base/error.h"
#include "model/family.h"

bool needed_is_part(const struct model_options *options, const struct batch *batch)
{
    const struct family *const family = family_find(options);
    INVARIANT(family != NULL);
    return !family->relative && 4 * batch->target_count <= 3 * batch->token_count;
}

/* Marks the rows that a head reads. */
static void rows_mark(const struct pass *pass, int32_t *marks)
{
    const struct batch *const batch = pass->batch;
    const int64_t head = parameter_head_group(pass->table);
    const bool spans = pass_has(pass, head, PARAMETER_SPAN_POSITION) && batch->left_rows != NULL;
    for (int64_t k = 0; k < batch->target_count; k++) {
        marks[batch->target_rows[k]] = 1;
        if (spans && batch->left_rows[k] >= 0) {
            marks[batch->left_rows[k]] = 1;
            marks[batch->right_rows[k]] = 1;
        }
    }
    for (int64_t b = 0; b < batch->sequence_count && pass_has(pass, head, PARAMETER_PAIR_WEIGHT);
         b++) {
        marks[batch->starts[b]] = 1;
    }
}

void needed_plan(struct pass *pass, int32_t *rows)
{
    if (!needed_is_part(pass->options, pass->batch)) {
        return;
    }
    const int64_t n = pass->batch->token_count;
    memset(rows, 0, (size_t)n * sizeof *rows);
    rows_mark(pass, rows);
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        if (rows[row] != 0) {
            rows[count++] = (int32_t)row;
        }
    }
    pass->needed_rows = rows;
    pass->needed_count = count;
}

static bool leaves_out(const struct pass *pass, int64_t layer)
{
    return pass->needed_rows != NULL && layer == pass->options->layers - 1;
}

bool needed_asks(const struct pass *pass, int64_t layer)
{
    return leaves_out(pass, layer) && pass->cache == NULL;
}

struct pass needed_pass(const struct pass *pass, int64_t layer)
{
    struct pass needed = *pass;
    if (leaves_out(pass, layer)) {
        needed.row_count = pass->needed_count;
    }
    return needed;
}

const float *needed_gather(const struct pass *pass, int64_t layer, float *out, const float *in,
                           int64_t width)
{
    if (!leaves_out(pass, layer)) {
        return in;
    }
    for (int64_t i = 0; i < pass->needed_count; i++) { /* a row never moves up */
        memmove(out + i * width, in + pass->needed_rows[i] * width, (size_t)width * sizeof *out);
    }
    return out;
}

void needed_spread(const struct pass *pass, int64_t layer, float *rows, int64_t width, int64_t ld)
{
    if (!leaves_out(pass, layer)) {
        return;
    }
    const size_t bytes = (size_t)width * sizeof *rows;
    int64_t left = pass->needed_count;
    for (int64_t row = pass->batch->token_count - 1; row >= 0; row--) { /* none moves down */
        if (left > 0 && pass->needed_rows[left - 1] == row) {
            memmove(rows + row * ld, rows + --left * ld, bytes);
        } else {
            memset(rows + row * ld, 0, bytes);
        }
    }
}
