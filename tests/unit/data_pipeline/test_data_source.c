/* data_pipeline/data_source: what slots hold. Every row once an epoch, nothing lost between
 * documents and rows, batches independent of the order of calls, held-out text apart from training.
 */
#include "data_pipeline/data_source.h"

#include <stdlib.h>

#include "data_pipeline/corpus_folder.h"
#include "data_pipeline/corpus_index.h"
#include "data_pipeline/corpus_line_walk.h"
#include "data_pipeline/tokenizer.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

enum { T = 32, DOCUMENTS = 300, SEED = 11 };

static struct data_options options_for(const char *corpus)
{
    struct data_options options = {
        .objective = DATA_OBJECTIVE_DYNAMIC_MASK,
        .packing = DATA_PACKING_FULL,
        .mask_fraction = 0.15,
        .mask_share = 0.8,
        .random_share = 0.1,
        .mask_copies = 10,
        .sequence_tokens = T,
        .held_out = 0.1,
    };
    (void)snprintf(options.corpus, sizeof options.corpus, "%s", corpus);
    return options;
}

static const struct step_options STEP = {.tokens = 4 * 8 * T, .slot_tokens = 8 * T};

static struct data_source *source_open(const struct data_options *options, uint64_t seed,
                                       struct batch *batch)
{
    struct data_source *source;
    struct error error;
    CHECK_OK(data_source_open(&source, options, &STEP, seed, 500, &error), error);
    const struct batch_limits limits = data_source_limits(source);
    batch_init(batch, &limits);
    return source;
}

static struct digest batch_digest(const struct batch *batch)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    const size_t tokens = (size_t)batch->token_count * sizeof(int32_t);
    const size_t targets = (size_t)batch->target_count * sizeof(int32_t);
    digest_stream_add(&stream, batch->starts,
                      ((size_t)batch->sequence_count + 1) * sizeof(int32_t));
    digest_stream_add(&stream, batch->ids, tokens);
    digest_stream_add(&stream, batch->positions, tokens);
    digest_stream_add(&stream, batch->segments, tokens);
    digest_stream_add(&stream, batch->target_rows, targets);
    digest_stream_add(&stream, batch->target_ids, targets);
    digest_stream_add(&stream, &batch->dropout_key, sizeof batch->dropout_key);
    const struct digest digest = digest_stream_value(&stream);
    digest_stream_deinit(&stream);
    return digest;
}

/* What every batch must be. */
static void check_batch(const struct batch *batch, const struct tokenizer_specials *specials)
{
    ck_assert_int_eq(batch->starts[0], 0);
    ck_assert_int_eq(batch->starts[batch->sequence_count], batch->token_count);
    for (int64_t i = 0; i < batch->sequence_count; i++) {
        const int32_t begin = batch->starts[i];
        const int32_t end = batch->starts[i + 1];
        ck_assert(end - begin > 2 && end - begin <= T);
        ck_assert_int_eq(batch->ids[begin], specials->bos);
        ck_assert_int_eq(batch->ids[end - 1], specials->eos);
        for (int32_t j = begin; j < end; j++) {
            ck_assert_int_eq(batch->positions[j], j - begin);
            ck_assert_int_eq(batch->segments[j], 0);
        }
    }
    for (int64_t i = 0; i < batch->target_count; i++) {
        ck_assert(i == 0 || batch->target_rows[i] > batch->target_rows[i - 1]);
        ck_assert_int_gt(batch->target_ids[i], specials->mask > 4 ? 2 : specials->mask);
    }
}

