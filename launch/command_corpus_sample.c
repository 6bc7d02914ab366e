/* corpus sample: what the model will be asked to predict, as text. Reads the batches that training
 * would read, from the first step on. In colour on a terminal only; the brackets say the same
 * without it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "data_pipeline/data_source.h"
#include "data_pipeline/tokenizer.h"
#include "launch/commands.h"
#include "launch/print.h"

enum { ROWS_MAX = 10000 };

static const char *const objectives[] = {"dynamic_mask", "static_mask", "whole_word_mask",
                                         "ngram_mask",   "span_mask",   "causal",
                                         "permutation"};
static const char *const pairs[] = {"none", "next_sentence", "sentence_order"};
static const char *const packings[] = {"full", "document", "full_sentences", "document_sentences"};
static_assert((int)DATA_OBJECTIVE_PERMUTATION == 6, "order of objectives");
static_assert((int)DATA_PAIRS_SENTENCE_ORDER == 2, "order of pairs");
static_assert((int)DATA_PACKING_DOCUMENT_SENTENCES == 3, "order of packings");

enum paint { PAINT_NONE, PAINT_SPECIAL, PAINT_SECOND, PAINT_MASKED, PAINT_REPLACED, PAINT_KEPT };

struct sample {
    const struct tokenizer *tokenizer;
    struct tokenizer_specials specials;
    const struct batch *batch;
    bool colours;
};

/* The place of an option's word among `names`; 0 if it was not given. */
static enum status choice(const struct command_line *line, const char *name,
                          const char *const *names, int64_t count, int *place, struct error *error)
{
    const char *const given = command_line_text(line, name);
    *place = 0;
    for (int64_t i = 0; given != NULL && i < count; i++) {
        if (strcmp(given, names[i]) == 0) {
            *place = (int)i;
            return STATUS_OK;
        }
    }
    if (given == NULL) {
        return STATUS_OK;
    }
    char words[256] = "";
    size_t size = 0;
    for (int64_t i = 0; i < count; i++) {
        size += (size_t)snprintf(words + size, sizeof words - size, "%s%s", i == 0 ? "" : ", ",
                                 names[i]);
    }
    FAIL(error, STATUS_INPUT, "corpus sample: option \"--%s %.64s\": expected one of %s", name,
         given, words);
}

static void paint(const struct sample *sample, enum paint paint)
{
    static const char *const codes[] = {"0", "2", "36", "1;33", "1;31", "1;32"};
    if (sample->colours) {
        (void)printf("\033[%sm", codes[paint]);
    }
}

/* Text of a corpus may hold anything: control characters never reach the terminal. */
static void put_text(const char *text, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        const unsigned char byte = (unsigned char)text[i];
        const bool second = byte == 0xc2 && i + 1 < size_bytes &&
                            (unsigned char)text[i + 1] < 0xa0; /* U+0080 to U+009F */
        if (byte == '\n') {
            (void)fputs(" \xe2\x86\xb5 ", stdout); /* an arrow */
        } else if (byte < 0x20 || byte == 0x7f || second) {
            (void)fputc(' ', stdout);
            i += second;
        } else {
            (void)fputc(byte, stdout);
        }
    }
}

/* The text of ids; its leading blanks are printed before `open`. */
static enum status put_ids(const struct sample *sample, const int32_t *ids, int64_t count,
                           const char *open, struct error *error)
{
    char *text;
    size_t size_bytes;
    TRY(tokenizer_decode(sample->tokenizer, ids, (size_t)count, false, &text, &size_bytes, error));
    size_t blanks = 0;
    while (blanks < size_bytes && text[blanks] == ' ') {
        blanks++;
    }
    put_text(text, blanks);
    (void)fputs(open, stdout);
    put_text(text + blanks, size_bytes - blanks);
    memory_release(text);
    return STATUS_OK;
}

/* Which one a target is in the order of its sequence's, from 1. */
static int64_t target_turn(const struct batch *batch, int64_t target)
{
    const int32_t row = batch->target_rows[target];
    int64_t b = 0;
    while (batch->starts[b + 1] <= row) {
        b++;
    }
    int64_t turn = 1;
    for (int64_t k = 0; k < batch->target_count; k++) {
        const int32_t other = batch->target_rows[k];
        turn += other >= batch->starts[b] && other < batch->starts[b + 1] &&
                batch->orders[other] < batch->orders[row];
    }
    return turn;
}

/* A predicted token of a permutation: what stands in the text, and when its turn is. */
static enum status put_turn(const struct sample *sample, int64_t target, struct error *error)
{
    paint(sample, PAINT_MASKED);
    TRY(put_ids(sample, &sample->batch->target_ids[target], 1, "[", error));
    (void)printf("|%lld]", (long long)target_turn(sample->batch, target));
    paint(sample, PAINT_NONE);
    return STATUS_OK;
}

