/* base/fault: a process dies or stands still where a test wants it, and nowhere else. */
#include "base/fault.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"

static struct fault parsed(const char *text)
{
    struct fault fault;
    struct error error;
    CHECK_OK(fault_parse(&fault, text, &error), error);
    return fault;
}

START_TEST(test_fault_names_point_step_and_process)
{
    const struct fault dies = parsed("slot-computed:12:3");
    ck_assert_int_eq(dies.point, FAULT_POINT_SLOT_COMPUTED);
    ck_assert_int_eq(dies.step, 12);
    ck_assert_int_eq(dies.worker, 3);
    ck_assert(!dies.still);
    ck_assert(parsed("slot-computed:12:3:still").still);
    const struct fault other = parsed("step-journaled:1:coordinator:still");
    ck_assert_int_eq(other.worker, FAULT_COORDINATOR);
    ck_assert(other.still);
}
END_TEST

START_TEST(test_fault_refuses_what_it_does_not_understand)
{
    static const char *const bad[] = {"",
                                      "slot-computed",
                                      "slot-computed:1",
                                      "slot-computed:one:1",
                                      "slot-computed:1:nobody",
                                      "slot-lost:1:1",
                                      "slot-computed:1:1:",
                                      "slot-computed:1:1:stil",
                                      "slot-computed:1:1:still!",
                                      "slot-computed:1:1 "};
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct fault fault;
        struct error error;
        ck_assert_msg(fault_parse(&fault, bad[i], &error) == STATUS_INPUT, "\"%s\" was taken",
                      bad[i]);
    }
}
END_TEST

/* A child that comes to `point` of step 2, and what becomes of it. */
static pid_t child_reach(const struct fault *fault, enum fault_point point, int *state)
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        fault_reach(fault, point, 2);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, state, WUNTRACED), child);
    return child;
}

START_TEST(test_fault_kills_stops_or_passes)
{
    const struct fault dies = parsed("step-done:2:0");
    const struct fault still = parsed("step-done:2:0:still");
    int state;
    (void)child_reach(&dies, FAULT_POINT_STEP_DONE, &state);
    ck_assert(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL);
    (void)child_reach(&dies, FAULT_POINT_STEP_TOLD, &state);
    ck_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    (void)child_reach(NULL, FAULT_POINT_STEP_DONE, &state);
    ck_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    const pid_t child = child_reach(&still, FAULT_POINT_STEP_DONE, &state);
    ck_assert(WIFSTOPPED(state));
    ck_assert_int_eq(kill(child, SIGCONT), 0);
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}
END_TEST

int main(void)
{
    return suite_run("fault", (const TTest *[]){
                                  test_fault_names_point_step_and_process,
                                  test_fault_refuses_what_it_does_not_understand,
                                  test_fault_kills_stops_or_passes,
                                  NULL,
                              });
}