START_TEST(test_data_source_batches_do_not_depend_on_the_order_of_calls)
{
    char out[PATH_BYTES];
    struct batch batch;
    struct error error;
    fixture_corpus(out, "order", DOCUMENTS);
    struct data_options options = options_for(out);
    for (int packing = 0; packing <= DATA_PACKING_DOCUMENT_SENTENCES; packing++) {
        options.packing = (enum data_packing)packing;
        struct data_source *source = source_open(&options, SEED, &batch);
        struct corpus *corpus;
        CHECK_OK(corpus_open(&corpus, out, false, &error), error);
        struct digest digests[40];
        for (int64_t i = 0; i < 40; i++) {
            CHECK_OK(data_source_fill(source, 1 + i / 4, i % 4, &batch, &error), error);
            check_batch(&batch, &corpus->facts.specials);
            digests[i] = batch_digest(&batch);
            ck_assert(i == 0 || !digest_equal(digests[i], digests[i - 1]));
        }
        data_source_close(source);
        batch_deinit(&batch);
        source = source_open(&options, SEED, &batch);
        for (int64_t i = 39; i >= 0; i--) {
            CHECK_OK(data_source_fill(source, 1 + i / 4, i % 4, &batch, &error), error);
            ck_assert(digest_equal(digests[i], batch_digest(&batch)));
        }
        data_source_close(source);
        batch_deinit(&batch);
        corpus_close(corpus);
    }
}
END_TEST

static struct corpus_row row_for(const struct corpus_index *index)
{
    return (struct corpus_row){
        .ids = memory_take(T, sizeof(int32_t), "test"),
        .sequence_begins =
            memory_take((size_t)index->sequences_in_row_max, sizeof(int32_t), "test"),
        .second_begins = memory_take((size_t)index->sequences_in_row_max, sizeof(int32_t), "test"),
        .labels = memory_take((size_t)index->sequences_in_row_max, sizeof(int32_t), "test"),
        .parts = memory_take((size_t)index->parts_in_row_max, sizeof(struct corpus_part), "test"),
    };
}

static void row_release(struct corpus_row *row)
{
    memory_release(row->parts);
    memory_release(row->labels);
    memory_release(row->second_begins);
    memory_release(row->sequence_begins);
    memory_release(row->ids);
}

/* Walks all rows of one side: every token of its documents stands in one row, but for what packing
 * may drop. */
static void check_index(const struct corpus *corpus, enum data_packing packing, bool held_out)
{
    const struct corpus_index_options options = {
        .sequence_tokens = T, .packing = packing, .held_out = 0.1, .take_held_out = held_out};
    struct corpus_index index;
    struct error error;
    CHECK_OK(corpus_index_build(&index, corpus, &options, &error), error);
    unsigned char *const seen = memory_take((size_t)corpus->token_count, 1, "test");
    struct corpus_row row = row_for(&index);
    int64_t used = 0;
    for (int64_t i = 0; i < index.row_count; i++) {
        corpus_index_read(&index, i, &row);
        ck_assert(row.token_count <= T);
        ck_assert(packing != DATA_PACKING_FULL || i + 1 == index.row_count || row.token_count == T);
        used += row.token_count;
        for (int64_t j = 0; j < row.part_count; j++) {
            const struct corpus_part *const part = &row.parts[j];
            ck_assert(corpus_is_held_out(corpus_document_hash(corpus, part->document), 0.1) ==
                      held_out);
            int32_t expected[T];
            corpus_document_copy(corpus, part->document, part->offset, part->count, expected);
            ck_assert_int_eq(
                memcmp(expected, row.ids + part->begin, (size_t)part->count * sizeof *expected), 0);
            int64_t first = part->offset; /* of the document in a count over the whole corpus */
            for (int64_t k = 0; k < part->document; k++) {
                first += corpus_document_tokens(corpus, k);
            }
            for (int64_t k = 0; k < part->count; k++) {
                ck_assert_int_eq(seen[first + k]++, 0);
            }
        }
    }
    int64_t missing = 0;
    int64_t place = 0;
    for (int64_t i = 0; i < corpus->document_count; i++) {
        const int64_t count = corpus_document_tokens(corpus, i);
        const bool ours = corpus_is_held_out(corpus_document_hash(corpus, i), 0.1) == held_out;
        const bool whole_lines = packing == DATA_PACKING_DOCUMENT_SENTENCES;
        const int64_t tail = whole_lines ? CORPUS_PIECE_TOKENS_MIN - 1 : count % (T - 2);
        const bool may_drop =
            whole_lines || (packing == DATA_PACKING_DOCUMENT && tail < CORPUS_PIECE_TOKENS_MIN);
        for (int64_t j = 0; j < count; j++, place++) {
            ck_assert(ours || !seen[place]);
            if (ours && !seen[place] && !(may_drop && j >= count - tail)) {
                missing++;
            }
        }
    }
    const bool stream = packing == DATA_PACKING_FULL || packing == DATA_PACKING_FULL_SENTENCES;
    ck_assert_int_lt(missing, stream ? CORPUS_PIECE_TOKENS_MIN : 1);
    /* best fit packs these short documents tightly; what whole lines fill depends on their lengths
     */
    const int64_t least = packing == DATA_PACKING_FULL             ? 95
                          : packing == DATA_PACKING_FULL_SENTENCES ? 50
                                                                   : 85;
    ck_assert_int_gt(used * 100, index.row_count * T * least);
    row_release(&row);
    memory_release(seen);
    corpus_index_deinit(&index);
}

