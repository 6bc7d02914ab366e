/* data_pipeline/permutation: who sees whom, against the worked examples of
 * tests/golden/data/sampling/permutation_masks.json; orders and targets by derived bounds (six
 * standard deviations, fixed draws). */
#include "data_pipeline/permutation.h"

#include <math.h>

#include "base/json.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

enum { TOKENS = 512, GOAL = 85, PLACES_MAX = 64, SEPARATOR = 2 };

static const struct tokenizer_specials SPECIALS = {
    .bos = 0, .pad = 1, .eos = SEPARATOR, .unk = 3, .mask = 4};

static json_t *golden_open(void)
{
    char path[PATH_BYTES];
    json_t *root;
    struct error error;
    CHECK_OK(json_read_file(fixture_golden(path, "sampling/permutation_masks.json"), 1 << 20, &root,
                            &error),
             error);
    return root;
}

static int64_t at(const json_t *list, int64_t place)
{
    return json_integer_value(json_array_get(list, (size_t)place));
}

static void mark(enum permutation_kind *kinds, const json_t *places, enum permutation_kind kind)
{
    for (int64_t i = 0; i < (int64_t)json_array_size(places); i++) {
        kinds[at(places, i)] = kind;
    }
}

/* Both masks of an example from the two numbers a token. */
static void check_masks(const json_t *example, const enum permutation_kind *kinds)
{
    const json_t *const rank = json_object_get(example, "rank");
    const int64_t count = (int64_t)json_array_size(rank);
    int32_t ranks[PLACES_MAX];
    int32_t orders[PLACES_MAX];
    int32_t horizons[PLACES_MAX];
    ck_assert(count > 0 && count <= PLACES_MAX);
    for (int64_t i = 0; i < count; i++) {
        ranks[i] = (int32_t)at(rank, i);
        ck_assert_int_eq(at(json_object_get(example, "factorisation"), ranks[i]), i);
    }
    permutation_make_orders(kinds, ranks, count, orders, horizons);
    for (int64_t i = 0; i < count; i++) {
        const json_t *const query =
            json_array_get(json_object_get(example, "query_mask"), (size_t)i);
        const json_t *const content =
            json_array_get(json_object_get(example, "content_mask"), (size_t)i);
        for (int64_t j = 0; j < count; j++) {
            const bool sees = horizons[i] > orders[j];
            ck_assert_int_eq(sees, at(query, j));
            ck_assert_int_eq(sees || i == j, at(content, j));
        }
    }
}

START_TEST(test_permutation_full_orders_give_the_golden_masks)
{
    json_t *const root = golden_open();
    const json_t *const examples = json_object_get(root, "full");
    ck_assert_uint_eq(json_array_size(examples), 10);
    for (size_t i = 0; i < json_array_size(examples); i++) {
        enum permutation_kind kinds[PLACES_MAX];
        for (int64_t j = 0; j < PLACES_MAX; j++) {
            kinds[j] = PERMUTATION_KIND_TARGET;
        }
        check_masks(json_array_get(examples, i), kinds);
    }
    json_decref(root);
}
END_TEST

START_TEST(test_permutation_partial_predictions_give_the_golden_masks)
{
    json_t *const root = golden_open();
    const json_t *const examples = json_object_get(root, "partial");
    ck_assert_uint_eq(json_array_size(examples), 10);
    for (size_t i = 0; i < json_array_size(examples); i++) {
        const json_t *const example = json_array_get(examples, i);
        enum permutation_kind kinds[PLACES_MAX] = {PERMUTATION_KIND_CONTEXT};
        mark(kinds, json_object_get(example, "targets"), PERMUTATION_KIND_TARGET);
        mark(kinds, json_object_get(example, "functional"), PERMUTATION_KIND_FUNCTIONAL);
        check_masks(example, kinds);
    }
    json_decref(root);
}
END_TEST

static void check_share(int64_t seen, int64_t count, double share)
{
    const double bound = 0.5 + 6 * sqrt((double)count * share * (1 - share));
    ck_assert_double_eq_tol((double)seen, (double)count * share, bound);
}

START_TEST(test_permutation_orders_are_all_alike)
{
    enum { TRIALS = 12000 };
    int64_t orders[27] = {0}; /* rank 0, 1, 2 as digits of base 3 */
    int64_t places[8][8] = {{0}};
    for (int64_t document = 0; document < TRIALS; document++) {
        const struct permutation_draw draw = permutation_draw_make(7, 0, document, 0);
        int32_t ranks[8];
        permutation_draw_ranks(&draw, 3, 3, ranks);
        orders[ranks[0] * 9 + ranks[1] * 3 + ranks[2]]++;
        permutation_draw_ranks(&draw, 8, 8, ranks);
        for (int64_t i = 0; i < 8; i++) {
            places[i][ranks[i]]++;
        }
    }
    const int valid[6] = {5, 7, 11, 15, 19, 21};
    for (int64_t i = 0; i < 6; i++) {
        check_share(orders[valid[i]], TRIALS, 1.0 / 6);
    }
    for (int64_t i = 0; i < 64; i++) {
        check_share(places[i / 8][i % 8], TRIALS, 1.0 / 8);
    }
}
END_TEST

