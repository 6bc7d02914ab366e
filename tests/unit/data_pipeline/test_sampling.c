/* data_pipeline/sampling: budgets, shares and words, against tests/golden/data/sampling.
 * Statistical bounds are six standard deviations: a right implementation fails once in 10^9 runs,
 * and here the draws are fixed. */
#include "data_pipeline/sampling.h"

#include <math.h>

#include "base/json.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

enum { VOCABULARY = 1000, TOKENS = 126, MASK = 4 };

static const struct tokenizer_specials SPECIALS = {
    .bos = 0, .pad = 1, .eos = 2, .unk = 3, .mask = MASK};
static const struct data_options OPTIONS = {.objective = DATA_OBJECTIVE_DYNAMIC_MASK,
                                            .mask_copies = 3};

struct trial {
    struct sampling_table table;
    struct sampling_rules rules;
    struct sampling_work work;
    int32_t ids[TOKENS];
    int32_t masked[TOKENS];
    int32_t rows[TOKENS];
    int32_t target_ids[TOKENS];
    int32_t left_rows[TOKENS];
    int32_t right_rows[TOKENS];
    int32_t span_places[TOKENS];
    int64_t count;
};

/* Ids 5, 6, …: ordinary ones, with special tokens at 10 and 20. */
static void trial_init(struct trial *trial, double fraction)
{
    *trial =
        (struct trial){.rules = {.fraction = fraction, .mask_share = 0.8, .random_share = 0.1}};
    sampling_table_init(&trial->table, NULL, VOCABULARY, SPECIALS);
    sampling_work_init(&trial->work, TOKENS);
    for (int32_t i = 0; i < TOKENS; i++) {
        trial->ids[i] = 5 + i;
    }
    trial->ids[10] = SPECIALS.eos;
    trial->ids[20] = SPECIALS.unk;
}

static void trial_deinit(struct trial *trial)
{
    sampling_work_deinit(&trial->work);
    sampling_table_deinit(&trial->table);
}

static void trial_draw(struct trial *trial, const struct data_options *options, int64_t epoch,
                       int64_t document)
{
    const struct sampling_draw draw = sampling_draw_make(options, 7, epoch, document, 0);
    memcpy(trial->masked, trial->ids, sizeof trial->ids);
    struct sampling_targets targets = {
        .rows = trial->rows,
        .ids = trial->target_ids,
        .left_rows = trial->left_rows,
        .right_rows = trial->right_rows,
        .span_places = trial->span_places,
    };
    sampling_mask(&trial->table, &trial->rules, &draw, &trial->work, trial->masked, TOKENS, 0,
                  &targets);
    trial->count = targets.count;
}

START_TEST(test_sampling_budget_is_the_fraction_rounded_by_chance)
{
    struct trial trial;
    trial_init(&trial, 0.15);
    const int64_t trials = 4000;
    int64_t sum = 0;
    for (int64_t i = 0; i < trials; i++) {
        trial_draw(&trial, &OPTIONS, 0, i);
        ck_assert(trial.count == 18 || trial.count == 19); /* 0.15 * 124 = 18.6 */
        sum += trial.count;
    }
    const double bound = 6 * sqrt(0.6 * 0.4 / (double)trials);
    ck_assert_double_eq_tol((double)sum / (double)trials, 18.6, bound);
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_targets_are_ascending_and_hold_the_original_ids)
{
    struct trial trial;
    trial_init(&trial, 0.4);
    for (int64_t document = 0; document < 200; document++) {
        trial_draw(&trial, &OPTIONS, 0, document);
        int64_t next = 0;
        for (int32_t i = 0; i < TOKENS; i++) {
            if (next < trial.count && trial.rows[next] == i) {
                ck_assert_int_eq(trial.target_ids[next], trial.ids[i]);
                next++;
            } else {
                ck_assert_int_eq(trial.masked[i], trial.ids[i]);
            }
        }
        ck_assert_int_eq(next, trial.count);
    }
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_never_touches_or_draws_special_tokens)
{
    struct trial trial;
    trial_init(&trial, 1.0);
    trial.rules.mask_share = 0;
    trial.rules.random_share = 1;
    for (int64_t document = 0; document < 100; document++) {
        trial_draw(&trial, &OPTIONS, 0, document);
        ck_assert_int_eq(trial.count, TOKENS - 2);
        for (int64_t i = 0; i < TOKENS; i++) {
            ck_assert(trial.masked[i] > MASK || i == 10 || i == 20);
        }
        ck_assert_int_eq(trial.masked[10], SPECIALS.eos);
        ck_assert_int_eq(trial.masked[20], SPECIALS.unk);
    }
    trial_deinit(&trial);
}
END_TEST