START_TEST(test_corpus_index_puts_every_token_of_its_side_into_one_row)
{
    char out[PATH_BYTES];
    struct error error;
    struct corpus *corpus;
    fixture_corpus(out, "index", DOCUMENTS);
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    for (int packing = 0; packing <= DATA_PACKING_DOCUMENT_SENTENCES; packing++) {
        check_index(corpus, (enum data_packing)packing, false);
        check_index(corpus, (enum data_packing)packing, true);
    }
    corpus_close(corpus);
}
END_TEST

/* Length of the line that begins at token `offset` of a document; -1 if none begins there. */
static int64_t line_length(const struct corpus *corpus, int64_t document, int64_t offset)
{
    const struct line_walk walk = line_walk_begin(corpus, document);
    for (int64_t line = 0; line < walk.count; line++) {
        if (line_walk_at(&walk, line) == offset) {
            return line_walk_at(&walk, line + 1) - offset;
        }
    }
    return -1;
}

/* Every row ends where a line does, and the next line would not have fitted. Where a line is cut,
 * it is longer than a row, or the row would have had hardly any text. */
START_TEST(test_corpus_index_ends_sequences_where_lines_end)
{
    char out[PATH_BYTES];
    struct error error;
    struct corpus *corpus;
    fixture_corpus(out, "lines", DOCUMENTS);
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    const struct corpus_index_options options = {.sequence_tokens = T,
                                                 .packing = DATA_PACKING_FULL_SENTENCES};
    struct corpus_index index;
    CHECK_OK(corpus_index_build(&index, corpus, &options, &error), error);
    struct corpus_row row = row_for(&index);
    int64_t whole = 0;
    int64_t crossing = 0;
    for (int64_t i = 0; i + 1 < index.row_count; i++) {
        corpus_index_read(&index, i, &row);
        crossing += row.part_count > 1;
        const struct corpus_place next = index.places[i + 1];
        const struct corpus_part *const last = &row.parts[row.part_count - 1];
        ck_assert_int_eq(last->begin + last->count + 1, row.token_count);
        for (int64_t j = 1; j < row.part_count; j++) { /* documents are whole but for the ends */
            ck_assert_int_eq(row.parts[j].offset, 0);
            ck_assert_int_eq(row.ids[row.parts[j].begin - 1], corpus->facts.specials.eos);
        }
        const bool same = last->document == next.document;
        ck_assert(!same || last->offset + last->count == next.offset);
        const int64_t length = line_length(corpus, next.document, next.offset);
        if (length < 0) {
            ck_assert_int_eq(row.token_count, T);
        } else {
            ck_assert_int_gt(row.token_count + (same ? 0 : 1) + length, T);
            whole++;
        }
    }
    ck_assert_int_gt(whole, index.row_count / 2);
    ck_assert_int_gt(crossing, 5);
    row_release(&row);
    corpus_index_deinit(&index);
    corpus_close(corpus);
}
END_TEST

