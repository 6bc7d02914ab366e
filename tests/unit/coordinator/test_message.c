/* coordinator/message: only whole, known records are read. */
#include "coordinator/message.h"

#include <string.h>

#include "tests/support/suite.h"

START_TEST(test_message_made_here_is_valid)
{
    const struct message message = message_make(MESSAGE_KIND_READY, 2, 7);
    ck_assert(message_valid(&message, sizeof message, 3));
    ck_assert_int_eq(message.values[MESSAGE_VALUE_WRITTEN], -1);
}
END_TEST

START_TEST(test_message_of_any_other_form_is_refused)
{
    const struct message good = message_make(MESSAGE_KIND_READY, 2, 7);
    struct message bad = good;
    ck_assert(!message_valid(&good, sizeof good - 1, 3));
    ck_assert(!message_valid(&good, 0, 3));
    ck_assert(!message_valid(&good, sizeof good, 2)); /* no such worker */
    bad.magic++;
    ck_assert(!message_valid(&bad, sizeof bad, 3));
    bad = good;
    bad.version++;
    ck_assert(!message_valid(&bad, sizeof bad, 3));
    bad = good;
    bad.kind = MESSAGE_KIND_COUNT;
    ck_assert(!message_valid(&bad, sizeof bad, 3));
    bad = good;
    bad.phase = -1;
    ck_assert(!message_valid(&bad, sizeof bad, 3));
    bad = good;
    bad.worker = -1;
    ck_assert(!message_valid(&bad, sizeof bad, 3));
    bad = good;
    memset(bad.text, 'x', sizeof bad.text);
    ck_assert(!message_valid(&bad, sizeof bad, 3));
    bad = good;
    memset(bad.fingerprint, 'x', sizeof bad.fingerprint);
    ck_assert(!message_valid(&bad, sizeof bad, 3));
}
END_TEST

int main(void)
{
    return suite_run("message", (const TTest *[]){test_message_made_here_is_valid,
                                                  test_message_of_any_other_form_is_refused, NULL});
}
