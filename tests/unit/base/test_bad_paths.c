/* What people give as paths: pipes, loops, names that are too long; and what hostile names do to a
 * message. */
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "tests/support/suite.h"

static enum status size_of(const char *name)
{
    char path[PATH_BYTES];
    int64_t size_bytes;
    struct error error = {0};
    ck_assert_int_eq(path_join(path, suite_scratch(), name, &error), STATUS_OK);
    return file_size(path, &size_bytes, &error);
}

START_TEST(test_a_pipe_is_refused_without_waiting)
{
    char path[PATH_BYTES];
    ck_assert_int_eq(path_join(path, suite_scratch(), "pipe", NULL), STATUS_OK);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(size_of("pipe"), STATUS_INPUT);
}
END_TEST

START_TEST(test_a_link_to_itself_and_a_long_name_are_bad_input)
{
    char path[PATH_BYTES];
    char name[NAME_MAX + 2];
    ck_assert_int_eq(path_join(path, suite_scratch(), "loop", NULL), STATUS_OK);
    ck_assert_int_eq(symlink("loop", path), 0);
    ck_assert_int_eq(size_of("loop"), STATUS_INPUT);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(size_of(name), STATUS_INPUT);
}
END_TEST

START_TEST(test_a_folder_below_a_file_is_bad_input)
{
    char path[PATH_BYTES];
    struct error error = {0};
    ck_assert_int_eq(path_join(path, suite_scratch(), "file", NULL), STATUS_OK);
    ck_assert_int_eq(file_write_durable(path, "x", 1, &error), STATUS_OK);
    ck_assert_int_eq(path_join(path, suite_scratch(), "file/below", NULL), STATUS_OK);
    ck_assert_int_eq(folder_make(path, &error), STATUS_INPUT);
}
END_TEST

START_TEST(test_a_message_is_one_line_whatever_it_names)
{
    struct error error = {0};
    (void)error_set(&error, STATUS_INPUT, "no file \"%s\"", "a\nb\x1b[31m\x7f");
    ck_assert_str_eq(error.message, "no file \"a?b?[31m?\"");
    (void)error_context(&error, STATUS_INPUT, "in \"%s\"", "c\td");
    ck_assert_str_eq(error.message, "in \"c?d\": no file \"a?b?[31m?\"");
}
END_TEST

int main(void)
{
    return suite_run("bad_paths",
                     (const TTest *[]){test_a_pipe_is_refused_without_waiting,
                                       test_a_link_to_itself_and_a_long_name_are_bad_input,
                                       test_a_folder_below_a_file_is_bad_input,
                                       test_a_message_is_one_line_whatever_it_names, NULL});
}
