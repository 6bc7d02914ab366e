/* data_pipeline/corpus_pairs and what slots of pairs hold: the properties of
 * tests/golden/data/sampling/sentence_pairs.json. Statistical bounds are six standard deviations
 * with fixed draws; slack beside them is derived where it stands. */
#include "data_pipeline/corpus_pairs.h"

#include <math.h>

#include "base/json.h"
#include "data_pipeline/corpus_index.h"
#include "data_pipeline/corpus_shelf.h"
#include "data_pipeline/data_source.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

enum { MOST = 125, T = MOST + 3, DOCUMENTS = 30, LINES = 400, COPIES = 3, SEED = 11 };

/* Long documents of short lines: hardly a pair is forced by a document's end. */
static void make_corpus(char out[PATH_BYTES], const char *name, int64_t documents, int64_t lines)
{
    const size_t capacity = (size_t)(documents * (lines * 64 + 1)) + 1;
    char *const text = memory_take(capacity, 1, "test");
    size_t size = 0;
    for (int64_t i = 0; i < documents; i++) {
        for (int64_t j = 0; j < lines; j++) {
            static const char *const ends[] = {"", " again", " and again", " and once again"};
            size += (size_t)snprintf(text + size, capacity - size, "line %lld of %lld%s.\n",
                                     (long long)j, (long long)i, ends[(i + j * j) % 4]);
        }
        text[size++] = '\n';
    }
    char path[PATH_BYTES];
    char text_name[64];
    struct corpus_build_result result;
    struct error error;
    (void)snprintf(text_name, sizeof text_name, "%s.txt", name);
    (void)fixture_write(path, text_name, text, size);
    memory_release(text);
    CHECK_OK(fixture_build(out, name, path, 2, 20000, &result, &error), error);
}

static struct corpus *corpus_for(const char *name, int64_t documents, int64_t lines)
{
    char out[PATH_BYTES];
    struct corpus *corpus;
    struct error error;
    make_corpus(out, name, documents, lines);
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    return corpus;
}

/* What all pairs of all documents tell together. */
struct tally {
    int64_t pairs;
    int64_t labels[2];
    int64_t short_pairs; /* at most half of what fits */
    int64_t own_tokens;  /* of the document that was cut */
};

static int64_t end_of(struct corpus_place place, int64_t count)
{
    return (int64_t)place.offset + count;
}

/* Checks a pair that comes from its document only; returns where its text ends. */
static int64_t check_neighbours(const struct corpus_pair *pair, bool exchanged, int64_t used)
{
    const struct corpus_place a = exchanged ? pair->second : pair->first;
    const struct corpus_place b = exchanged ? pair->first : pair->second;
    const int64_t a_count = exchanged ? pair->second_count : pair->first_count;
    const int64_t b_count = exchanged ? pair->first_count : pair->second_count;
    ck_assert_int_eq(a.document, b.document);
    ck_assert_int_ge(a.offset, used);
    ck_assert_int_ge(b.offset, end_of(a, a_count));
    return end_of(b, b_count);
}

static void tally_document(struct corpus_pair_cutter *cutter, int64_t number, struct tally *tally)
{
    const bool order = cutter->rules.kind == DATA_PAIRS_SENTENCE_ORDER;
    const uint32_t document = cutter->documents[number];
    struct corpus_pair pair;
    int64_t used = 0; /* text is used once, from the front */
    corpus_pair_cutter_begin(cutter, number);
    while (corpus_pair_cutter_next(cutter, &pair)) {
        const int64_t count = pair.first_count + pair.second_count;
        ck_assert(pair.first_count > 0 && pair.second_count > 0);
        ck_assert(count >= CORPUS_PAIR_TOKENS_MIN && count <= cutter->rules.tokens_max);
        ck_assert(pair.label == 0 || pair.label == 1);
        tally->pairs++;
        tally->labels[pair.label]++;
        tally->short_pairs += 2 * count <= cutter->rules.tokens_max;
        ck_assert_uint_eq(pair.first.document, document);
        if (order || pair.label == 0) {
            used = check_neighbours(&pair, pair.label == 1, used);
            tally->own_tokens += count;
        } else {
            ck_assert_uint_ne(pair.second.document, document);
            ck_assert_int_le(end_of(pair.second, pair.second_count),
                             corpus_document_tokens(cutter->corpus, pair.second.document));
            ck_assert_int_ge(pair.first.offset, used);
            used = end_of(pair.first, pair.first_count);
            tally->own_tokens += pair.first_count;
        }
    }
    ck_assert_int_le(used, corpus_document_tokens(cutter->corpus, document));
}

