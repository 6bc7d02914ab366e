/* worker/policy: which steps are bad, and what the mean of the losses before is. */
#include "worker/policy.h"

#include <string.h>

#include "tests/support/suite.h"

enum { TARGETS = 10 };
static const int64_t nat = INT64_C(1) << NODE_STATE_LOSS_BITS;

static const struct numerics_options options = {.on_bad_slot = NUMERICS_POLICY_SKIP,
                                                .on_loss_spike = NUMERICS_POLICY_ROLLBACK,
                                                .spike_nats = 1.0};

/* Totals of a step with this loss, in nats. */
static void totals_make(int64_t totals[NODE_TOTAL_COUNT], double loss)
{
    memset(totals, 0, NODE_TOTAL_COUNT * sizeof *totals);
    totals[NODE_TOTAL_LOSS] = (int64_t)(loss * TARGETS * (double)nat);
    totals[NODE_TOTAL_TARGETS] = TARGETS;
}

/* After `count` steps of this loss. */
static struct node_record record_make(int64_t count, double loss)
{
    struct node_record record = {0};
    int64_t totals[NODE_TOTAL_COUNT];
    totals_make(totals, loss);
    for (int64_t i = 0; i < count; i++) {
        struct node_record next = {0};
        policy_note(&record, totals, &next);
        record = next;
    }
    return record;
}

START_TEST(test_policy_bad_slot_follows_its_key)
{
    const struct node_record former = record_make(3, 2.0);
    int64_t totals[NODE_TOTAL_COUNT];
    totals_make(totals, 2.0);
    ck_assert_int_eq(policy_judge(&options, &former, totals), POLICY_VERDICT_UPDATE);
    totals[NODE_TOTAL_BAD_SLOTS] = 1;
    ck_assert_int_eq(policy_judge(&options, &former, totals), POLICY_VERDICT_SKIP);
}
END_TEST

START_TEST(test_policy_spike_is_what_lies_above_the_mean)
{
    const struct node_record former = record_make(POLICY_STEPS_MIN, 2.0);
    int64_t totals[NODE_TOTAL_COUNT];
    totals_make(totals, 2.99);
    ck_assert_int_eq(policy_judge(&options, &former, totals), POLICY_VERDICT_UPDATE);
    totals_make(totals, 3.01);
    ck_assert_int_eq(policy_judge(&options, &former, totals), POLICY_VERDICT_ROLLBACK);
    const struct node_record young = record_make(POLICY_STEPS_MIN - 1, 2.0);
    ck_assert_int_eq(policy_judge(&options, &young, totals), POLICY_VERDICT_UPDATE);
}
END_TEST

START_TEST(test_policy_mean_follows_the_losses)
{
    struct node_record record = record_make(4, 2.0);
    ck_assert_int_eq(record.loss_count, 4);
    ck_assert_int_eq(record.loss_mean, 2 * nat);
    int64_t totals[NODE_TOTAL_COUNT];
    totals_make(totals, 7.0);
    struct node_record next = {0};
    policy_note(&record, totals, &next);
    ck_assert_int_eq(next.loss_mean, 3 * nat); /* of 2, 2, 2, 2, 7 */
    record = record_make(1000, 2.0);
    ck_assert_int_eq(record.loss_count, POLICY_WINDOW);
}
END_TEST

int main(void)
{
    return suite_run("policy", (const TTest *[]){test_policy_bad_slot_follows_its_key,
                                                 test_policy_spike_is_what_lies_above_the_mean,
                                                 test_policy_mean_follows_the_losses, NULL});
}