static void check_share(int64_t seen, int64_t count, double share)
{
    const double bound = 0.5 + 6 * sqrt((double)count * share * (1 - share));
    ck_assert_double_eq_tol((double)seen, (double)count * share, bound);
}

START_TEST(test_sampling_replaces_by_the_shares_and_chooses_places_evenly)
{
    struct trial trial;
    trial_init(&trial, 0.15);
    int64_t total = 0;
    int64_t masks = 0;
    int64_t kept = 0;
    int64_t places[TOKENS] = {0};
    const int64_t trials = 4000;
    for (int64_t document = 0; document < trials; document++) {
        trial_draw(&trial, &OPTIONS, 1, document);
        total += trial.count;
        for (int64_t i = 0; i < trial.count; i++) {
            const int32_t place = trial.rows[i];
            places[place]++;
            masks += trial.masked[place] == MASK;
            kept += trial.masked[place] == trial.ids[place];
        }
    }
    check_share(masks, total, 0.8);
    check_share(kept, total, 0.1 + 0.1 / (VOCABULARY - 5)); /* a random token may be the same one */
    for (int64_t i = 0; i < TOKENS; i++) {
        check_share(places[i], trials, i == 10 || i == 20 ? 0 : 0.15);
    }
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_differs_between_epochs_and_static_masks_come_again)
{
    struct trial trial;
    struct data_options fixed = OPTIONS;
    fixed.objective = DATA_OBJECTIVE_STATIC_MASK;
    trial_init(&trial, 0.15);
    int32_t first[TOKENS];
    trial_draw(&trial, &fixed, 0, 1);
    memcpy(first, trial.masked, sizeof first);
    trial_draw(&trial, &fixed, 1, 1);
    ck_assert_int_ne(memcmp(first, trial.masked, sizeof first), 0);
    trial_draw(&trial, &fixed, 3, 1); /* three copies */
    ck_assert_int_eq(memcmp(first, trial.masked, sizeof first), 0);
    trial_draw(&trial, &OPTIONS, 3, 1);
    ck_assert_int_ne(memcmp(first, trial.masked, sizeof first), 0);
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_masks_of_two_epochs_meet_by_chance_only)
{
    struct trial trial;
    trial_init(&trial, 0.15);
    const int64_t trials = 4000;
    int64_t both = 0;
    for (int64_t document = 0; document < trials; document++) {
        unsigned char seen[TOKENS] = {0};
        trial_draw(&trial, &OPTIONS, 0, document);
        for (int64_t i = 0; i < trial.count; i++) {
            seen[trial.rows[i]] = 1;
        }
        trial_draw(&trial, &OPTIONS, 1, document);
        for (int64_t i = 0; i < trial.count; i++) {
            both += seen[trial.rows[i]];
        }
    }
    check_share(both, trials * (TOKENS - 2), 0.15 * 0.15);
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_whole_words_are_predicted_together_within_the_budget)
{
    struct trial trial;
    trial_init(&trial, 0.15);
    trial.rules.objective = DATA_OBJECTIVE_WHOLE_WORD_MASK;
    for (int32_t i = 0; i < TOKENS;
         i += 3) { /* words of three pieces, but where special tokens stand */
        trial.table.flags[5 + i] |= SAMPLING_FLAG_BEGINS_WORD;
    }
    int64_t sum = 0;
    for (int64_t document = 0; document < 500; document++) {
        unsigned char seen[TOKENS] = {0};
        trial_draw(&trial, &OPTIONS, 0, document);
        ck_assert_int_le(trial.count, 19);
        sum += trial.count;
        for (int64_t i = 0; i < trial.count; i++) {
            seen[trial.rows[i]] = 1;
        }
        for (int64_t i = 0; i + 2 < TOKENS; i += 3) {
            const bool whole = i != 9 && i != 18;
            ck_assert(!whole || (seen[i] == seen[i + 1] && seen[i] == seen[i + 2]));
        }
    }
    ck_assert_int_ge(sum, 500 * 16); /* never more than two pieces under the budget */
    trial_deinit(&trial);
}
END_TEST