static struct tally tally_corpus(const struct corpus *corpus, enum data_pairs kind, int64_t most,
                                 int64_t copies)
{
    struct tally tally = {0};
    uint32_t documents[DOCUMENTS];
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        documents[i] = i;
    }
    struct corpus_pair_rules rules = {.kind = kind, .tokens_max = most, .seed = SEED};
    for (; rules.copy < copies; rules.copy++) {
        struct corpus_pair_cutter cutter;
        corpus_pair_cutter_init(&cutter, corpus, &rules, documents, corpus->document_count);
        for (int64_t i = 0; i < corpus->document_count; i++) {
            tally_document(&cutter, i, &tally);
        }
        corpus_pair_cutter_deinit(&cutter);
    }
    return tally;
}

static double golden_number(const char *part, const char *key)
{
    char path[PATH_BYTES];
    json_t *root;
    struct error error;
    CHECK_OK(json_read_file(fixture_golden(path, "sampling/sentence_pairs.json"), 1 << 20, &root,
                            &error),
             error);
    const json_t *const value = json_object_get(json_object_get(root, part), key);
    ck_assert(json_is_number(value));
    const double number = json_number_value(value);
    json_decref(root);
    return number;
}

/* `slack`: share of pairs that may be forced to label 1. */
static void check_rate(const struct tally *tally, double rate, double slack)
{
    const double n = (double)tally->pairs;
    const double bound = 6 * sqrt(rate * (1 - rate) / n);
    const double seen = (double)tally->labels[1] / n;
    ck_assert_double_ge(seen, rate - bound);
    ck_assert_double_le(seen, rate + bound + slack);
}

/* Aims are uniform from 2 on with p = 0.1, so 0.1 * 61 / 124 of the pairs aim at half or less, and
 * stay there but for the last sentence (under 16 tokens); a document's last pair may be short too,
 * and under next sentence a B that meets its document's end. */
static void check_short(const struct tally *tally, double p, double slack)
{
    const double n = (double)tally->pairs;
    const double seen = (double)tally->short_pairs / n;
    const double bound = 6 * sqrt(p / 2 / n);
    ck_assert_double_ge(seen, p * (61.0 - 16.0) / 124.0 - bound);
    ck_assert_double_le(seen, p * 61.0 / 124.0 + bound + slack);
}

START_TEST(test_corpus_pairs_next_sentence_is_right_half_of_the_time)
{
    struct corpus *const corpus = corpus_for("nsp", DOCUMENTS, LINES);
    const struct tally tally = tally_corpus(corpus, DATA_PAIRS_NEXT_SENTENCE, MOST, COPIES);
    ck_assert_double_eq(golden_number("nsp", "label_negative"), 1);
    ck_assert_int_gt(tally.pairs, 1500);
    /* Forced: at most one pair a document, and aims under one line. */
    const double ends = (double)(DOCUMENTS * COPIES) / (double)tally.pairs;
    check_rate(&tally, golden_number("nsp", "positive_rate"), ends + 0.1 * 16 / 124);
    check_short(&tally, golden_number("nsp", "short_sequence_probability"), ends + 0.5 * 0.02);
    /* The rest of a pair with text from elsewhere is used later; what is lost is what truncation
     * takes, under one line (16 tokens) a pair, half of it on average. */
    ck_assert_double_ge((double)tally.own_tokens,
                        COPIES * (double)corpus->token_count - 8.0 * (double)tally.pairs);
    corpus_close(corpus);
}
END_TEST

START_TEST(test_corpus_pairs_sentence_order_exchanges_half_and_leaves_no_document)
{
    struct corpus *const corpus = corpus_for("sop", DOCUMENTS, LINES);
    const struct tally tally = tally_corpus(corpus, DATA_PAIRS_SENTENCE_ORDER, MOST, COPIES);
    ck_assert_double_eq(golden_number("sop", "label_swapped"), 1);
    ck_assert_int_gt(tally.pairs, 1000);
    check_rate(&tally, golden_number("sop", "swap_rate"), 0);
    check_short(&tally, 0.1, (double)(DOCUMENTS * COPIES) / (double)tally.pairs);
    ck_assert_double_ge((double)tally.own_tokens,
                        COPIES * (double)corpus->token_count - 8.0 * (double)tally.pairs);
    corpus_close(corpus);
}
END_TEST

