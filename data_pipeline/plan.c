/* See plan.h. */
#include "data_pipeline/plan.h"

#include "base/error.h"
#include "base/random.h"

struct plan_row plan_at(const struct plan *plan, int64_t step, int64_t slot, int64_t place)
{
    INVARIANT(plan->row_count >= 1 && step >= 1);
    INVARIANT(slot >= 0 && slot < plan->slots);
    INVARIANT(place >= 0 && place < plan->rows_per_slot);
    const uint64_t slots_before = (uint64_t)(step - 1) * (uint64_t)plan->slots + (uint64_t)slot;
    const uint64_t number = slots_before * (uint64_t)plan->rows_per_slot + (uint64_t)place;
    const uint64_t count = (uint64_t)plan->row_count;
    const uint64_t epoch = number / count;
    const struct random_key key = random_key_make(plan->seed, RANDOM_PURPOSE_EPOCH_ORDER, epoch);
    return (struct plan_row){.epoch = (int64_t)epoch,
                             .row = (int64_t)random_permute(key, count, number % count)};
}

double plan_epochs(const struct plan *plan, int64_t step)
{
    const double rows = (double)(step - 1) * (double)plan->slots * (double)plan->rows_per_slot;
    return rows / (double)plan->row_count;
}
