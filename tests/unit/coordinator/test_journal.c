/* coordinator/journal: lines that the disk does not take are written later; what its end tells. */
#include "coordinator/journal.h"

#include <string.h>

#include "base/memory.h"
#include "tests/support/suite.h"

static json_t *step_line(int64_t step)
{
    return json_pack("{s:I, s:f}", "step", (json_int_t)step, "loss", 1.0);
}

START_TEST(test_journal_writes_later_what_it_could_not_write)
{
    struct error error;
    struct journal journal;
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    CHECK_OK(path_join(folder, suite_scratch(), "run", &error), error);
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, "journal.jsonl", &error), error);
    CHECK_OK(journal_open(&journal, path, &error), error);
    CHECK_OK(folder_remove(folder, &error), error);
    for (int64_t step = 1; step <= 3; step++) {
        CHECK_FAILS(journal_add(&journal, step_line(step), &error), STATUS_IO);
        ck_assert_ptr_nonnull(strstr(error.message, path));
        ck_assert_ptr_nonnull(strstr(error.message, "No such file or directory"));
    }
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(journal_add(&journal, step_line(4), &error), error);
    journal_close(&journal);
    char *text;
    size_t size_bytes;
    CHECK_OK(file_read(path, 1 << 20, &text, &size_bytes, &error), error);
    const char *line = text;
    for (int64_t step = 1; step <= 4; step++) {
        json_t *fields;
        int64_t got;
        const size_t length = strcspn(line, "\n");
        CHECK_OK(json_read_text("line", line, length, &fields, &error), error);
        CHECK_OK(json_member_integer(fields, "step", "line", &got, &error), error);
        ck_assert_int_eq(got, step);
        json_decref(fields);
        line += length + 1;
    }
    ck_assert_str_eq(line, "");
    memory_release(text);
}
END_TEST

/* A step that is done again behind a rollback is one that was done. */
START_TEST(test_journal_tail_tells_steps_done_since)
{
    struct error error;
    struct journal journal;
    char path[PATH_BYTES];
    CHECK_OK(path_join(path, suite_scratch(), "tail.jsonl", &error), error);
    CHECK_OK(journal_open(&journal, path, &error), error);
    CHECK_OK(journal_add(&journal, step_line(9), &error), error);
    const struct journal_tail before = journal_tail(path, 0);
    ck_assert_int_eq(before.last_step, 9);
    ck_assert(before.stepped);
    json_t *const recalled = step_line(9);
    ck_assert_int_eq(json_object_set_new(recalled, "recalled", json_true()), 0);
    CHECK_OK(journal_add(&journal, recalled, &error), error);
    ck_assert(!journal_tail(path, before.size_bytes).stepped);
    CHECK_OK(journal_add(&journal, step_line(6), &error), error);
    const struct journal_tail after = journal_tail(path, before.size_bytes);
    ck_assert(after.stepped);
    ck_assert_int_eq(after.last_step, 6);
    journal_close(&journal);
}
END_TEST

int main(void)
{
    return suite_run("journal", (const TTest *[]){test_journal_writes_later_what_it_could_not_write,
                                                  test_journal_tail_tells_steps_done_since, NULL});
}
