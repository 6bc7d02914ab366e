/* See plan.h. */
#include "data_pipeline/plan.h"

#include "base/error.h"
#include "base/random.h"

struct plan_copy {
    int64_t number;
    int64_t first_row;
    int64_t row_count;
    int64_t place;
};

static int64_t plan_copies(const struct plan *plan)
{
    return plan->copy_count > 1 ? plan->copy_count : 1;
}

/* The copy that place `place` of a round falls into. */
static struct plan_copy plan_copy_at(const struct plan *plan, int64_t place)
{
    if (plan_copies(plan) == 1) {
        return (struct plan_copy){.row_count = plan->row_count, .place = place};
    }
    int64_t number = 0;
    while (plan->copy_begins[number + 1] <= place) {
        number++;
    }
    const int64_t first_row = plan->copy_begins[number];
    return (struct plan_copy){.number = number,
                              .first_row = first_row,
                              .row_count = plan->copy_begins[number + 1] - first_row,
                              .place = place - first_row};
}

struct plan_row plan_at(const struct plan *plan, int64_t step, int64_t slot, int64_t place)
{
    INVARIANT(plan->row_count >= 1 && step >= 1);
    INVARIANT(slot >= 0 && slot < plan->slots);
    INVARIANT(place >= 0 && place < plan->rows_per_slot);
    const uint64_t slots_before = (uint64_t)(step - 1) * (uint64_t)plan->slots + (uint64_t)slot;
    const uint64_t number = slots_before * (uint64_t)plan->rows_per_slot + (uint64_t)place;
    const struct plan_copy copy = plan_copy_at(plan, (int64_t)(number % (uint64_t)plan->row_count));
    const uint64_t round = number / (uint64_t)plan->row_count;
    const uint64_t epoch = round * (uint64_t)plan_copies(plan) + (uint64_t)copy.number;
    const struct random_key key = random_key_make(plan->seed, RANDOM_PURPOSE_EPOCH_ORDER, epoch);
    const uint64_t place_in_copy =
        random_permute(key, (uint64_t)copy.row_count, (uint64_t)copy.place);
    return (struct plan_row){.epoch = (int64_t)epoch,
                             .row = copy.first_row + (int64_t)place_in_copy};
}

double plan_epochs(const struct plan *plan, int64_t step)
{
    const double rows = (double)(step - 1) * (double)plan->slots * (double)plan->rows_per_slot;
    return rows / (double)plan->row_count * (double)plan_copies(plan);
}
