/* See batch.h. */
#include "data_pipeline/batch.h"

#include "base/error.h"
#include "base/memory.h"

void batch_init(struct batch *batch, const struct batch_limits *limits)
{
    INVARIANT(limits->sequence_count >= 0 && limits->token_count >= 0 && limits->target_count >= 0);
    const size_t starts = (size_t)limits->sequence_count + 1;
    const size_t tokens = (size_t)limits->token_count;
    const size_t targets = (size_t)limits->target_count;
    /* `starts` comes first: it is the block that batch_deinit releases. */
    const size_t always = starts + 3 * tokens + 2 * targets;
    const size_t optional = starts + 3 * targets;
    const size_t relative = 2 * tokens + 2 * starts;
    int32_t *const block = memory_take(always + optional + relative, sizeof *block, "batch");
    for (size_t i = 0; i < optional; i++) {
        block[always + i] = -1;
    }
    *batch = (struct batch){
        .starts = block,
        .ids = block + starts,
        .positions = block + starts + tokens,
        .segments = block + starts + 2 * tokens,
        .target_rows = block + starts + 3 * tokens,
        .target_ids = block + starts + 3 * tokens + targets,
        .sequence_labels = block + always,
        .left_rows = block + always + starts,
        .right_rows = block + always + starts + targets,
        .span_places = block + always + starts + 2 * targets,
        .orders = block + always + optional,
        .horizons = block + always + optional + tokens,
        .continues = block + always + optional + 2 * tokens,
        .reversed = block + always + optional + 2 * tokens + starts,
    };
}

void batch_deinit(struct batch *batch)
{
    memory_release(batch->starts);
    *batch = (struct batch){0};
}