START_TEST(test_data_source_held_out_slots_are_the_same_for_every_seed_and_may_be_empty)
{
    char out[PATH_BYTES];
    struct batch first;
    struct batch second;
    struct error error;
    fixture_corpus(out, "held", DOCUMENTS);
    struct data_options options = options_for(out);
    struct data_source *const one = source_open(&options, 1, &first);
    struct data_source *const two = source_open(&options, 2, &second);
    const int64_t slots = data_source_held_out_slots(one);
    ck_assert_int_gt(slots, 1);
    for (int64_t i = 0; i < slots; i++) {
        CHECK_OK(data_source_fill_held_out(one, i, &first, &error), error);
        CHECK_OK(data_source_fill_held_out(two, i, &second, &error), error);
        ck_assert(digest_equal(batch_digest(&first), batch_digest(&second)));
    }
    CHECK_FAILS(data_source_fill_held_out(one, slots, &first, &error), STATUS_INPUT);
    CHECK_OK(data_source_fill(one, 1, 0, &first, &error), error);
    CHECK_OK(data_source_fill(two, 1, 0, &second, &error), error);
    ck_assert(!digest_equal(batch_digest(&first), batch_digest(&second)));
    data_source_close(two);
    data_source_close(one);
    batch_deinit(&second);
    batch_deinit(&first);
    options.held_out = 0;
    struct data_source *const none = source_open(&options, 1, &first);
    ck_assert_int_eq(data_source_held_out_slots(none), 0);
    data_source_close(none);
    batch_deinit(&first);
}
END_TEST

START_TEST(test_data_source_synthetic_slots_are_full_and_masked)
{
    struct batch batch;
    struct error error;
    const struct data_options options = options_for("synthetic");
    struct data_source *const source = source_open(&options, SEED, &batch);
    ck_assert_int_eq(data_source_vocabulary(source), 500);
    ck_assert_int_eq(data_source_slots(source), 4);
    ck_assert(data_source_tokenizer(source) == NULL);
    const struct tokenizer_specials specials = {
        .bos = 0, .pad = 1, .eos = 2, .unk = 3, .mask = 499};
    for (int64_t step = 1; step < 20; step++) {
        CHECK_OK(data_source_fill(source, step, step % 4, &batch, &error), error);
        check_batch(&batch, &specials);
        ck_assert_int_eq(batch.token_count, 8 * T);
        ck_assert_int_eq(batch.sequence_count, 8);
        ck_assert(batch.target_count >= 8 * 4 && batch.target_count <= 8 * 5); /* 0.15 * 30 = 4.5 */
        const struct random_key key =
            random_key_make(SEED, RANDOM_PURPOSE_DROPOUT, (uint64_t)(step * (1 << 20) + step % 4));
        ck_assert_int_eq(memcmp(&key, &batch.dropout_key, sizeof key), 0);
    }
    data_source_close(source);
    batch_deinit(&batch);
}
END_TEST

START_TEST(test_data_source_causal_slots_predict_each_next_token_and_mask_nothing)
{
    char out[PATH_BYTES];
    struct batch batch;
    struct error error;
    fixture_corpus(out, "causal", DOCUMENTS);
    struct data_options options = options_for(out);
    options.objective = DATA_OBJECTIVE_CAUSAL;
    options.packing = DATA_PACKING_DOCUMENT;
    struct data_source *const source = source_open(&options, SEED, &batch);
    for (int64_t step = 1; step < 10; step++) {
        CHECK_OK(data_source_fill(source, step, 0, &batch, &error), error);
        ck_assert_int_eq(batch.target_count, batch.token_count - batch.sequence_count);
        int64_t k = 0;
        for (int64_t i = 0; i < batch.sequence_count; i++) {
            for (int32_t row = batch.starts[i]; row + 1 < batch.starts[i + 1]; row++, k++) {
                ck_assert_int_eq(batch.target_rows[k], row);
                ck_assert_int_eq(batch.target_ids[k], batch.ids[row + 1]);
                ck_assert_int_eq(batch.left_rows[k], -1);
            }
        }
    }
    data_source_close(source);
    batch_deinit(&batch);
}
END_TEST

