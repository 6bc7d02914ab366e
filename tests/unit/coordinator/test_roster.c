/* coordinator/roster: how much workers, or teams of them, differ in speed. */
#include "coordinator/roster.h"

#include "tests/support/suite.h"

/* What workers said of their last step: seconds for two slots each. */
static struct roster roster_make(const double *seconds, int64_t count)
{
    struct roster roster;
    roster_init(&roster, count, 10.0, 10.0);
    for (int64_t i = 0; i < count; i++) {
        roster.members[i].ready.values[MESSAGE_VALUE_SLOTS] = seconds[i] > 0 ? 2 : 0;
        roster.members[i].ready.reals[MESSAGE_REAL_COMPUTE] = seconds[i];
    }
    return roster;
}

START_TEST(test_roster_slowness_of_workers)
{
    static const double seconds[] = {2.0, 3.0, 0.0, 2.5};
    struct roster roster = roster_make(seconds, 4);
    ck_assert_double_eq(roster_slowness(&roster, 1), 1.5);
    roster_deinit(&roster);
}
END_TEST

/* Sections differ in their work; only the longest of a team tells how fast it is. */
START_TEST(test_roster_slowness_of_teams)
{
    static const double seconds[] = {2.0, 4.0, 1.0, 4.0, 3.0, 4.0};
    struct roster roster = roster_make(seconds, 6);
    ck_assert_double_eq(roster_slowness(&roster, 2), 1.0);
    ck_assert_double_eq(roster_slowness(&roster, 3), 1.0);
    roster.members[4].ready.reals[MESSAGE_REAL_COMPUTE] = 6.0;
    ck_assert_double_eq(roster_slowness(&roster, 2), 1.5);
    ck_assert_double_eq(roster_slowness(&roster, 6), 1.0);
    roster_deinit(&roster);
}
END_TEST

START_TEST(test_roster_slowness_is_one_if_unknown)
{
    static const double seconds[] = {0.0, 0.0};
    struct roster roster = roster_make(seconds, 2);
    ck_assert_double_eq(roster_slowness(&roster, 1), 1.0);
    ck_assert_double_eq(roster_slowness(&roster, 2), 1.0);
    roster_deinit(&roster);
}
END_TEST

int main(void)
{
    return suite_run("roster", (const TTest *[]){test_roster_slowness_of_workers,
                                                 test_roster_slowness_of_teams,
                                                 test_roster_slowness_is_one_if_unknown, NULL});
}