START_TEST(test_corpus_pairs_of_one_line_are_from_elsewhere_or_split_in_the_middle)
{
    struct corpus *const corpus = corpus_for("single", DOCUMENTS, 1);
    const struct tally next = tally_corpus(corpus, DATA_PAIRS_NEXT_SENTENCE, MOST, COPIES);
    ck_assert_int_eq(next.pairs, DOCUMENTS * COPIES);
    ck_assert_int_eq(next.labels[1], next.pairs);
    const struct tally order = tally_corpus(corpus, DATA_PAIRS_SENTENCE_ORDER, MOST, COPIES);
    ck_assert_int_eq(order.pairs, DOCUMENTS * COPIES);
    ck_assert_int_eq(order.own_tokens, COPIES * corpus->token_count);
    check_rate(&order, 0.5, 0);
    corpus_close(corpus);
}
END_TEST

START_TEST(test_corpus_pairs_cut_long_lines_so_that_two_fit)
{
    struct corpus *const corpus = corpus_for("long", DOCUMENTS, 40);
    const struct tally tally = tally_corpus(corpus, DATA_PAIRS_SENTENCE_ORDER, 8, 1);
    ck_assert_int_gt(tally.pairs, DOCUMENTS * 40); /* lines of 6 to 16 tokens, pairs of up to 8 */
    check_rate(&tally, 0.5, 0);
    corpus_close(corpus);
}
END_TEST

static struct data_options options_for(const char *corpus, enum data_pairs pairs)
{
    struct data_options options = {
        .objective = DATA_OBJECTIVE_DYNAMIC_MASK,
        .pairs = pairs,
        .pair_copies = COPIES,
        .mask_fraction = 0.15,
        .mask_share = 0.8,
        .random_share = 0.1,
        .mask_copies = 10,
        .sequence_tokens = T,
        .held_out = 0.2,
    };
    (void)snprintf(options.corpus, sizeof options.corpus, "%s", corpus);
    return options;
}

static const struct step_options STEP = {.tokens = 4 * 4 * T, .slot_tokens = 4 * T};

static void digest_add(struct digest_stream *stream, const int32_t *values, int64_t count)
{
    digest_stream_add(stream, values, (size_t)count * sizeof *values);
}

static struct digest batch_digest(const struct batch *batch)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    digest_add(&stream, batch->starts, batch->sequence_count + 1);
    digest_add(&stream, batch->sequence_labels, batch->sequence_count);
    digest_add(&stream, batch->ids, batch->token_count);
    digest_add(&stream, batch->segments, batch->token_count);
    digest_add(&stream, batch->target_rows, batch->target_count);
    digest_add(&stream, batch->target_ids, batch->target_count);
    digest_stream_add(&stream, &batch->sequence_weight, sizeof batch->sequence_weight);
    const struct digest digest = digest_stream_value(&stream);
    digest_stream_deinit(&stream);
    return digest;
}

/* <s> A </s> B </s> with segments 0 … 0 1 … 1. */
static void check_sequence(const struct batch *batch, int64_t sequence)
{
    const int32_t begin = batch->starts[sequence];
    const int32_t end = batch->starts[sequence + 1];
    int32_t second = begin;
    while (second < end && batch->segments[second] == 0) {
        second++;
    }
    ck_assert(end - begin <= T && second - begin >= 3 && end - second >= 2);
    ck_assert_int_eq(batch->ids[begin], 0);
    ck_assert_int_eq(batch->ids[second - 1], 2);
    ck_assert_int_eq(batch->ids[end - 1], 2);
    for (int32_t row = second; row < end; row++) {
        ck_assert_int_eq(batch->segments[row], 1);
    }
    ck_assert(batch->sequence_labels[sequence] == 0 || batch->sequence_labels[sequence] == 1);
}

