/* See data_source.h. Keys: order of rows (seed, EPOCH_ORDER, epoch); masks see sampling.h, held-out
 * masks with seed 0 and epoch 0 whatever the run's seed; dropout (seed, DROPOUT, step * 2^20 +
 * slot). */
#include "data_pipeline/data_source.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/batch_writer.h"
#include "data_pipeline/chain.h"
#include "data_pipeline/corpus_folder.h"
#include "data_pipeline/corpus_index.h"
#include "data_pipeline/plan.h"
#include "data_pipeline/sampling.h"

enum {
    SYNTHETIC_VOCABULARY_MIN = 16,
    SYNTHETIC_VOCABULARY_MAX = 1 << 24,
    SYNTHETIC_ROWS = 1 << 30, /* in an "epoch" of synthetic data */
    HELD_OUT_SEED = 0,
};

static_assert((int)CORPUS_PAIR_COPIES_MAX == (int)PLAN_COPIES_MAX, "copies of an index");

struct data_source {
    struct data_options options;
    uint64_t seed;
    struct corpus *corpus; /* NULL: synthetic */
    struct tokenizer_specials specials;
    struct corpus_index train;
    struct corpus_index held_out;
    struct sampling_table table;
    struct sampling_rules rules;
    struct plan plan;   /* of chains of rows */
    int64_t chain_rows; /* in a chain; 1 without chains */
    int64_t row_count;  /* of the training side */
    int64_t slot_rows;
    struct batch_limits limits;
    int64_t sequences_in_row_max;
    int64_t parts_in_row_max;
    struct digest fingerprint;
    struct data_skips skips;
};

/* A row of a slot and its place in its chain. */
struct source_row {
    struct plan_row row;
    bool begins;
    bool reversed;
};

static enum status source_open_synthetic(struct data_source *source, int64_t vocabulary,
                                         struct error *error)
{
    if (vocabulary < SYNTHETIC_VOCABULARY_MIN || vocabulary > SYNTHETIC_VOCABULARY_MAX) {
        FAIL(error, STATUS_INPUT, "synthetic data needs a vocabulary of %d to %d ids, got %lld",
             SYNTHETIC_VOCABULARY_MIN, SYNTHETIC_VOCABULARY_MAX, (long long)vocabulary);
    }
    source->specials = (struct tokenizer_specials){
        .bos = 0, .pad = 1, .eos = 2, .unk = 3, .mask = (int32_t)vocabulary - 1};
    sampling_table_init(&source->table, NULL, vocabulary, source->specials);
    source->plan.row_count = SYNTHETIC_ROWS;
    source->sequences_in_row_max = 1;
    source->parts_in_row_max = 1;
    source->fingerprint = digest_bytes(&vocabulary, sizeof vocabulary);
    return STATUS_OK;
}

