/* base/line_file: whole lines only, whatever becomes of the disk. */
#include "base/line_file.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "tests/support/suite.h"

static enum status add(struct line_file *file, const char *line, struct error *error)
{
    return line_file_append(file, line, strlen(line), error);
}

static void check_content(const char *path, const char *expected)
{
    struct error error;
    char *data;
    size_t size_bytes;
    CHECK_OK(file_read(path, 1 << 20, &data, &size_bytes, &error), error);
    ck_assert_str_eq(data, expected);
    memory_release(data);
}

static void path_make(char path[PATH_BYTES], const char *name)
{
    struct error error;
    CHECK_OK(path_join(path, suite_scratch(), name, &error), error);
}

START_TEST(test_line_file_cuts_off_a_line_that_a_kill_left_unfinished)
{
    struct error error;
    struct line_file file;
    char path[PATH_BYTES];
    path_make(path, "torn");
    char text[3 * 4096 + 5]; /* the torn line is longer than what is looked at in one go */
    memset(text, 'x', sizeof text);
    memcpy(text, "one\n", 4);
    CHECK_OK(file_write_durable(path, text, sizeof text, &error), error);
    CHECK_OK(line_file_open(&file, path, &error), error);
    CHECK_OK(add(&file, "two\n", &error), error);
    line_file_close(&file);
    check_content(path, "one\ntwo\n");
    CHECK_OK(file_write_durable(path, "no end", 6, &error), error);
    CHECK_OK(line_file_open(&file, path, &error), error);
    line_file_close(&file);
    check_content(path, "");
}
END_TEST

START_TEST(test_line_file_takes_back_the_half_of_a_line_that_did_not_fit)
{
    struct error error;
    struct line_file file;
    char path[PATH_BYTES];
    path_make(path, "full");
    CHECK_OK(line_file_open(&file, path, &error), error);
    CHECK_OK(add(&file, "first line\n", &error), error);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 16; /* the second line fits by half */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_FAILS(add(&file, "second line\n", &error), STATUS_IO);
    limit.rlim_cur = before;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_ptr_nonnull(strstr(error.message, path));
    ck_assert_ptr_nonnull(strstr(error.message, "File too large"));
    check_content(path, "first line\n");
    CHECK_OK(add(&file, "second line\n", &error), error);
    line_file_close(&file);
    check_content(path, "first line\nsecond line\n");
}
END_TEST

START_TEST(test_line_file_is_begun_anew_when_its_folder_vanished)
{
    struct error error;
    struct line_file file;
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    path_make(folder, "vanishing");
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, "lines", &error), error);
    CHECK_OK(line_file_open(&file, path, &error), error);
    CHECK_OK(add(&file, "one\n", &error), error);
    CHECK_OK(folder_remove(folder, &error), error);
    CHECK_FAILS(add(&file, "two\n", &error), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(error.message, path));
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(add(&file, "three\n", &error), error);
    line_file_close(&file);
    check_content(path, "three\n");
}
END_TEST

int main(void)
{
    return suite_run("line_file", (const TTest *[]){
                                      test_line_file_cuts_off_a_line_that_a_kill_left_unfinished,
                                      test_line_file_takes_back_the_half_of_a_line_that_did_not_fit,
                                      test_line_file_is_begun_anew_when_its_folder_vanished,
                                      NULL,
                                  });
}
