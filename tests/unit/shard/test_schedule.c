/* shard/schedule against the multipliers of the reference library (golden/data/ops/schedules.json).
 */
#include "shard/schedule.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "tests/support/suite.h"

static void golden_compare(const char *name, enum schedule_name schedule)
{
    struct error error;
    json_t *root;
    const char *const path = SHARDLM_GOLDEN_SMALL "/ops/schedules.json";
    CHECK_OK(json_read_file(path, 1 << 20, &root, &error), error);
    const json_t *const values =
        json_object_get(json_object_get(json_object_get(root, "multipliers"), name), "values");
    const struct optimizer_options options = {
        .schedule = schedule,
        .warmup_steps = json_integer_value(json_object_get(root, "warmup")),
        .total_steps = json_integer_value(json_object_get(root, "total")),
        .peak_rate = 2.0,
    };
    ck_assert_uint_gt(json_array_size(values), 50);
    for (size_t s = 0; s < json_array_size(values); s++) {
        /* Behind the end the reference's cosine rises again; ours stays at 0, as its linear one
         * does. */
        const bool over = schedule == SCHEDULE_NAME_COSINE && (int64_t)s > options.total_steps;
        const double expected = over ? 0.0 : json_number_value(json_array_get(values, s));
        /* the same formula in double: a few roundings */
        ck_assert_double_eq_tol(schedule_factor(&options, (int64_t)s), expected, 1e-12);
        ck_assert_double_eq_tol(schedule_rate(&options, (int64_t)s), 2.0 * expected, 2e-12);
    }
    json_decref(root);
}

START_TEST(test_schedule_linear_agrees_with_the_reference)
{
    golden_compare("linear", SCHEDULE_NAME_LINEAR);
}
END_TEST

START_TEST(test_schedule_cosine_agrees_with_the_reference)
{
    golden_compare("cosine", SCHEDULE_NAME_COSINE);
}
END_TEST

START_TEST(test_schedule_inverse_square_root_agrees_with_the_reference)
{
    golden_compare("inverse_sqrt", SCHEDULE_NAME_INVERSE_SQUARE_ROOT);
}
END_TEST

START_TEST(test_schedule_constant_agrees_with_the_reference)
{
    golden_compare("constant_with_warmup", SCHEDULE_NAME_CONSTANT);
}
END_TEST

START_TEST(test_schedule_first_step_of_a_warmup_is_not_lost)
{
    const struct optimizer_options options = {
        .schedule = SCHEDULE_NAME_LINEAR, .warmup_steps = 4, .total_steps = 8, .peak_rate = 1.0};
    ck_assert_double_eq_tol(schedule_rate(&options, 1), 0.25, 1e-15);
    ck_assert_double_eq_tol(schedule_rate(&options, 4), 1.0, 1e-15);
    ck_assert_double_eq_tol(schedule_rate(&options, 8), 0.0, 1e-15);
    ck_assert_double_eq_tol(schedule_rate(&options, 9), 0.0, 1e-15);
}
END_TEST

int main(void)
{
    return suite_run("schedule",
                     (const TTest *[]){test_schedule_linear_agrees_with_the_reference,
                                       test_schedule_cosine_agrees_with_the_reference,
                                       test_schedule_inverse_square_root_agrees_with_the_reference,
                                       test_schedule_constant_agrees_with_the_reference,
                                       test_schedule_first_step_of_a_warmup_is_not_lost, NULL});
}
