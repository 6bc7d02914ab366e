/* data_pipeline/sampling_runs: n-grams and spans, against tests/golden/data/sampling. Statistical
 * bounds are six standard deviations: a right implementation fails once in 10^9 runs, and here the
 * draws are fixed. */
#include "data_pipeline/sampling_runs.h"

#include <math.h>

#include "base/json.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

enum { VOCABULARY = 1000, TOKENS = 120, MASK = 4, SEPARATOR = 2, HOLE = 60, DRAWS = 200000 };

static const struct tokenizer_specials SPECIALS = {
    .bos = 0, .pad = 1, .eos = SEPARATOR, .unk = 3, .mask = MASK};

struct trial {
    struct sampling_table table;
    struct sampling_rules rules;
    struct sampling_work work;
    int32_t ids[TOKENS];
    int32_t masked[TOKENS];
    int32_t arrays[5][TOKENS];
    struct sampling_targets targets;
};

/* Words of two pieces (an even id begins one) and a separator in the middle. */
static void trial_init(struct trial *trial, enum data_objective objective)
{
    *trial = (struct trial){
        .rules = {
            .objective = objective, .fraction = 0.15, .mask_share = 0.8, .random_share = 0.1}};
    sampling_table_init(&trial->table, NULL, VOCABULARY, SPECIALS);
    sampling_work_init(&trial->work, TOKENS);
    for (int32_t i = 0; i < TOKENS; i++) {
        trial->ids[i] = 10 + i;
        trial->table.flags[trial->ids[i]] |= i % 2 == 0 ? SAMPLING_FLAG_BEGINS_WORD : 0;
    }
    trial->ids[HOLE] = SEPARATOR;
    trial->targets = (struct sampling_targets){
        .rows = trial->arrays[0],
        .ids = trial->arrays[1],
        .left_rows = trial->arrays[2],
        .right_rows = trial->arrays[3],
        .span_places = trial->arrays[4],
    };
}

static void trial_deinit(struct trial *trial)
{
    sampling_work_deinit(&trial->work);
    sampling_table_deinit(&trial->table);
}

static void trial_draw(struct trial *trial, int64_t document)
{
    const struct data_options options = {.objective = trial->rules.objective};
    const struct sampling_draw draw = sampling_draw_make(&options, 7, 0, document, 0);
    memcpy(trial->masked, trial->ids, sizeof trial->ids);
    trial->targets.count = 0;
    sampling_mask(&trial->table, &trial->rules, &draw, &trial->work, trial->masked, TOKENS, 0,
                  &trial->targets);
}

static void check_share(int64_t seen, int64_t count, double share)
{
    const double bound = 0.5 + 6 * sqrt((double)count * share * (1 - share));
    ck_assert_double_eq_tol((double)seen, (double)count * share, bound);
}

/* The share of each length, and their mean, in draws of the length alone. */
static void check_lengths(const struct sampling_run_lengths *lengths, const json_t *shares)
{
    int64_t seen[SAMPLING_RUN_WORDS_MAX + 1] = {0};
    const struct random_key key = random_key_make(3, RANDOM_PURPOSE_TEST, 0);
    ck_assert_int_eq(lengths->longest, (int64_t)json_array_size(shares));
    for (uint64_t i = 0; i < DRAWS; i++) {
        const int64_t length = sampling_run_length(lengths, random_unit(random_at(key, 0, i)));
        CHECK_EACH(length >= 1 && length <= lengths->longest);
        seen[length]++;
    }
    for (int64_t i = 0; i < lengths->longest; i++) {
        check_share(seen[i + 1], DRAWS, json_real_value(json_array_get(shares, (size_t)i)));
    }
}

static json_t *golden_open(const char *name)
{
    char path[PATH_BYTES];
    json_t *root;
    struct error error;
    CHECK_OK(json_read_file(fixture_golden(path, name), 1 << 20, &root, &error), error);
    return root;
}

