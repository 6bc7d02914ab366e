/* checkpoints/checkpoint_write: a writer may be killed, and the disk may fail, at every single system call.
 *
 * This program stands between the library (HDF5 too) and the system: it defines the calls that change a disk, counts
 * them, and at the chosen one kills the process or lets the call fail. fsync does nothing here, for speed. */
#include "checkpoints/catalog.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/checkpoints/state_fixture.h"

enum fault_kind { FAULT_NONE, FAULT_KILL, FAULT_NO_SPACE, FAULT_INPUT_OUTPUT, FAULT_SHORT };

enum { FAULT_CALLS_MAX = 5000 };

enum outcome {
    OUTCOME_UNTOUCHED, /* succeeded before it came to the fault */
    OUTCOME_SUCCEEDED, /* in spite of the fault */
    OUTCOME_FAILED,    /* killed, or STATUS_IO with a name in the message */
    OUTCOME_WRONG,     /* any other error */
};

static struct {
    enum fault_kind kind;
    int64_t at;    /* the call that fails: 0 is the first */
    int64_t count; /* calls so far */
    bool lasts;    /* all calls from `at` on fail */
} fault;

/* True if this call is to fail; errno is set. Does not return where it is to kill. */
static bool fault_now(void)
{
    const int64_t index = fault.count++;
    if (fault.kind == FAULT_NONE || index < fault.at || (index > fault.at && !fault.lasts)) {
        return false;
    }
    if (fault.kind == FAULT_KILL) {
        (void)kill(getpid(), SIGKILL);
    }
    errno = fault.kind == FAULT_INPUT_OUTPUT ? EIO : ENOSPC;
    return fault.kind != FAULT_SHORT;
}

/* Half of a write, where short writes are the fault. */
static size_t fault_size(size_t size_bytes)
{
    const bool now = fault.kind == FAULT_SHORT && fault.count - 1 == fault.at;
    return now && size_bytes > 1 ? size_bytes / 2 : size_bytes;
}

ssize_t write(int descriptor, const void *data, size_t size_bytes)
{
    if (descriptor <= 2) { /* logs */
        return syscall(SYS_write, descriptor, data, size_bytes);
    }
    return fault_now() ? -1 : syscall(SYS_write, descriptor, data, fault_size(size_bytes));
}

ssize_t pwrite(int descriptor, const void *data, size_t size_bytes, off_t offset)
{
    return fault_now() ? -1
                       : syscall(SYS_pwrite64, descriptor, data, fault_size(size_bytes), offset);
}

int ftruncate(int descriptor, off_t size_bytes)
{
    return fault_now() ? -1 : (int)syscall(SYS_ftruncate, descriptor, size_bytes);
}

int fsync(int descriptor)
{
    (void)descriptor;
    return fault_now() ? -1 : 0;
}

int rename(const char *from, const char *to)
{
    return fault_now() ? -1 : (int)syscall(SYS_rename, from, to);
}

int mkdir(const char *path, mode_t mode)
{
    return fault_now() ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int unlink(const char *path)
{
    return fault_now() ? -1 : (int)syscall(SYS_unlink, path);
}

int rmdir(const char *path)
{
    return fault_now() ? -1 : (int)syscall(SYS_rmdir, path);
}

/* Open descriptors of this process: one that is left would keep the space of a removed file. */
static int64_t descriptor_count(void)
{
    struct error error;
    struct folder_list list;
    CHECK_OK(folder_list_open(&list, "/proc/self/fd", &error), error);
    const int64_t count = list.count;
    folder_list_close(&list);
    return count;
}

/* Writes `state` in a child under a fault; what became of it. */
static enum outcome child_write(const struct state *state, const char *root, enum fault_kind kind,
                                int64_t at, bool lasts)
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct error error = {0};
        char path[PATH_BYTES];
        const int64_t descriptors = descriptor_count();
        fault.kind = kind;
        fault.at = at;
        fault.lasts = lasts;
        fault.count = 0;
        const enum status status = state_write(state, root, NULL, path, &error);
        if (status == STATUS_OK) {
            _exit(fault.count <= at ? OUTCOME_UNTOUCHED : OUTCOME_SUCCEEDED);
        }
        const bool well = status == STATUS_IO && strstr(error.message, root) != NULL &&
                          descriptor_count() == descriptors;
        if (!well) {
            (void)fprintf(stderr, "call %lld: %s: %s\n", (long long)at, status_name(status),
                          error.message);
        }
        _exit(well ? OUTCOME_FAILED : OUTCOME_WRONG);
    }
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    if (WIFSIGNALED(result)) {
        ck_assert_int_eq(WTERMSIG(result), SIGKILL);
        return OUTCOME_FAILED;
    }
    return (enum outcome)WEXITSTATUS(result);
}