/* A predicted token: what stands in the text, and how the model sees it. */
static enum status put_target(const struct sample *sample, int64_t target, struct error *error)
{
    const struct batch *const batch = sample->batch;
    const int32_t seen = batch->ids[batch->target_rows[target]];
    const int32_t there = batch->target_ids[target];
    const bool masked = seen == sample->specials.mask;
    const bool kept = seen == there;
    paint(sample, masked ? PAINT_MASKED : kept ? PAINT_KEPT : PAINT_REPLACED);
    TRY(put_ids(sample, &there, 1, "[", error));
    if (!masked && !kept) {
        TRY(put_ids(sample, &seen, 1, "\xe2\x86\x92", error)); /* an arrow */
    }
    (void)fputs(kept ? "=]" : "]", stdout);
    paint(sample, PAINT_NONE);
    return STATUS_OK;
}

/* Tokens [begin, end) without a target in them; special ones apart. */
static enum status put_context(const struct sample *sample, int64_t begin, int64_t end,
                               struct error *error)
{
    const struct batch *const batch = sample->batch;
    while (begin < end) {
        const bool special = tokenizer_is_special(sample->tokenizer, batch->ids[begin]);
        int64_t stop = begin + 1;
        while (stop < end && !special &&
               !tokenizer_is_special(sample->tokenizer, batch->ids[stop]) &&
               batch->segments[stop] == batch->segments[begin]) {
            stop++;
        }
        paint(sample, special                      ? PAINT_SPECIAL
                      : batch->segments[begin] > 0 ? PAINT_SECOND
                                                   : PAINT_NONE);
        TRY(put_ids(sample, batch->ids + begin, stop - begin, "", error));
        paint(sample, PAINT_NONE);
        begin = stop;
    }
    return STATUS_OK;
}

static const char *label_words(enum data_pairs kind, int32_t label)
{
    if (kind == DATA_PAIRS_NEXT_SENTENCE) {
        return label == 0 ? ", label 0: B follows A" : ", label 1: B is from another document";
    }
    if (kind == DATA_PAIRS_SENTENCE_ORDER) {
        return label == 0 ? ", label 0: in order" : ", label 1: exchanged";
    }
    return "";
}

/* Sequence `number` of the batch; *target is the first target that may lie in it, then the next
 * sequence's. */
static enum status put_sequence(const struct sample *sample, const struct data_options *options,
                                int64_t number, int64_t *target, struct error *error)
{
    const struct batch *const batch = sample->batch;
    const bool causal = options->objective == DATA_OBJECTIVE_CAUSAL;
    const int64_t end = batch->starts[number + 1];
    int64_t place = batch->starts[number];
    int64_t behind = *target;
    while (behind < batch->target_count && batch->target_rows[behind] < end) {
        behind++;
    }
    (void)printf("%lld tokens, %lld predicted%s\n", (long long)(end - place),
                 (long long)(behind - *target),
                 label_words(options->pairs, batch->sequence_labels[number]));
    for (; !causal && *target < behind; ++*target) {
        TRY(put_context(sample, place, batch->target_rows[*target], error));
        TRY(batch->permuted ? put_turn(sample, *target, error)
                            : put_target(sample, *target, error));
        place = batch->target_rows[*target] + 1;
    }
    *target = behind;
    TRY(put_context(sample, place, end, error));
    (void)fputs("\n\n", stdout);
    return STATUS_OK;
}

static json_t *integers(const int32_t *values, int64_t count)
{
    json_t *const list = json_array();
    for (int64_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_integer(values[i]));
    }
    return list;
}

static void print_batch_json(const struct batch *batch)
{
    json_t *const object = json_object();
    (void)json_object_set_new(object, "starts", integers(batch->starts, batch->sequence_count + 1));
    (void)json_object_set_new(object, "labels",
                              integers(batch->sequence_labels, batch->sequence_count));
    (void)json_object_set_new(object, "ids", integers(batch->ids, batch->token_count));
    (void)json_object_set_new(object, "segments", integers(batch->segments, batch->token_count));
    (void)json_object_set_new(object, "target_rows",
                              integers(batch->target_rows, batch->target_count));
    (void)json_object_set_new(object, "target_ids",
                              integers(batch->target_ids, batch->target_count));
    print_json(object);
    json_decref(object);
}