START_TEST(test_permutation_blocks_keep_their_ranks)
{
    int32_t first[TOKENS];
    int32_t ranks[TOKENS];
    for (int64_t epoch = 0; epoch < 20; epoch++) {
        const struct permutation_draw draw = permutation_draw_make(7, epoch, 3, 5);
        unsigned char seen[TOKENS] = {0};
        permutation_draw_ranks(&draw, TOKENS, 200, ranks);
        for (int64_t i = 0; i < TOKENS; i++) {
            CHECK_EACH(ranks[i] / 200 == i / 200);
            CHECK_EACH(seen[ranks[i]]++ == 0);
        }
        ck_assert(epoch == 0 || memcmp(first, ranks, sizeof ranks) != 0); /* new each epoch */
        if (epoch == 0) {
            memcpy(first, ranks, sizeof first);
        }
        permutation_draw_ranks(&draw, TOKENS, 200, ranks);
        ck_assert(epoch > 0 || memcmp(first, ranks, sizeof ranks) == 0);
    }
}
END_TEST

START_TEST(test_permutation_span_lengths_fall_as_one_over_n)
{
    enum { DRAWS = 100000 };
    int64_t seen[PERMUTATION_SPAN_WORDS_MAX + 1] = {0};
    const struct random_key key = random_key_make(3, RANDOM_PURPOSE_TEST, 0);
    for (uint64_t i = 0; i < DRAWS; i++) {
        seen[permutation_span_words(random_unit(random_at(key, 0, i)))]++;
    }
    const double sum = 1 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4 + 1.0 / 5;
    for (int64_t n = 1; n <= PERMUTATION_SPAN_WORDS_MAX; n++) {
        check_share(seen[n], DRAWS, 1 / (double)n / sum);
    }
}
END_TEST

/* Words of one or two pieces, a separator at the end and in the middle. */
START_TEST(test_permutation_targets_are_words_up_to_the_goal_and_never_special)
{
    struct sampling_table table;
    int32_t ids[TOKENS];
    enum permutation_kind kinds[TOKENS];
    sampling_table_init(&table, NULL, 1000, SPECIALS);
    for (int32_t i = 0; i < TOKENS; i++) {
        ids[i] = 10 + i;
        table.flags[ids[i]] |= i % 3 != 1 ? SAMPLING_FLAG_BEGINS_WORD : 0;
    }
    ids[TOKENS / 2] = SEPARATOR;
    ids[TOKENS - 1] = SEPARATOR;
    int64_t words = 0;
    int64_t whole = 0;
    int64_t parts[4] = {0};
    const int64_t trials = 2000;
    for (int64_t document = 0; document < trials; document++) {
        const struct permutation_draw draw = permutation_draw_make(7, 0, document, 0);
        ck_assert_int_eq(permutation_choose_targets(&table, &draw, ids, TOKENS, GOAL, kinds), GOAL);
        int64_t count = 0;
        for (int64_t i = 0; i < TOKENS; i++) {
            count += kinds[i] == PERMUTATION_KIND_TARGET;
            parts[i / 128] += kinds[i] == PERMUTATION_KIND_TARGET;
            CHECK_EACH((kinds[i] == PERMUTATION_KIND_FUNCTIONAL) == (ids[i] == SEPARATOR));
            if (i % 3 == 1 && ids[i - 1] != SEPARATOR && ids[i] != SEPARATOR) {
                words +=
                    kinds[i] == PERMUTATION_KIND_TARGET || kinds[i - 1] == PERMUTATION_KIND_TARGET;
                whole +=
                    kinds[i] == PERMUTATION_KIND_TARGET && kinds[i - 1] == PERMUTATION_KIND_TARGET;
            }
        }
        ck_assert_int_eq(count, GOAL);
    }
    /* Spans take 512 / 7 = 73 of the 85, so about 24 whole words of two; the 12 that fill up break
     * about 8 more: three quarters are whole. */
    ck_assert_double_gt((double)whole, 0.65 * (double)words);
    for (int64_t i = 0; i < 4; i++) { /* near 1/4 each: stretches run through the whole sequence */
        ck_assert_double_gt((double)parts[i], 0.22 * (double)(trials * GOAL));
    }
    const struct permutation_draw draw = permutation_draw_make(7, 0, 0, 0);
    ck_assert_int_eq(permutation_choose_targets(&table, &draw, ids, 40, 100, kinds), 40);
    sampling_table_deinit(&table);
}
END_TEST

int main(void)
{
    return suite_run(
        "permutation",
        (const TTest *[]){
            test_permutation_full_orders_give_the_golden_masks,
            test_permutation_partial_predictions_give_the_golden_masks,
            test_permutation_orders_are_all_alike, test_permutation_blocks_keep_their_ranks,
            test_permutation_span_lengths_fall_as_one_over_n,
            test_permutation_targets_are_words_up_to_the_goal_and_never_special, NULL});
}
