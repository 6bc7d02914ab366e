/* Which row of the training side stands where in a run: every row once in each epoch, in a keyed
 * order that is new each epoch. There may be several copies of the rows (the same text, cut in
 * another way): epoch e reads copy e mod copy_count, and a round is one epoch of each. Rows are
 * counted through steps, slots and places in the slot; a pure function, O(1), no stored order. */
#ifndef SHARDLM_DATA_PIPELINE_PLAN_H
#define SHARDLM_DATA_PIPELINE_PLAN_H

#include <stdint.h>

enum { PLAN_COPIES_MAX = 16 };

struct plan {
    uint64_t seed;
    int64_t row_count;  /* of the training side, all copies together, >= 1 */
    int64_t copy_count; /* 0 or 1: one copy, the rest is not used */
    /* First row of each copy, rising; the last is row_count. */
    int64_t copy_begins[PLAN_COPIES_MAX + 1];
    int64_t slots; /* in a step */
    int64_t rows_per_slot;
};

struct plan_row {
    int64_t epoch; /* from 0 */
    int64_t row;
};

/* Row `place` (from 0) of slot `slot` (from 0) of step `step` (from 1):
 * g = ((step - 1) * slots + slot) * rows_per_slot + place; epoch = g / row_count;
 * row = random_permute(key(seed, EPOCH_ORDER, epoch), row_count, g % row_count). With copies, g /
 * row_count is the round, and g % row_count falls into the copy, and so the epoch, whose rows are
 * permuted. */
struct plan_row plan_at(const struct plan *plan, int64_t step, int64_t slot, int64_t place);
/* Epochs that are complete before `step`, as a fraction. */
double plan_epochs(const struct plan *plan, int64_t step);

#endif