static void check_span_targets(const struct batch *batch)
{
    for (int64_t k = 0; k < batch->target_count; k++) {
        const int32_t left = batch->left_rows[k];
        const int32_t right = batch->right_rows[k];
        if (left < 0) {
            ck_assert(right < 0 && batch->span_places[k] < 0);
            continue;
        }
        ck_assert_int_eq(batch->target_rows[k], left + 1 + batch->span_places[k]);
        ck_assert_int_gt(right, batch->target_rows[k]);
        int64_t sequence = 0;
        while (batch->starts[sequence + 1] <= left) {
            sequence++;
        }
        ck_assert(left > batch->starts[sequence] && right < batch->starts[sequence + 1] - 1);
    }
}

START_TEST(test_data_source_span_boundaries_lie_inside_the_sequence)
{
    char out[PATH_BYTES];
    struct batch batch;
    struct error error;
    fixture_corpus(out, "span", DOCUMENTS);
    struct data_options options = options_for(out);
    options.objective = DATA_OBJECTIVE_SPAN_MASK;
    struct data_source *const source = source_open(&options, SEED, &batch);
    for (int64_t step = 1; step < 10; step++) {
        CHECK_OK(data_source_fill(source, step, 1, &batch, &error), error);
        check_span_targets(&batch);
    }
    data_source_close(source);
    batch_deinit(&batch);
}
END_TEST

static void check_refused(const struct data_options *options, const struct step_options *step,
                          const char *key)
{
    struct data_source *source;
    struct error error = {0};
    CHECK_FAILS(data_source_open(&source, options, step, 1, 500, &error), STATUS_INPUT);
    ck_assert_msg(strstr(error.message, key) != NULL, "%s", error.message);
}

START_TEST(test_data_source_refuses_options_that_do_not_fit_and_names_the_key)
{
    const struct data_options good = options_for("synthetic");
    struct data_options options = good;
    check_refused(&good, &(struct step_options){.tokens = 8 * T, .slot_tokens = 8 * T + 1},
                  "step.slot_tokens");
    check_refused(&good, &(struct step_options){.tokens = 9 * T, .slot_tokens = 8 * T},
                  "step.tokens");
    options.mask_fraction = 1.5;
    check_refused(&options, &STEP, "data.mask_fraction");
    options = good;
    options.random_share = 0.3;
    check_refused(&options, &STEP, "data.random_share");
    options = good;
    options.sequence_tokens = 2;
    check_refused(&options, &STEP, "data.sequence_tokens");
    options = options_for("/nowhere");
    check_refused(&options, &STEP, "/nowhere");
    char out[PATH_BYTES];
    fixture_corpus(out, "all-held-out", 5);
    options = options_for(out);
    options.held_out = 1;
    check_refused(&options, &STEP, "data.held_out");
}
END_TEST

START_TEST(test_data_source_refuses_another_tokenizer)
{
    char out[PATH_BYTES];
    char other[PATH_BYTES];
    char folder[PATH_BYTES];
    struct error error = {0};
    struct data_source *source;
    struct tokenizer *tokenizer;
    fixture_corpus(out, "swap", 20);
    CHECK_OK(path_join(folder, out, "tokenizer", &error), error);
    CHECK_OK(folder_remove(folder, &error), error);
    CHECK_OK(tokenizer_open(&tokenizer, fixture_golden(other, "tokenizers/bpe_gpt2"), &error),
             error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    tokenizer_close(tokenizer);
    const struct data_options options = options_for(out);
    CHECK_FAILS(data_source_open(&source, &options, &STEP, 1, 0, &error), STATUS_FORMAT);
    ck_assert(strstr(error.message, "is not the one") != NULL);
}
END_TEST

/* Tokens of sequence b as they stand in the text, without the two at its end. */
static int64_t text_of(const struct batch *batch, int64_t b, int32_t text[T])
{
    const int64_t count = batch->starts[b + 1] - batch->starts[b] - 2;
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = batch->reversed[b] != 0 ? count - 1 - i : i;
        text[i] = batch->ids[batch->starts[b] + at];
    }
    return count;
}

