/* coordinator/lease_book: every slot is given exactly once under every policy. */
#include "coordinator/lease_book.h"

#include <string.h>

#include "tests/support/suite.h"

enum { SLOTS_MAX = 40 };

START_TEST(test_lease_static_gives_every_slot_once)
{
    for (int64_t workers = 1; workers <= 7; workers++) {
        for (int64_t slots = 1; slots <= SLOTS_MAX; slots++) {
            int given[SLOTS_MAX] = {0};
            for (int64_t w = 0; w < workers; w++) {
                for (int64_t s = lease_first(w, slots); s >= 0;
                     s = lease_following(s, workers, slots)) {
                    given[s]++;
                }
            }
            for (int64_t s = 0; s < slots; s++) {
                ck_assert_int_eq(given[s], 1);
            }
        }
    }
}
END_TEST

START_TEST(test_lease_dynamic_gives_every_slot_once)
{
    for (int64_t workers = 1; workers <= 7; workers++) {
        for (int64_t slots = 1; slots <= SLOTS_MAX; slots++) {
            struct lease_book book;
            lease_book_init(&book, LEASE_POLICY_DYNAMIC, workers, slots);
            lease_book_begin(&book, 1.0);
            int given[SLOTS_MAX] = {0};
            for (int64_t w = 0; w < workers; w++) {
                const int64_t first = lease_first(w, slots);
                if (first >= 0) {
                    given[first]++;
                }
            }
            int64_t slot;
            while ((slot = lease_book_give(&book)) >= 0) {
                given[slot]++;
            }
            for (int64_t s = 0; s < slots; s++) {
                ck_assert_int_eq(given[s], 1);
            }
            ck_assert_int_eq(lease_book_give(&book), -1);
        }
    }
}
END_TEST

START_TEST(test_lease_auto_turns_dynamic_when_workers_differ_and_back)
{
    struct lease_book book;
    lease_book_init(&book, LEASE_POLICY_AUTO, 2, 8);
    lease_book_begin(&book, 1.0);
    ck_assert(!book.dynamic);
    lease_book_begin(&book, 1.5);
    ck_assert(book.dynamic);
    lease_book_begin(&book, 1.07);
    ck_assert(book.dynamic);
    lease_book_begin(&book, 1.02);
    ck_assert(!book.dynamic);
    ck_assert_int_eq(lease_book_give(&book), -1);
}
END_TEST

int main(void)
{
    return suite_run("lease_book",
                     (const TTest *[]){test_lease_static_gives_every_slot_once,
                                       test_lease_dynamic_gives_every_slot_once,
                                       test_lease_auto_turns_dynamic_when_workers_differ_and_back,
                                       NULL});
}
