/* What every Check program here shares: one suite, one case, no fork inside MPI programs.
 *
 *     int main(void) { return suite_run("arena", (const TTest *[]){test_a, test_b, NULL}); }
 */
#ifndef SHARDLM_TESTS_SUPPORT_SUITE_H
#define SHARDLM_TESTS_SUPPORT_SUITE_H

#include <check.h>

#include "base/error.h"

/* Runs the NULL-terminated list of tests; returns the exit code. CK_FORK=no in the environment is
 * obeyed. */
int suite_run(const char *name, const TTest *const *tests);
/* The same, each test `count` times with _i = 0, 1, ... */
int suite_run_loop(const char *name, const TTest *const *tests, int count);

/* A scratch folder for this process under TMPDIR, made on first call, removed at exit. */
const char *suite_scratch(void);

#define CHECK_OK(call, error) ck_assert_msg((call) == STATUS_OK, "%s: %s", #call, (error).message)
/* ck_assert for what is looked at thousands of times: that notes each one, which takes longer than
 * most that is asserted. */
#define CHECK_EACH(holds)                                                                          \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            ck_abort_msg("does not hold: %s", #holds);                                             \
        }                                                                                          \
    } while (false)
#define CHECK_FAILS(call, expected_status) ck_assert_int_eq((call), (expected_status))

#endif
