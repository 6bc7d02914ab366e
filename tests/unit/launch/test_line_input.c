/* launch/line_input: lines come out as they went in, whatever their length. */
#include "launch/line_input.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "tests/support/suite.h"

static void write_file(char path[PATH_BYTES], const char *data, size_t size_bytes)
{
    struct error error = {0};
    CHECK_OK(path_join(path, suite_scratch(), "lines", &error), error);
    CHECK_OK(file_write_durable(path, data, size_bytes, &error), error);
}

static void check_next(struct line_input *input, const char *expected, size_t expected_bytes)
{
    struct error error = {0};
    const char *line;
    size_t size_bytes;
    CHECK_OK(line_input_next(input, true, &line, &size_bytes, &error), error);
    ck_assert_uint_eq(size_bytes, expected_bytes);
    ck_assert((line == NULL) == (expected == NULL));
    ck_assert(expected == NULL || memcmp(line, expected, expected_bytes) == 0);
}

START_TEST(test_line_input_gives_each_line_without_its_end)
{
    char path[PATH_BYTES];
    struct line_input input;
    struct error error = {0};
    write_file(path, "a\n\nb\0c\r\nlast", 12);
    CHECK_OK(line_input_open(&input, path, &error), error);
    check_next(&input, "a", 1);
    check_next(&input, "", 0);
    check_next(&input, "b\0c\r", 4);
    check_next(&input, "last", 4);
    ck_assert_int_eq(input.line, 4);
    check_next(&input, NULL, 0);
    check_next(&input, NULL, 0);
    line_input_close(&input);
}
END_TEST

START_TEST(test_line_input_keeps_ends_where_asked)
{
    char path[PATH_BYTES];
    struct line_input input;
    struct error error = {0};
    write_file(path, "a\n\nb", 4);
    CHECK_OK(line_input_open(&input, path, &error), error);
    input.keep_ends = true;
    check_next(&input, "a\n", 2);
    check_next(&input, "\n", 1);
    check_next(&input, "b", 1);
    check_next(&input, NULL, 0);
    line_input_close(&input);
}
END_TEST

START_TEST(test_line_input_joins_lines_longer_than_its_buffer)
{
    enum { LONG_BYTES = 300000 };
    char path[PATH_BYTES];
    struct line_input input;
    struct error error = {0};
    char *const data = memory_take(2 * LONG_BYTES + 2, 1, "test");
    memset(data, 'x', 2 * LONG_BYTES + 2);
    data[LONG_BYTES] = '\n';
    data[2 * LONG_BYTES + 1] = '\n';
    write_file(path, data, 2 * LONG_BYTES + 2);
    CHECK_OK(line_input_open(&input, path, &error), error);
    check_next(&input, data, LONG_BYTES);
    check_next(&input, data + LONG_BYTES + 1, LONG_BYTES);
    check_next(&input, NULL, 0);
    line_input_close(&input);
    memory_release(data);
}
END_TEST

START_TEST(test_line_input_names_line_and_byte_of_bad_text)
{
    char path[PATH_BYTES];
    struct line_input input;
    struct error error = {0};
    const char *line;
    size_t size_bytes;
    write_file(path, "good\nbad \xff\n", 11);
    CHECK_OK(line_input_open(&input, path, &error), error);
    check_next(&input, "good", 4);
    CHECK_FAILS(line_input_next(&input, true, &line, &size_bytes, &error), STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "line 2 is no valid UTF-8 at byte 4"));
    line_input_close(&input);
}
END_TEST

START_TEST(test_line_input_of_an_empty_file_has_no_lines)
{
    char path[PATH_BYTES];
    struct line_input input;
    struct error error = {0};
    write_file(path, "", 0);
    CHECK_OK(line_input_open(&input, path, &error), error);
    check_next(&input, NULL, 0);
    line_input_close(&input);
    CHECK_FAILS(line_input_open(&input, suite_scratch(), &error), STATUS_INPUT);
}
END_TEST

int main(void)
{
    return suite_run("line_input",
                     (const TTest *[]){test_line_input_gives_each_line_without_its_end,
                                       test_line_input_keeps_ends_where_asked,
                                       test_line_input_joins_lines_longer_than_its_buffer,
                                       test_line_input_names_line_and_byte_of_bad_text,
                                       test_line_input_of_an_empty_file_has_no_lines, NULL});
}