START_TEST(test_data_source_slots_of_pairs_are_whole_and_independent_of_the_order_of_calls)
{
    char out[PATH_BYTES];
    struct error error;
    make_corpus(out, "slots", DOCUMENTS, 60);
    for (int kind = 1; kind <= 2; kind++) {
        const struct data_options options = options_for(out, (enum data_pairs)kind);
        struct data_source *source;
        struct batch batch;
        struct digest digests[40];
        CHECK_OK(data_source_open(&source, &options, &STEP, SEED, 0, &error), error);
        const struct batch_limits limits = data_source_limits(source);
        batch_init(&batch, &limits);
        double labels = 0;
        double targets = 0;
        for (int64_t i = 0; i < 40; i++) {
            CHECK_OK(data_source_fill(source, 1 + i / 4, i % 4, &batch, &error), error);
            for (int64_t j = 0; j < batch.sequence_count; j++) {
                check_sequence(&batch, j);
            }
            labels += (double)batch.sequence_count;
            targets += (double)batch.target_count;
            digests[i] = batch_digest(&batch);
        }
        /* The planned weight is the mean over all pairs; 40 slots hold most of them. */
        ck_assert_double_eq_tol(targets / labels / (double)batch.sequence_weight, 1, 0.1);
        CHECK_OK(data_source_fill_held_out(source, 0, &batch, &error), error);
        check_sequence(&batch, 0);
        data_source_close(source);
        CHECK_OK(data_source_open(&source, &options, &STEP, SEED, 0, &error), error);
        for (int64_t i = 39; i >= 0; i--) {
            CHECK_OK(data_source_fill(source, 1 + i / 4, i % 4, &batch, &error), error);
            ck_assert(digest_equal(digests[i], batch_digest(&batch)));
        }
        data_source_close(source);
        batch_deinit(&batch);
    }
}
END_TEST

static void check_refused(const struct data_options *options, const char *words)
{
    struct data_source *source;
    struct error error = {0};
    CHECK_FAILS(data_source_open(&source, options, &STEP, 1, 500, &error), STATUS_INPUT);
    ck_assert_msg(strstr(error.message, words) != NULL, "%s", error.message);
}

START_TEST(test_data_source_refuses_pairs_that_cannot_be)
{
    struct data_options options = options_for("synthetic", DATA_PAIRS_NEXT_SENTENCE);
    check_refused(&options, "data.pairs");
    char out[PATH_BYTES];
    make_corpus(out, "refuse", 5, 5);
    options = options_for(out, DATA_PAIRS_NEXT_SENTENCE);
    options.pair_copies = CORPUS_PAIR_COPIES_MAX + 1;
    check_refused(&options, "data.pair_copies");
    options.pair_copies = 1;
    options.objective = DATA_OBJECTIVE_CAUSAL;
    check_refused(&options, "causal");
}
END_TEST

START_TEST(test_corpus_index_refuses_pairs_of_a_corpus_without_lines)
{
    char folder[PATH_BYTES];
    struct error error;
    const struct corpus_facts facts = {.vocabulary = 50, .specials = {0, 1, 2, 3, 4}};
    CHECK_OK(folder_make(fixture_path(folder, "no-lines"), &error), error);
    struct corpus_shelf shelf;
    corpus_shelf_init(&shelf, folder, &facts, 100);
    static const int32_t ids[] = {5, 6, 7, 8, 9};
    const struct corpus_shelf_document document = {.ids = ids, .count = 5, .hash = 1};
    CHECK_OK(corpus_shelf_add(&shelf, &document, &error), error);
    CHECK_OK(corpus_shelf_finish(&shelf, &error), error);
    json_t *const nothing = json_array();
    CHECK_OK(corpus_manifest_write(folder, &facts, shelf.entries, shelf.entry_count, nothing,
                                   nothing, &error),
             error);
    json_decref(nothing);
    corpus_shelf_deinit(&shelf);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, folder, false, &error), error);
    const struct corpus_index_options options = {
        .sequence_tokens = T, .pairs = DATA_PAIRS_SENTENCE_ORDER, .pair_copies = 1};
    struct corpus_index index;
    CHECK_FAILS(corpus_index_build(&index, corpus, &options, &error), STATUS_INPUT);
    ck_assert(strstr(error.message, "build it anew") != NULL);
    corpus_index_deinit(&index);
    corpus_close(corpus);
}
END_TEST

int main(void)
{
    return suite_run(
        "corpus_pairs",
        (const TTest *[]){
            test_corpus_pairs_next_sentence_is_right_half_of_the_time,
            test_corpus_pairs_sentence_order_exchanges_half_and_leaves_no_document,
            test_corpus_pairs_of_one_line_are_from_elsewhere_or_split_in_the_middle,
            test_corpus_pairs_cut_long_lines_so_that_two_fit,
            test_data_source_slots_of_pairs_are_whole_and_independent_of_the_order_of_calls,
            test_data_source_refuses_pairs_that_cannot_be,
            test_corpus_index_refuses_pairs_of_a_corpus_without_lines, NULL});
}
