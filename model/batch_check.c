/* See batch_check.h. */
#include "model/batch_check.h"

#include <stddef.h>

#include "model/head_pair.h"

/* Sizes within the limits and sequences that cover the rows: what the code that made the batch must
 * have kept. */
static void batch_check_shape(const struct batch_bounds *bounds, const struct batch *batch)
{
    INVARIANT(batch->sequence_count >= 1 &&
              batch->sequence_count <= bounds->limits->sequence_count);
    INVARIANT(batch->token_count >= 1 && batch->token_count <= bounds->limits->token_count);
    INVARIANT(batch->target_count >= 0 && batch->target_count <= bounds->limits->target_count);
    INVARIANT(batch->starts[0] == 0);
    INVARIANT(batch->starts[batch->sequence_count] == batch->token_count);
    for (int64_t b = 0; b < batch->sequence_count; b++) {
        INVARIANT(batch->starts[b] < batch->starts[b + 1]);
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        const int32_t row = batch->target_rows[k];
        INVARIANT(row >= 0 && row < batch->token_count);
        INVARIANT(k == 0 || batch->target_rows[k - 1] < row);
    }
}

/* What each row sees lies in its own sequence. */
static void batch_check_visible(const struct batch *batch)
{
    for (int64_t b = 0; b < batch->sequence_count && batch->visible_lists != NULL; b++) {
        const int32_t length = batch->starts[b + 1] - batch->starts[b];
        for (int64_t row = batch->starts[b]; row < batch->starts[b + 1]; row++) {
            const int32_t first = batch->visible_lists[2 * row];
            const int32_t end = batch->visible_lists[2 * row + 1];
            int32_t behind = -1;
            INVARIANT(first >= 0 && first < end);
            for (int64_t i = first; i < end; i++) {
                const int32_t *const interval = batch->visible_intervals + 2 * i;
                INVARIANT(interval[0] > behind && interval[0] < interval[1]);
                INVARIANT(interval[1] <= length);
                behind = interval[1];
            }
        }
    }
}

static enum status index_check(const char *what, int32_t value, int64_t count, int64_t row,
                               struct error *error)
{
    if (value < 0 || value >= count) {
        FAIL(error, STATUS_INPUT, "%s %d at row %lld of a batch is outside the model's 0 to %lld",
             what, (int)value, (long long)row, (long long)(count - 1));
    }
    return STATUS_OK;
}

/* What the optional heads read. */
static void batch_check_heads(const struct batch_bounds *bounds, const struct batch *batch)
{
    for (int64_t b = 0; b < batch->sequence_count && batch->sequence_labels != NULL; b++) {
        INVARIANT(batch->sequence_labels[b] >= -1 && batch->sequence_labels[b] < HEAD_PAIR_LABELS);
    }
    if (bounds->options->family != MODEL_FAMILY_SPANBERT || batch->left_rows == NULL) {
        return;
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        if (batch->left_rows[k] >= 0) {
            INVARIANT(batch->left_rows[k] < batch->target_rows[k]);
            INVARIANT(batch->right_rows[k] > batch->target_rows[k]);
            INVARIANT(batch->right_rows[k] < batch->token_count);
            INVARIANT(batch->span_places[k] >= 0);
        }
    }
}

/* What attention by distance reads: orders that are all there, chains that keep their direction. */
static void batch_check_streams(const struct batch_bounds *bounds, const struct batch *batch)
{
    INVARIANT(bounds->relative || !(batch->permuted || batch->chained || batch->recalled != NULL));
    for (int64_t b = 1; b < batch->sequence_count && batch->chained; b++) {
        INVARIANT(batch->continues[b] == 0 || batch->reversed[b] == batch->reversed[b - 1]);
    }
}

/* Table indexes come from data: another tokenizer or longer sequences than the model's must not
 * read wild memory. */
enum status batch_check(const struct batch_bounds *bounds, const struct batch *batch,
                        struct error *error)
{
    batch_check_shape(bounds, batch);
    batch_check_visible(batch);
    batch_check_streams(bounds, batch);
    const struct model_options *const options = bounds->options;
    for (int64_t i = 0; i < batch->token_count; i++) {
        TRY(index_check("token id", batch->ids[i], options->vocabulary, i, error));
        TRY(index_check("position", batch->positions[i], options->positions, i, error));
        if (batch->segments != NULL) {
            TRY(index_check("segment", batch->segments[i], options->type_vocabulary, i, error));
        }
    }
    for (int64_t b = 0; b < batch->sequence_count; b++) {
        const int64_t length = batch->starts[b + 1] - batch->starts[b];
        if (length > options->positions) {
            FAIL(error, STATUS_INPUT,
                 "sequence %lld of a batch has %lld tokens, the model %lld positions", (long long)b,
                 (long long)length, (long long)options->positions);
        }
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        TRY(index_check("target id", batch->target_ids[k], options->vocabulary,
                        batch->target_rows[k], error));
    }
    batch_check_heads(bounds, batch);
    return STATUS_OK;
}