/* The vocabulary's tables, after a check that the tokenizer is the one that made the shards. */
static enum status source_open_table(struct data_source *source, struct error *error)
{
    const struct corpus *const corpus = source->corpus;
    struct tokenizer *tokenizer;
    TRY(tokenizer_open(&tokenizer, corpus->tokenizer, error));
    const bool same = digest_equal(tokenizer_fingerprint(tokenizer), corpus->facts.tokenizer) &&
                      tokenizer_vocabulary(tokenizer) == corpus->facts.vocabulary;
    if (same) {
        sampling_table_init(&source->table, tokenizer, corpus->facts.vocabulary,
                            corpus->facts.specials);
    }
    tokenizer_close(tokenizer);
    if (!same) {
        FAIL(error, STATUS_FORMAT,
             "tokenizer \"%s\" is not the one that corpus \"%s\" was built with", corpus->tokenizer,
             corpus->folder);
    }
    const bool masks = source->rules.objective != DATA_OBJECTIVE_CAUSAL &&
                       source->rules.objective != DATA_OBJECTIVE_PERMUTATION;
    if (source->specials.bos < 0 || source->specials.eos < 0 ||
        (masks && source->specials.mask < 0) || source->table.ordinary_count == 0) {
        FAIL(error, STATUS_FORMAT, "tokenizer \"%s\" has no <s>, </s>%s, or nothing else",
             corpus->tokenizer, masks ? " or <mask>" : "");
    }
    return STATUS_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How often each id stands in the corpus: what random replacements of spans follow. */
static void source_weigh_table(struct data_source *source)
{
    const int64_t vocabulary = source->table.vocabulary;
    int64_t *const counts = memory_take((size_t)vocabulary, sizeof *counts, "token counts");
    corpus_count_tokens(source->corpus, counts);
    int64_t ordinary = 0;
    for (int64_t i = 0; i < source->table.ordinary_count; i++) {
        ordinary += counts[source->table.ordinary[i]];
    }
    if (ordinary > 0) { /* a corpus of nothing but unknown tokens keeps the uniform draw */
        sampling_table_weigh(&source->table, counts);
    }
    memory_release(counts);
}

static enum status source_open_corpus(struct data_source *source, struct error *error)
{
    const struct data_options *const options = &source->options;
    TRY(options->checked
            ? corpus_open_checked(&source->corpus, options->corpus, error)
            : corpus_open(&source->corpus, options->corpus, options->skip_bad_shards, error));
    source->specials = source->corpus->facts.specials;
    source->fingerprint = source->corpus->fingerprint;
    TRY(source_open_table(source, error));
    if (options->objective == DATA_OBJECTIVE_SPAN_MASK) {
        source_weigh_table(source);
    }
    struct corpus_index_options index = {
        .sequence_tokens = options->sequence_tokens,
        .packing = options->packing,
        .held_out = options->held_out,
        .take_held_out = false,
        .pairs = options->pairs,
        .pair_copies = options->pair_copies,
        .seed = source->seed,
    };
    TRY(corpus_index_build(&source->train, source->corpus, &index, error));
    index.take_held_out = true;
    index.pair_copies = 1;
    index.seed = HELD_OUT_SEED;
    TRY(corpus_index_build(&source->held_out, source->corpus, &index, error));
    if (source->train.row_count == 0) {
        FAIL(error, STATUS_INPUT, "corpus \"%s\" has no text to train on (data.held_out is %g)",
             options->corpus, options->held_out);
    }
    source->plan.row_count = source->train.row_count;
    if (options->pairs != DATA_PAIRS_NONE) {
        source->plan.copy_count = options->pair_copies;
        memcpy(source->plan.copy_begins, source->train.copy_begins,
               sizeof source->plan.copy_begins);
    }
    source->sequences_in_row_max =
        larger(source->train.sequences_in_row_max, source->held_out.sequences_in_row_max);
    source->parts_in_row_max =
        larger(source->train.parts_in_row_max, source->held_out.parts_in_row_max);
    return STATUS_OK;
}

static void source_set_limits(struct data_source *source)
{
    const int64_t rows = source->slot_rows;
    const int64_t row_tokens = source->options.sequence_tokens;
    const int64_t row_targets = source->rules.objective == DATA_OBJECTIVE_CAUSAL
                                    ? row_tokens - 1
                                    : sampling_targets_max(source->rules.fraction, row_tokens - 2,
                                                           source->parts_in_row_max);
    source->limits = (struct batch_limits){
        .sequence_count = rows * source->sequences_in_row_max,
        .token_count = rows * row_tokens,
        .target_count = rows * row_targets,
    };
}

enum status data_source_check(const struct data_options *options, int64_t index, int64_t count,
                              bool *checked, struct error *error)
{
    *checked = strcmp(options->corpus, "synthetic") != 0 && !options->skip_bad_shards;
    return *checked ? corpus_check(options->corpus, index, count, error) : STATUS_OK;
}

enum status data_source_open(struct data_source **source, const struct data_options *options,
                             const struct step_options *step, uint64_t seed,
                             int64_t synthetic_vocabulary, struct error *error)
{
    TRY(data_options_check(options, step, error));
    struct data_source *const made = memory_take(1, sizeof *made, "data source");
    made->options = *options;
    made->seed = seed;
    made->rules = (struct sampling_rules){
        .objective = options->objective,
        .fraction = options->mask_fraction,
        .mask_share = options->mask_share,
        .random_share = options->random_share,
    };
    made->plan = (struct plan){
        .seed = seed,
        .slots = step->tokens / step->slot_tokens,
        .rows_per_slot = step->slot_tokens / options->sequence_tokens / data_chain_rows(options),
    };
    made->chain_rows = data_chain_rows(options);
    made->slot_rows = step->slot_tokens / options->sequence_tokens;
    const enum status status = strcmp(options->corpus, "synthetic") == 0
                                   ? source_open_synthetic(made, synthetic_vocabulary, error)
                                   : source_open_corpus(made, error);
    if (status != STATUS_OK) {
        data_source_close(made);
        return status;
    }
    made->row_count = made->plan.row_count;
    made->plan.row_count = (made->row_count + made->chain_rows - 1) / made->chain_rows;
    source_set_limits(made);
    *source = made;
    return STATUS_OK;
}

void data_source_close(struct data_source *source)
{
    if (source == NULL) {
        return;
    }
    corpus_index_deinit(&source->held_out);
    corpus_index_deinit(&source->train);
    sampling_table_deinit(&source->table);
    corpus_close(source->corpus);
    memory_release(source);
}

int64_t data_source_vocabulary(const struct data_source *source)
{
    return source->table.vocabulary;
}

int64_t data_source_slots(const struct data_source *source)
{
    return source->plan.slots;
}

struct digest data_source_fingerprint(const struct data_source *source)
{
    return source->fingerprint;
}

const char *data_source_tokenizer(const struct data_source *source)
{
    return source->corpus == NULL ? NULL : source->corpus->tokenizer;
}

struct batch_limits data_source_limits(const struct data_source *source)
{
    return source->limits;
}

/* Targets for each label, as planned: the share that is predicted of the text, by the number of
 * pairs, over the whole side. */
static float label_weight(const struct data_source *source, const struct corpus_index *index)
{
    if (index->options.pairs == DATA_PAIRS_NONE || index->place_count == 0) {
        return 0;
    }
    return (float)(source->rules.fraction * (double)index->pair_tokens /
                   (double)index->place_count);
}

double data_source_label_weight(const struct data_source *source)
{
    return (double)label_weight(source, &source->train);
}

double data_source_epochs(const struct data_source *source, int64_t step)
{
    const int64_t data_step = data_source_step(source, step);
    return source->corpus == NULL ? 0.0 : plan_epochs(&source->plan, data_step);
}

int64_t data_source_slot_rows(const struct data_source *source)
{
    return source->slot_rows;
}

/* Row `place` of a slot. Chains are what the plan puts in order; rows follow each other in one. The
 * last chain begins early enough to be whole, so that some rows stand in two. */
static struct source_row source_row_at(const struct data_source *source, int64_t step, int64_t slot,
                                       int64_t place)
{
    const int64_t length = source->chain_rows;
    struct source_row at = {
        plan_at(&source->plan, data_source_step(source, step), slot, place / length),
        place % length == 0, false};
    if (source->rules.objective == DATA_OBJECTIVE_PERMUTATION) {
        at.reversed =
            source->options.bi_data && chain_is_reversed(source->seed, at.row.epoch, at.row.row);
        const int64_t last = source->row_count > length ? source->row_count - length : 0;
        const int64_t first = at.row.row * length < last ? at.row.row * length : last;
        const int64_t within = at.reversed ? length - 1 - place % length : place % length;
        at.row.row = (first + within) % source->row_count;
    }
    return at;
}

struct plan_row data_source_row(const struct data_source *source, int64_t step, int64_t slot,
                                int64_t place)
{
    return source_row_at(source, step, slot, place).row;
}

void data_source_skip(struct data_source *source, const struct data_skips *skips)
{
    source->skips = *skips;
}

int64_t data_source_step(const struct data_source *source, int64_t step)
{
    return data_skips_step(&source->skips, step);
}

const struct corpus_index *data_source_index(const struct data_source *source)
{
    return source->corpus == NULL ? NULL : &source->train;
}

/* Uniform ordinary ids, a full sequence; a pure function of (seed, row number). */
static void synthetic_read(const struct data_source *source, int64_t number, struct corpus_row *row)
{
    const struct random_key key = random_key_make(source->seed, RANDOM_PURPOSE_SYNTHETIC, 0);
    const int64_t count = source->options.sequence_tokens;
    row->ids[0] = source->specials.bos;
    for (int64_t i = 1; i < count - 1; i++) {
        const struct random_block block = random_at(key, (uint64_t)number, (uint64_t)i);
        row->ids[i] =
            source->table.ordinary[random_below(block, (uint64_t)source->table.ordinary_count)];
    }
    row->ids[count - 1] = source->specials.eos;
    row->token_count = count;
    row->sequence_begins[0] = 0;
    row->second_begins[0] = (int32_t)count;
    row->labels[0] = -1;
    row->sequence_count = 1;
    row->parts[0] =
        (struct corpus_part){.document = number, .offset = 0, .begin = 1, .count = count - 2};
    row->part_count = 1;
}

static void writer_init(struct batch_writer *writer, const struct data_source *source)
{
    batch_writer_init(writer, &source->options, &source->table, &source->rules,
                      source->sequences_in_row_max, source->parts_in_row_max);
}

static void batch_check(const struct batch *batch, const struct batch_limits *limits)
{
    INVARIANT(batch->sequence_count <= limits->sequence_count);
    INVARIANT(batch->token_count <= limits->token_count);
    INVARIANT(batch->target_count <= limits->target_count);
}

enum status data_source_fill(const struct data_source *source, int64_t step, int64_t slot,
                             struct batch *batch, struct error *error)
{
    if (step < 1 || slot < 0 || slot >= source->plan.slots) {
        FAIL(error, STATUS_INPUT,
             "step %lld, slot %lld: expected a step from 1 and a slot below %lld", (long long)step,
             (long long)slot, (long long)source->plan.slots);
    }
    const uint64_t place =
        (uint64_t)data_source_step(source, step) * DATA_SLOTS_MAX + (uint64_t)slot;
    struct batch_writer writer;
    writer_init(&writer, source);
    batch_writer_begin(&writer, batch, random_key_make(source->seed, RANDOM_PURPOSE_DROPOUT, place),
                       label_weight(source, &source->train));
    for (int64_t i = 0; i < source->slot_rows; i++) {
        const struct source_row at = source_row_at(source, step, slot, i);
        if (source->corpus == NULL) {
            synthetic_read(source, at.row.row, &writer.row);
        } else {
            corpus_index_read(&source->train, at.row.row, &writer.row);
        }
        const struct chain_place where = {source->seed, at.row.epoch, source->rules.fraction,
                                          at.begins, at.reversed};
        batch_writer_append(&writer, batch, &where);
    }
    batch_writer_deinit(&writer);
    batch_check(batch, &source->limits);
    return STATUS_OK;
}

int64_t data_source_held_out_slots(const struct data_source *source)
{
    const int64_t rows_per_slot = source->slot_rows;
    return (source->held_out.row_count + rows_per_slot - 1) / rows_per_slot;
}

enum status data_source_fill_held_out(const struct data_source *source, int64_t slot,
                                      struct batch *batch, struct error *error)
{
    const int64_t slots = data_source_held_out_slots(source);
    if (slot < 0 || slot >= slots) {
        FAIL(error, STATUS_INPUT, "held-out slot %lld: expected 0 to %lld", (long long)slot,
             (long long)slots - 1);
    }
    struct batch_writer writer;
    writer_init(&writer, source);
    batch_writer_begin(&writer, batch,
                       random_key_make(HELD_OUT_SEED, RANDOM_PURPOSE_DROPOUT, (uint64_t)slot),
                       label_weight(source, &source->held_out));
    const int64_t first = slot * source->slot_rows;
    for (int64_t row = first; row < first + source->slot_rows && row < source->held_out.row_count;
         row++) {
        corpus_index_read(&source->held_out, row, &writer.row);
        const struct chain_place where = {.seed = HELD_OUT_SEED,
                                          .fraction = source->rules.fraction,
                                          .begins = (row - first) % source->chain_rows == 0};
        batch_writer_append(&writer, batch, &where);
    }
    batch_writer_deinit(&writer);
    batch_check(batch, &source->limits);
    return STATUS_OK;
}