/* Chains of four: both directions, memory where the text goes on, a sixth predicted, separator and
 * class token last. */
START_TEST(test_data_source_chains_follow_the_text)
{
    char out[PATH_BYTES];
    fixture_corpus(out, "chains", DOCUMENTS);
    struct data_options options = options_for(out);
    options.objective = DATA_OBJECTIVE_PERMUTATION;
    options.mask_fraction = 1.0 / 6;
    options.chain_rows = 4;
    options.bi_data = true;
    struct batch batch;
    struct batch again;
    struct data_source *const source = source_open(&options, SEED, &batch);
    struct data_source *const other = source_open(&options, SEED, &again);
    struct error error;
    int64_t continued = 0;
    int64_t backwards = 0;
    int64_t sequences = 0;
    for (int64_t slot = 3; slot >= 0; slot--) {
        CHECK_OK(data_source_fill(source, 2, slot, &batch, &error), error);
        CHECK_OK(data_source_fill(other, 2, slot, &again, &error), error);
        const size_t tokens = (size_t)batch.token_count * sizeof(int32_t);
        ck_assert_mem_eq(batch.ids, again.ids, tokens);
        ck_assert_mem_eq(batch.orders, again.orders, tokens);
        ck_assert_mem_eq(batch.horizons, again.horizons, tokens);
        ck_assert(batch.permuted && batch.chained);
        for (int64_t b = 0; b < batch.sequence_count; b++, sequences++) {
            int32_t text[T];
            const int64_t end = batch.starts[b + 1];
            ck_assert_int_eq(batch.segments[end - 1], 2);
            ck_assert_int_eq(batch.segments[end - 2], 0);
            ck_assert_int_gt(text_of(&batch, b, text), 0);
            ck_assert(b % 4 != 0 || batch.continues[b] == 0);
            ck_assert(b % 4 == 0 || batch.reversed[b] == batch.reversed[b - 1]);
            continued += batch.continues[b];
            backwards += batch.reversed[b];
        }
        for (int64_t k = 0; k < batch.target_count; k++) {
            const int32_t row = batch.target_rows[k];
            ck_assert_int_eq(batch.target_ids[k], batch.ids[row]);
            ck_assert_int_eq(batch.horizons[row], batch.orders[row]);
        }
        ck_assert_int_ge(batch.target_count * 8, batch.token_count);
        ck_assert_int_le(batch.target_count * 5, batch.token_count);
    }
    ck_assert_int_gt(continued, 0);
    ck_assert(backwards > 0 && backwards < sequences);
    batch_deinit(&again);
    batch_deinit(&batch);
    data_source_close(other);
    data_source_close(source);
}
END_TEST

int main(void)
{
    return suite_run(
        "data_source",
        (const TTest *[]){
            test_data_source_batches_do_not_depend_on_the_order_of_calls,
            test_corpus_index_puts_every_token_of_its_side_into_one_row,
            test_corpus_index_ends_sequences_where_lines_end,
            test_data_source_held_out_slots_are_the_same_for_every_seed_and_may_be_empty,
            test_data_source_synthetic_slots_are_full_and_masked,
            test_data_source_causal_slots_predict_each_next_token_and_mask_nothing,
            test_data_source_span_boundaries_lie_inside_the_sequence,
            test_data_source_refuses_options_that_do_not_fit_and_names_the_key,
            test_data_source_chains_follow_the_text, test_data_source_refuses_another_tokenizer,
            NULL});
}