START_TEST(test_sampling_runs_have_the_golden_lengths)
{
    json_t *const spans = golden_open("sampling/span_length.json");
    const json_t *const setting = json_array_get(json_object_get(spans, "settings"), 0);
    check_lengths(&sampling_spans, json_object_get(setting, "pmf"));
    json_t *const masking = golden_open("sampling/masking.json");
    check_lengths(&sampling_ngrams, json_object_get(json_object_get(masking, "ngram"), "3"));

    /* The mean exactly: the length is the inverse of the distribution function. */
    double sum = 0;
    for (int64_t i = 0; i < DRAWS; i++) {
        sum += (double)sampling_run_length(&sampling_spans, ((double)i + 0.5) / DRAWS);
    }
    ck_assert_double_eq_tol(sum / DRAWS, json_real_value(json_object_get(setting, "mean")),
                            10.0 / DRAWS * 10);
    json_decref(masking);
    json_decref(spans);
}
END_TEST

/* Whole words, no separator, never over the budget of 0.15 * 119 = 17.85. */
static void check_whole_words(enum data_objective objective, int64_t longest)
{
    struct trial trial;
    trial_init(&trial, objective);
    int64_t total = 0;
    for (int64_t document = 0; document < 2000; document++) {
        unsigned char seen[TOKENS] = {0};
        trial_draw(&trial, document);
        ck_assert_int_le(trial.targets.count, 18);
        total += trial.targets.count;
        for (int64_t i = 0; i < trial.targets.count; i++) {
            CHECK_EACH(i == 0 || trial.targets.rows[i] > trial.targets.rows[i - 1]);
            CHECK_EACH(trial.targets.ids[i] == trial.ids[trial.targets.rows[i]]);
            seen[trial.targets.rows[i]] = 1;
        }
        ck_assert(!seen[HOLE]);
        for (int64_t i = 0; i < TOKENS; i += 2) {
            CHECK_EACH(i == HOLE || seen[i] == seen[i + 1]);
        }
        for (int64_t i = 0; i < TOKENS; i++) {
            if (!seen[i]) {
                CHECK_EACH(trial.masked[i] == trial.ids[i]);
                continue;
            }
            const int64_t begin = trial.work.span_begins[i];
            const int64_t end = trial.work.span_ends[i];
            CHECK_EACH(begin <= i && i < end && end - begin <= 2 * longest);
            CHECK_EACH(end <= HOLE || begin > HOLE); /* no run over the separator */
        }
    }
    /* Never more than one word under the budget, whose mean is 17.85. */
    ck_assert_double_ge((double)total / 2000, 17.85 - 1.5);
    trial_deinit(&trial);
}

START_TEST(test_sampling_ngrams_are_whole_words_and_bridge_no_separator)
{
    check_whole_words(DATA_OBJECTIVE_NGRAM_MASK, 3);
}
END_TEST

START_TEST(test_sampling_spans_are_whole_words_and_bridge_no_separator)
{
    check_whole_words(DATA_OBJECTIVE_SPAN_MASK, 10);
}
END_TEST

/* With one run a part (budget of one longest span, first try) every free word is the start alike.
 */
