/* See suite.h. */
#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char scratch[256];
static pid_t scratch_owner;

int suite_run_loop(const char *name, const TTest *const *tests, int count)
{
    Suite *const suite = suite_create(name);
    TCase *const all = tcase_create(name);
    tcase_set_timeout(all, 100);
    for (int i = 0; tests[i] != NULL; i++) {
        tcase_add_loop_test(all, tests[i], 0, count);
    }
    suite_add_tcase(suite, all);
    SRunner *const runner = srunner_create(suite);
    (void)suite_scratch(); /* made before any fork, so that all tests share it and the parent
                              removes it */
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int suite_run(const char *name, const TTest *const *tests)
{
    return suite_run_loop(name, tests, 1);
}

static void scratch_remove(void)
{
    if (getpid() != scratch_owner) {
        return;
    }
    const pid_t child = fork();
    if (child == 0) {
        (void)execlp("rm", "rm", "-rf", scratch, (char *)NULL);
        _exit(127);
    }
    if (child > 0) {
        (void)waitpid(child, NULL, 0);
    }
}

const char *suite_scratch(void)
{
    if (scratch[0] == '\0') {
        const char *const root = getenv("TMPDIR");
        (void)snprintf(scratch, sizeof scratch, "%s/shardlm-test-XXXXXX",
                       root == NULL ? "/tmp" : root);
        if (mkdtemp(scratch) == NULL) {
            perror("mkdtemp");
            exit(EXIT_FAILURE);
        }
        scratch_owner = getpid();
        (void)atexit(scratch_remove);
    }
    return scratch;
}