/* There is a checkpoint, and every one that is listed is good and one of the two. Returns whether `older` is there. */
static bool check_listed(const char *root, const struct state *older, const struct state *newer)
{
    struct error error;
    struct catalog catalog;
    bool has_older = false;
    CHECK_OK(catalog_open(&catalog, root, &error), error);
    ck_assert_int_ge(catalog.count, 1);
    for (int64_t i = 0; i < catalog.count; i++) {
        struct checkpoint *checkpoint;
        CHECK_OK(checkpoint_open(&checkpoint, catalog.entries[i].path, true, &error), error);
        const uint64_t seed = checkpoint_meta(checkpoint)->seed;
        ck_assert(seed == older->meta.seed || seed == newer->meta.seed);
        has_older = has_older || seed == older->meta.seed;
        checkpoint_close(checkpoint);
    }
    catalog_close(&catalog);
    return has_older;
}

/* Starts from `older` alone and writes `newer` under a fault at one call after the other until there are no more. */
static void every_call(const char *name, const struct state *older, const struct state *newer,
                       enum fault_kind kind, bool lasts)
{
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    const struct checkpoint_options options = {.keep = 5};
    enum outcome outcome = OUTCOME_FAILED;
    const int64_t stride = kind == FAULT_KILL ? 1 : 3; /* for a test of seconds */
    bool has_older = false;
    int64_t at = 0;
    for (; outcome != OUTCOME_UNTOUCHED && at < FAULT_CALLS_MAX; at += stride) {
        if (!has_older) {
            state_root(root, name);
            CHECK_OK(state_write(older, root, NULL, path, &error), error);
        }
        outcome = child_write(newer, root, kind, at, lasts);
        ck_assert_int_ne(outcome, OUTCOME_WRONG);
        has_older = check_listed(root, older, newer);
        ck_assert(has_older || newer->meta.step == older->meta.step);
        CHECK_OK(catalog_retain(root, &options, -1, -1, &error), error);
        ck_assert_int_eq(check_listed(root, older, newer), has_older);
        struct folder_list list; /* nothing but checkpoints is left */
        CHECK_OK(folder_list_open(&list, root, &error), error);
        for (int64_t i = 0; i < list.count; i++) {
            ck_assert_int_eq(strncmp(list.names[i], "step-", 5), 0);
        }
        folder_list_close(&list);
    }
    ck_assert_int_gt(at, 50);
    ck_assert_int_eq(outcome, OUTCOME_UNTOUCHED);
}

START_TEST(test_killed_writer_leaves_the_old_or_the_new_one_at_any_call)
{
    struct state older;
    struct state newer;
    state_init_layers(&older, 1, 1);
    state_init_layers(&newer, 2, 1);
    every_call("killed", &older, &newer, FAULT_KILL, false);
    state_deinit(&newer);
    state_deinit(&older);
}
END_TEST

START_TEST(test_full_disk_is_an_error_and_the_older_one_stays)
{
    struct state older;
    struct state newer;
    state_init_layers(&older, 1, 1);
    state_init_layers(&newer, 2, 1);
    newer.meta.step = 600;
    every_call("full", &older, &newer, FAULT_NO_SPACE, true);
    state_deinit(&newer);
    state_deinit(&older);
}
END_TEST

START_TEST(test_failing_call_is_an_error_and_the_old_or_the_new_one_stays)
{
    struct state older;
    struct state newer;
    state_init_layers(&older, 1, 1);
    state_init_layers(&newer, 2, 1);
    every_call("failing", &older, &newer, FAULT_INPUT_OUTPUT, false);
    state_deinit(&newer);
    state_deinit(&older);
}
END_TEST

START_TEST(test_short_writes_change_nothing)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init_layers(&state, 1, 1);
    state_root(root, "short");
    for (int64_t at = 0; at < 90; at += 2) {
        ck_assert_int_lt(child_write(&state, root, FAULT_SHORT, at, false), OUTCOME_FAILED);
        int64_t step;
        CHECK_OK(catalog_newest_good(root, path, &step, &error), error);
    }
    state_deinit(&state);
}
END_TEST

/* The system's own refusal, not ours: no file may grow beyond a limit. */
START_TEST(test_file_size_limit_names_the_file)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 1);
    state_root(root, "limit");
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const struct rlimit limit = {9000, 9000};
        const bool set =
            signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0;
        const enum status status = state_write(&state, root, NULL, path, &error);
        const bool named = strstr(error.message, "layer-000.h5") != NULL &&
                           strstr(error.message, "File too large") != NULL;
        _exit(set && status == STATUS_IO && named ? 0 : 1);
    }
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    state_deinit(&state);
}
END_TEST

int main(void)
{
    return suite_run("checkpoint_faults",
                     (const TTest *[]){
                         test_killed_writer_leaves_the_old_or_the_new_one_at_any_call,
                         test_full_disk_is_an_error_and_the_older_one_stays,
                         test_failing_call_is_an_error_and_the_old_or_the_new_one_stays,
                         test_short_writes_change_nothing,
                         test_file_size_limit_names_the_file,
                         NULL,
                     });
}