START_TEST(test_sampling_runs_start_at_every_word_alike)
{
    struct trial trial;
    trial_init(&trial, DATA_OBJECTIVE_SPAN_MASK);
    trial.rules.fraction = 2.0 / (TOKENS - 1); /* one word */
    const int64_t trials = 20000;
    int64_t starts[TOKENS] = {0};
    for (int64_t document = 0; document < trials; document++) {
        trial_draw(&trial, document);
        ck_assert(trial.targets.count == 1 || trial.targets.count == 2);
        starts[trial.targets.rows[0]]++;
    }
    for (int64_t i = 0; i < TOKENS; i++) {
        const bool first = i % 2 == 0 && i != HOLE;
        if (i == HOLE + 1) { /* a word of one piece, that behind the separator */
            continue;
        }
        check_share(starts[i], trials, first ? 1.0 / 60 : 0);
    }
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_replaces_a_span_as_a_whole_and_ngrams_by_piece)
{
    struct trial trial;
    int64_t kinds[3] = {0};
    int64_t span_count = 0;
    trial_init(&trial, DATA_OBJECTIVE_SPAN_MASK);
    for (int64_t document = 0; document < 4000; document++) {
        trial_draw(&trial, document);
        for (int64_t i = 0; i < trial.targets.count;) {
            const int64_t begin = trial.targets.rows[i];
            const int64_t end = trial.work.span_ends[begin];
            int64_t masks = 0;
            int64_t kept = 0;
            for (int64_t j = begin; j < end; j++) {
                masks += trial.masked[j] == MASK;
                kept += trial.masked[j] == trial.ids[j];
            }
            CHECK_EACH(masks == 0 || masks == end - begin);
            /* One random piece may be the same by chance (1 in 995); all pieces of a span hardly.
             */
            kinds[masks > 0 ? 0 : kept == end - begin ? 1 : 2]++;
            span_count++;
            i += end - begin;
        }
    }
    check_share(kinds[0], span_count, 0.8);
    check_share(kinds[1], span_count, 0.1);
    check_share(kinds[2], span_count, 0.1);
    trial_deinit(&trial);

    int64_t mixed = 0;
    trial_init(&trial, DATA_OBJECTIVE_NGRAM_MASK);
    for (int64_t document = 0; document < 200; document++) {
        trial_draw(&trial, document);
        for (int64_t i = 0; i + 1 < trial.targets.count; i++) {
            const int64_t row = trial.targets.rows[i];
            mixed += row % 2 == 0 && trial.targets.rows[i + 1] == row + 1 &&
                     (trial.masked[row] == MASK) != (trial.masked[row + 1] == MASK);
        }
    }
    ck_assert_int_gt(mixed, 100); /* of about 1,700 words with 2 * 0.8 * 0.2 */
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_spans_have_boundaries_unless_they_touch_an_end_of_the_part)
{
    struct trial trial;
    int64_t touching = 0;
    trial_init(&trial, DATA_OBJECTIVE_SPAN_MASK);
    for (int64_t document = 0; document < 1000; document++) {
        trial_draw(&trial, document);
        const struct sampling_targets *const targets = &trial.targets;
        for (int64_t i = 0; i < targets->count; i++) {
            const int32_t row = targets->rows[i];
            const int32_t begin = trial.work.span_begins[row];
            const int32_t end = trial.work.span_ends[row];
            if (begin == 0 || end == TOKENS) {
                touching++;
                ck_assert_int_eq(targets->left_rows[i], -1);
                ck_assert_int_eq(targets->right_rows[i], -1);
                ck_assert_int_eq(targets->span_places[i], -1);
            } else {
                ck_assert_int_eq(targets->left_rows[i], begin - 1);
                ck_assert_int_eq(targets->right_rows[i], end);
                ck_assert_int_eq(targets->span_places[i], row - begin);
            }
        }
    }
    ck_assert_int_gt(touching, 0);
    trial_deinit(&trial);

    trial_init(&trial, DATA_OBJECTIVE_NGRAM_MASK);
    trial_draw(&trial, 0);
    for (int64_t i = 0; i < trial.targets.count; i++) {
        ck_assert_int_eq(trial.targets.left_rows[i], -1);
    }
    trial_deinit(&trial);
}
END_TEST

START_TEST(test_sampling_draws_replacements_by_how_often_tokens_stand_in_the_corpus)
{
    struct trial trial;
    trial_init(&trial, DATA_OBJECTIVE_SPAN_MASK);
    int64_t counts[VOCABULARY] = {[0] = 1000, [MASK] = 1000, [500] = 6, [700] = 3, [999] = 1};
    sampling_table_weigh(&trial.table, counts);
    trial.rules.mask_share = 0;
    trial.rules.random_share = 1;
    int64_t seen[VOCABULARY] = {0};
    int64_t total = 0;
    for (int64_t document = 0; document < 500; document++) {
        trial_draw(&trial, document);
        for (int64_t i = 0; i < trial.targets.count; i++) {
            seen[trial.masked[trial.targets.rows[i]]]++;
            total++;
        }
    }
    check_share(seen[500], total, 0.6);
    check_share(seen[700], total, 0.3);
    check_share(seen[999], total, 0.1);
    ck_assert_int_eq(seen[500] + seen[700] + seen[999], total);
    trial_deinit(&trial);
}
END_TEST

int main(void)
{
    return suite_run(
        "sampling_runs",
        (const TTest *[]){test_sampling_runs_have_the_golden_lengths,
                          test_sampling_ngrams_are_whole_words_and_bridge_no_separator,
                          test_sampling_spans_are_whole_words_and_bridge_no_separator,
                          test_sampling_runs_start_at_every_word_alike,
                          test_sampling_replaces_a_span_as_a_whole_and_ngrams_by_piece,
                          test_sampling_spans_have_boundaries_unless_they_touch_an_end_of_the_part,
                          test_sampling_draws_replacements_by_how_often_tokens_stand_in_the_corpus,
                          NULL});
}