/* Ids are places in the example; the flag follows the piece's spelling. */
static void check_word_example(const json_t *example)
{
    const json_t *const tokens = json_object_get(example, "tokens");
    const json_t *const groups = json_object_get(example, "groups");
    const bool wordpiece =
        strcmp(json_string_value(json_object_get(example, "kind")), "wordpiece") == 0;
    const int64_t count = (int64_t)json_array_size(tokens);
    const struct tokenizer_specials none = {-1, -1, -1, -1, -1};
    struct sampling_table table;
    sampling_table_init(&table, NULL, count, none);
    int32_t *const ids = memory_take((size_t)count, sizeof *ids, "test");
    int32_t *const words = memory_take((size_t)count, sizeof *words, "test");
    for (int64_t i = 0; i < count; i++) {
        const char *const piece = json_string_value(json_array_get(tokens, (size_t)i));
        const bool begins =
            wordpiece ? strncmp(piece, "##", 2) != 0 : strncmp(piece, "\xc4\xa0", 2) == 0;
        table.flags[i] = begins ? SAMPLING_FLAG_BEGINS_WORD : 0;
        ids[i] = (int32_t)i;
    }
    const int64_t word_count = sampling_find_words(&table, ids, count, words);
    ck_assert_int_eq(word_count, (int64_t)json_array_size(groups));
    for (int64_t i = 0; i < word_count; i++) {
        const json_t *const first = json_array_get(json_array_get(groups, (size_t)i), 0);
        ck_assert_int_eq(words[i], json_integer_value(first));
    }
    memory_release(words);
    memory_release(ids);
    sampling_table_deinit(&table);
}

START_TEST(test_sampling_finds_the_words_of_the_golden_examples)
{
    char path[PATH_BYTES];
    json_t *root;
    struct error error;
    CHECK_OK(
        json_read_file(fixture_golden(path, "sampling/whole_words.json"), 1 << 20, &root, &error),
        error);
    const json_t *const examples = json_object_get(root, "examples");
    ck_assert_uint_gt(json_array_size(examples), 20);
    for (size_t i = 0; i < json_array_size(examples); i++) {
        check_word_example(json_array_get(examples, i));
    }
    json_decref(root);
}
END_TEST

START_TEST(test_sampling_budgets_lie_between_the_golden_roundings)
{
    char path[PATH_BYTES];
    json_t *root;
    struct error error;
    CHECK_OK(json_read_file(fixture_golden(path, "sampling/masking.json"), 1 << 20, &root, &error),
             error);
    const json_t *const budgets = json_object_get(root, "budgets");
    ck_assert_uint_gt(json_array_size(budgets), 0);
    for (size_t i = 0; i < json_array_size(budgets); i++) {
        const json_t *const entry = json_array_get(budgets, i);
        const int64_t maskable = json_integer_value(json_object_get(entry, "maskable"));
        const int64_t least = json_integer_value(json_object_get(entry, "budget_floor"));
        ck_assert_int_eq(sampling_targets_max(0.15, maskable, 1), least + 1);
    }
    json_decref(root);
}
END_TEST

int main(void)
{
    return suite_run(
        "sampling",
        (const TTest *[]){test_sampling_budget_is_the_fraction_rounded_by_chance,
                          test_sampling_targets_are_ascending_and_hold_the_original_ids,
                          test_sampling_never_touches_or_draws_special_tokens,
                          test_sampling_replaces_by_the_shares_and_chooses_places_evenly,
                          test_sampling_differs_between_epochs_and_static_masks_come_again,
                          test_sampling_masks_of_two_epochs_meet_by_chance_only,
                          test_sampling_whole_words_are_predicted_together_within_the_budget,
                          test_sampling_finds_the_words_of_the_golden_examples,
                          test_sampling_budgets_lie_between_the_golden_roundings, NULL});
}
