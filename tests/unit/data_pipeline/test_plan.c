/* data_pipeline/plan: every row once an epoch, in an order that changes. */
#include "data_pipeline/plan.h"

#include "base/memory.h"
#include "tests/support/suite.h"

START_TEST(test_plan_meets_every_row_once_in_each_epoch)
{
    const struct plan plan = {.seed = 3, .row_count = 101, .slots = 3, .rows_per_slot = 4};
    int64_t *const seen = memory_take(5 * 101, sizeof *seen, "test");
    int64_t number = 0;
    for (int64_t step = 1; number < 5 * 101; step++) {
        for (int64_t slot = 0; slot < plan.slots; slot++) {
            for (int64_t place = 0; place < plan.rows_per_slot; place++, number++) {
                const struct plan_row row = plan_at(&plan, step, slot, place);
                ck_assert_int_eq(row.epoch, number / 101);
                ck_assert(row.row >= 0 && row.row < 101);
                if (row.epoch < 5) {
                    seen[row.epoch * 101 + row.row]++;
                }
            }
        }
    }
    int64_t same = 0;
    for (int64_t i = 0; i < 5 * 101; i++) {
        ck_assert_int_eq(seen[i], 1);
    }
    for (int64_t i = 0; i < 8; i++) { /* the first slots of two epochs */
        const struct plan whole = {.seed = 3, .row_count = 101, .slots = 1, .rows_per_slot = 101};
        same += plan_at(&whole, 1, 0, i).row == plan_at(&whole, 2, 0, i).row;
    }
    ck_assert_int_lt(same, 4);
    memory_release(seen);
}
END_TEST

START_TEST(test_plan_reads_the_copies_in_turn_each_whole)
{
    static const int64_t begins[] = {0, 40, 40, 101}; /* the second is empty */
    const struct plan plan = {.seed = 3,
                              .row_count = 101,
                              .copy_count = 3,
                              .copy_begins = {0, 40, 40, 101},
                              .slots = 1,
                              .rows_per_slot = 101};
    for (int64_t round = 0; round < 3; round++) {
        unsigned char seen[101] = {0};
        int64_t same = 0;
        for (int64_t place = 0; place < 101; place++) {
            const struct plan_row row = plan_at(&plan, round + 1, 0, place);
            const int64_t copy = place < 40 ? 0 : 2;
            ck_assert_int_eq(row.epoch, round * 3 + copy);
            ck_assert(row.row >= begins[copy] && row.row < begins[copy + 1]);
            ck_assert_int_eq(seen[row.row]++, 0);
            same += row.row == plan_at(&plan, 4, 0, place).row;
        }
        ck_assert_int_lt(same, 20);
    }
    ck_assert_double_eq(plan_epochs(&plan, 2), 3);
}
END_TEST

START_TEST(test_plan_counts_epochs_as_a_fraction)
{
    const struct plan plan = {.seed = 3, .row_count = 100, .slots = 5, .rows_per_slot = 5};
    ck_assert_double_eq(plan_epochs(&plan, 1), 0);
    ck_assert_double_eq(plan_epochs(&plan, 10), 2.25);
}
END_TEST

int main(void)
{
    return suite_run("plan", (const TTest *[]){test_plan_meets_every_row_once_in_each_epoch,
                                               test_plan_reads_the_copies_in_turn_each_whole,
                                               test_plan_counts_epochs_as_a_fraction, NULL});
}