static enum status put_rows(const struct data_source *source, struct sample *sample,
                            const struct data_options *options, int64_t rows, bool as_json,
                            struct error *error)
{
    const struct batch_limits limits = data_source_limits(source);
    struct batch batch;
    batch_init(&batch, &limits);
    sample->batch = &batch;
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < rows && status == STATUS_OK; i++) {
        status = data_source_fill(source, i + 1, 0, &batch, error);
        if (status == STATUS_OK && as_json) {
            print_batch_json(&batch);
            continue;
        }
        int64_t target = 0;
        for (int64_t j = 0; status == STATUS_OK && j < batch.sequence_count; j++) {
            status = put_sequence(sample, options, j, &target, error);
        }
    }
    batch_deinit(&batch);
    if (status == STATUS_OK && !as_json && options->objective == DATA_OBJECTIVE_PERMUTATION) {
        (void)puts("[word|n] predicted as the n-th, from the rest and those before it");
    } else if (status == STATUS_OK && !as_json && options->objective != DATA_OBJECTIVE_CAUSAL) {
        (void)puts("[word] masked, [word\xe2\x86\x92other] replaced, [word=] kept; "
                   "all of them predicted");
    }
    return status;
}

static enum status sample_options(const struct command_line *line, struct data_options *options,
                                  int64_t *rows, int64_t *seed, struct error *error)
{
    int objective;
    int kind;
    int packing;
    TRY(choice(line, "objective", objectives, ARRAY_LENGTH(objectives), &objective, error));
    TRY(choice(line, "pairs", pairs, ARRAY_LENGTH(pairs), &kind, error));
    TRY(choice(line, "packing", packings, ARRAY_LENGTH(packings), &packing, error));
    *options = (struct data_options){
        .objective = (enum data_objective)objective,
        .packing = (enum data_packing)packing,
        .pairs = (enum data_pairs)kind,
        .pair_copies = 1,
        .mask_fraction = 0.15,
        .mask_share = 0.8,
        .random_share = 0.1,
        .mask_copies = 10,
        .held_out = 0.02,
    };
    if (snprintf(options->corpus, PATH_BYTES, "%s", line->arguments[0]) >= PATH_BYTES) {
        FAIL(error, STATUS_INPUT, "the path of the corpus is too long: \"%.64s…\"",
             line->arguments[0]);
    }
    TRY(command_line_integer(line, "tokens", 8, 65536, 128, &options->sequence_tokens, error));
    TRY(command_line_integer(line, "rows", 1, ROWS_MAX, 4, rows, error));
    return command_line_integer(line, "seed", 0, INT64_MAX, 1, seed, error);
}

static enum status sample_run(const struct command_line *line, struct error *error)
{
    struct data_options options;
    int64_t rows;
    int64_t seed;
    TRY(sample_options(line, &options, &rows, &seed, error));
    const struct step_options step = {.tokens = options.sequence_tokens,
                                      .slot_tokens = options.sequence_tokens};
    struct data_source *source;
    TRY(data_source_open(&source, &options, &step, (uint64_t)seed, 0, error));
    struct tokenizer *tokenizer = NULL;
    const char *const folder = data_source_tokenizer(source);
    enum status status = folder == NULL
                             ? error_set(error, STATUS_INPUT, "synthetic data is no text to show")
                             : tokenizer_open(&tokenizer, folder, error);
    if (status == STATUS_OK) {
        struct sample sample = {
            .tokenizer = tokenizer,
            .specials = tokenizer_specials(tokenizer),
            .colours = isatty(STDOUT_FILENO) == 1,
        };
        status = put_rows(source, &sample, &options, rows, command_line_has(line, "json"), error);
    }
    tokenizer_close(tokenizer);
    data_source_close(source);
    return status;
}

static const struct command_option sample_table[] = {
    {.name = "objective",
     .argument = "NAME",
     .help =
         "dynamic_mask (unless told), static_mask, whole_word_mask, ngram_mask, span_mask, causal "
         "or permutation"},
    {.name = "pairs",
     .argument = "NAME",
     .help = "none (unless told), next_sentence or sentence_order"},
    {.name = "packing",
     .argument = "NAME",
     .help = "full (unless told), document, full_sentences or document_sentences"},
    {.name = "tokens", .argument = "N", .help = "length of a full sequence, 128 unless told"},
    {.name = "rows", .argument = "N", .help = "rows to show, 4 unless told"},
    {.name = "seed", .argument = "N", .help = "of order and masks, 1 unless told"},
    {.name = "json", .help = "print one JSON object a row"},
};

const struct command command_corpus_sample = {
    .name = "corpus sample",
    .arguments = "DIR",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "show what a model will be asked to predict",
    .detail =
        "Shows rows as training would read them, with what is predicted in brackets: "
        "[word] is hidden behind the mask token, [word\xe2\x86\x92other] is replaced, [word=] "
        "is kept; of a permutation, [word|3] is predicted as the third. In colour on a terminal.",
    .options = sample_table,
    .option_count = ARRAY_LENGTH(sample_table),
    .run = sample_run,
};
