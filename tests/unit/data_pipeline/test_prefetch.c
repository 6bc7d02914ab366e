/* data_pipeline/prefetch: batches come in the order asked, the same as without it; failures come
 * with their batch. */
#include "data_pipeline/prefetch.h"

#include <string.h>

#include "tests/support/suite.h"

enum { T = 16, WAIT_MS = 20000 };

static struct data_source *synthetic_open(void)
{
    const struct data_options options = {
        .corpus = "synthetic",
        .mask_fraction = 0.15,
        .mask_share = 0.8,
        .random_share = 0.1,
        .mask_copies = 1,
        .sequence_tokens = T,
    };
    const struct step_options step = {.tokens = 8 * T, .slot_tokens = 2 * T};
    struct data_source *source;
    struct error error;
    CHECK_OK(data_source_open(&source, &options, &step, 1, 100, &error), error);
    return source;
}

START_TEST(test_prefetch_gives_the_batches_asked_for_in_order)
{
    struct error error;
    struct prefetch *prefetch;
    struct data_source *const source = synthetic_open();
    const struct batch_limits limits = data_source_limits(source);
    struct batch expected;
    batch_init(&expected, &limits);
    CHECK_OK(prefetch_open(&prefetch, source, 1, &error), error);
    int64_t asked = 0;
    for (int64_t taken = 0; taken < 200; taken++) {
        while (!prefetch_full(prefetch)) {
            prefetch_ask(prefetch, 1 + asked / 4, asked % 4, false);
            asked++;
        }
        ck_assert_int_eq(asked - taken, PREFETCH_DEPTH);
        int64_t step;
        int64_t slot;
        const struct batch *batch;
        CHECK_OK(prefetch_take(prefetch, WAIT_MS, &step, &slot, &batch, &error), error);
        ck_assert(step == 1 + taken / 4 && slot == taken % 4);
        CHECK_OK(data_source_fill(source, step, slot, &expected, &error), error);
        ck_assert_int_eq(batch->token_count, expected.token_count);
        ck_assert_int_eq(memcmp(batch->ids, expected.ids, sizeof(int32_t) * 2 * T), 0);
    }
    prefetch_close(prefetch);
    batch_deinit(&expected);
    data_source_close(source);
}
END_TEST

/* A batch stays as it is while HELD - 1 more are taken and the thread is as far ahead as it may be.
 */
START_TEST(test_prefetch_holds_as_many_batches_as_it_was_told)
{
    enum { HELD = 3 };
    struct error error;
    struct prefetch *prefetch;
    struct data_source *const source = synthetic_open();
    const struct batch_limits limits = data_source_limits(source);
    const struct batch *held[HELD] = {NULL};
    struct batch expected;
    batch_init(&expected, &limits);
    CHECK_OK(prefetch_open(&prefetch, source, HELD, &error), error);
    int64_t asked = 0;
    for (int64_t taken = 0; taken < 60; taken++) {
        int64_t step;
        int64_t slot;
        while (!prefetch_full(prefetch)) {
            prefetch_ask(prefetch, 1 + asked / 4, asked % 4, false);
            asked++;
        }
        CHECK_OK(prefetch_take(prefetch, WAIT_MS, &step, &slot, &held[taken % HELD], &error),
                 error);
        const int64_t oldest = taken - HELD + 1;
        if (oldest >= 0) {
            CHECK_OK(data_source_fill(source, 1 + oldest / 4, oldest % 4, &expected, &error),
                     error);
            ck_assert_mem_eq(held[oldest % HELD]->ids, expected.ids, sizeof(int32_t) * 2 * T);
        }
    }
    prefetch_close(prefetch);
    batch_deinit(&expected);
    data_source_close(source);
}
END_TEST

START_TEST(test_prefetch_delivers_a_failure_in_its_place_and_goes_on)
{
    struct error error;
    struct prefetch *prefetch;
    struct data_source *const source = synthetic_open();
    CHECK_OK(prefetch_open(&prefetch, source, 1, &error), error);
    prefetch_ask(prefetch, 1, 0, false);
    prefetch_ask(prefetch, 1, 99, false);
    prefetch_ask(prefetch, 1, 1, false);
    int64_t step;
    int64_t slot;
    const struct batch *batch;
    CHECK_OK(prefetch_take(prefetch, WAIT_MS, &step, &slot, &batch, &error), error);
    CHECK_FAILS(prefetch_take(prefetch, WAIT_MS, &step, &slot, &batch, &error), STATUS_INPUT);
    ck_assert_int_eq(slot, 99);
    ck_assert(strstr(error.message, "slot 99") != NULL);
    CHECK_OK(prefetch_take(prefetch, WAIT_MS, &step, &slot, &batch, &error), error);
    ck_assert_int_eq(slot, 1);
    prefetch_close(prefetch);
    data_source_close(source);
}
END_TEST

START_TEST(test_prefetch_forgets_what_was_dropped)
{
    struct error error;
    struct prefetch *prefetch;
    struct data_source *const source = synthetic_open();
    CHECK_OK(prefetch_open(&prefetch, source, 1, &error), error);
    for (int64_t round = 1; round < 100; round++) {
        for (int64_t i = 0; i < PREFETCH_DEPTH; i++) {
            prefetch_ask(prefetch, round, i, false);
        }
        prefetch_drop(prefetch);
        ck_assert(!prefetch_full(prefetch));
        prefetch_ask(prefetch, 1000 + round, 2, false);
        int64_t step;
        int64_t slot;
        const struct batch *batch;
        CHECK_OK(prefetch_take(prefetch, WAIT_MS, &step, &slot, &batch, &error), error);
        ck_assert(step == 1000 + round && slot == 2);
    }
    prefetch_ask(prefetch, 1, 1, false); /* closed with a request under way */
    prefetch_close(prefetch);
    prefetch_close(NULL);
    data_source_close(source);
}
END_TEST

int main(void)
{
    return suite_run("prefetch",
                     (const TTest *[]){test_prefetch_gives_the_batches_asked_for_in_order,
                                       test_prefetch_holds_as_many_batches_as_it_was_told,
                                       test_prefetch_delivers_a_failure_in_its_place_and_goes_on,
                                       test_prefetch_forgets_what_was_dropped, NULL});
}
