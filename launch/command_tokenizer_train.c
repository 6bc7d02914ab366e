/* tokenizer train: a byte-level BPE from text files, with the merges that Hugging Face's trainer
 * makes of them, a WordPiece vocabulary of BERT's kind, or a unigram model as SentencePiece makes
 * it. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "data_pipeline/corpus_text.h"
#include "data_pipeline/tokenizer_train.h"
#include "launch/commands.h"
#include "launch/line_input.h"
#include "launch/print.h"
#include "launch/progress.h"

enum {
    FILES_MAX = 1 << 20,
    BYTEBPE_VOCABULARY_MIN = 256 + 5,
    WORDPIECE_VOCABULARY_MIN = 6,
    UNIGRAM_VOCABULARY_MIN = 6,
    VOCABULARY_MAX = 1 << 24
};

static const double bytes_per_mb = 1e6;
static const char *const roberta_specials[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
static const char *const bert_specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

static const char *const albert_specials[] = {"<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"};

struct training {
    struct tokenizer_trainer *trainer;
    struct progress progress;
    double done_mb; /* of the files before the current one */
    int64_t text_bytes;
};

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* A plain text goes in line by line, each with its end, as the reference takes it. */
static enum status add_plain(struct training *training, const char *path, struct error *error)
{
    struct line_input input;
    TRY(line_input_open(&input, path, error));
    input.keep_ends = true;
    int64_t read_bytes = 0;
    enum status status;
    for (;;) {
        const char *line;
        size_t size_bytes;
        status = line_input_next(&input, true, &line, &size_bytes, error);
        if (status != STATUS_OK || line == NULL) {
            break;
        }
        status = tokenizer_trainer_add(training->trainer, line, size_bytes, error);
        if (status != STATUS_OK) {
            break;
        }
        read_bytes += (int64_t)size_bytes;
        progress_update(&training->progress, training->done_mb + (double)read_bytes / bytes_per_mb,
                        NULL);
    }
    line_input_close(&input);
    training->text_bytes += read_bytes;
    return status;
}

/* A document line by line, each with its end; the last line has none. */
static enum status add_document(struct training *training, const struct corpus_document *document,
                                struct error *error)
{
    const char *at = document->text;
    const char *const end = at + document->size_bytes;
    while (at < end) {
        const char *const line_end = memchr(at, '\n', (size_t)(end - at));
        const char *const next = line_end == NULL ? end : line_end + 1;
        TRY(tokenizer_trainer_add(training->trainer, at, (size_t)(next - at), error));
        at = next;
    }
    training->text_bytes += (int64_t)document->size_bytes;
    return STATUS_OK;
}

static enum status add_documents(struct training *training, const char *path, const char *json_key,
                                 struct error *error)
{
    const struct corpus_text_options options = {.json_key = json_key};
    struct corpus_text *reader;
    TRY(corpus_text_open(&reader, path, &options, error));
    enum status status;
    for (;;) {
        struct corpus_document document;
        bool found;
        status = corpus_text_next(reader, &document, &found, error);
        if (status != STATUS_OK || !found) {
            break;
        }
        status = add_document(training, &document, error);
        if (status != STATUS_OK) {
            break;
        }
        progress_update(&training->progress,
                        training->done_mb + (double)corpus_text_position(reader) / bytes_per_mb,
                        NULL);
    }
    corpus_text_close(reader);
    return status;
}

static enum status add_files(struct training *training, const struct command_line *line,
                             struct error *error)
{
    double total_mb = 0;
    for (int64_t i = 0; i < line->argument_count; i++) {
        int64_t size_bytes;
        TRY(file_size(line->arguments[i], &size_bytes, error));
        total_mb += (double)size_bytes / bytes_per_mb;
    }
    progress_start(&training->progress, "count words", "MB", 0, total_mb);
    for (int64_t i = 0; i < line->argument_count; i++) {
        const char *const path = line->arguments[i];
        const bool documents =
            ends_with(path, ".jsonl") || ends_with(path, ".gz") || ends_with(path, ".zst");
        TRY(documents ? add_documents(training, path, command_line_text(line, "json-key"), error)
                      : add_plain(training, path, error));
        int64_t size_bytes;
        TRY(file_size(path, &size_bytes, error));
        training->done_mb += (double)size_bytes / bytes_per_mb;
    }
    if (training->text_bytes == 0) {
        FAIL(error, STATUS_INPUT, "could not train a tokenizer: \"%.400s\"%s no text",
             line->arguments[0],
             line->argument_count == 1 ? " holds" : " and the other files hold");
    }
    progress_end(&training->progress, training->done_mb, NULL);
    return STATUS_OK;
}

/* Gives the files of `partial` their place: all at once in a new or empty folder, else one by one.
 */
static enum status files_move(const char *partial, const char *out, struct error *error)
{
    struct folder_list list;
    TRY(folder_list_open(&list, out, error));
    const bool empty = list.count == 0;
    folder_list_close(&list);
    if (empty) {
        return file_rename(partial, out, error);
    }
    TRY(folder_list_open(&list, partial, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        char from[PATH_BYTES];
        char to[PATH_BYTES];
        status = path_join(from, partial, list.names[i], error);
        status = status == STATUS_OK ? path_join(to, out, list.names[i], error) : status;
        status = status == STATUS_OK ? file_rename(from, to, error) : status;
    }
    folder_list_close(&list);
    return status == STATUS_OK ? folder_remove(partial, error) : status;
}

/* Whole or not at all: everything is written beside its place first. */
static enum status files_write(const struct tokenizer *tokenizer, const char *out,
                               struct error *error)
{
    char partial[PATH_BYTES];
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') {
        length--;
    }
    const int written = snprintf(partial, sizeof partial, "%.*s.partial", (int)length, out);
    if (written < 0 || written >= PATH_BYTES) {
        FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.64s…\"", PATH_BYTES - 1, out);
    }
    TRY(folder_remove(partial, error)); /* what a killed one left */
    enum status status = tokenizer_save(tokenizer, partial, error);
    if (status == STATUS_OK) {
        status = files_move(partial, out, error);
    }
    if (status != STATUS_OK) {
        struct error ignored; /* the first error is the one to tell */
        (void)!folder_remove(partial, &ignored);
    }
    return status;
}

static enum status train_save(struct tokenizer *tokenizer, const struct training *training,
                              const struct command_line *line, struct error *error)
{
    const char *const out = command_line_text(line, "out");
    TRY(files_write(tokenizer, out, error));
    char fingerprint[DIGEST_TEXT_BYTES];
    digest_text(tokenizer_fingerprint(tokenizer), fingerprint);
    const int64_t vocabulary = tokenizer_vocabulary(tokenizer);
    if (command_line_has(line, "json")) {
        json_t *const object = json_object();
        (void)json_object_set_new(object, "tokenizer", json_string(out));
        (void)json_object_set_new(object, "vocabulary", json_integer(vocabulary));
        (void)json_object_set_new(object, "fingerprint", json_string(fingerprint));
        (void)json_object_set_new(object, "text_bytes", json_integer(training->text_bytes));
        print_json(object);
        json_decref(object);
    } else {
        (void)printf("wrote %s: %lld ids from %.1f MB of text, fingerprint %s\n", out,
                     (long long)vocabulary, (double)training->text_bytes / bytes_per_mb,
                     fingerprint);
    }
    return STATUS_OK;
}

/* --kind and --cased, and the special tokens that the kind has. */
static enum status read_kind(const struct command_line *line,
                             struct tokenizer_train_options *options, struct error *error)
{
    const char *const kind = command_line_text(line, "kind");
    options->cased = command_line_has(line, "cased");
    const bool wordpiece = kind != NULL && strcmp(kind, "wordpiece") == 0;
    if (options->cased && !wordpiece) {
        FAIL(error, STATUS_INPUT, "--cased is for --kind wordpiece: the others are cased");
    }
    if (kind == NULL || strcmp(kind, "bytebpe") == 0) {
        options->kind = TRAIN_KIND_BYTEBPE;
        options->specials = roberta_specials;
        options->special_count = ARRAY_LENGTH(roberta_specials);
        return STATUS_OK;
    }
    if (wordpiece) {
        options->kind = TRAIN_KIND_WORDPIECE;
        options->specials = bert_specials;
        options->special_count = ARRAY_LENGTH(bert_specials);
        return STATUS_OK;
    }
    if (strcmp(kind, "unigram") == 0) {
        if (command_line_has(line, "min-frequency")) {
            FAIL(error, STATUS_INPUT, "--min-frequency is not for --kind unigram: it has no pairs");
        }
        options->kind = TRAIN_KIND_UNIGRAM;
        options->specials = albert_specials;
        options->special_count = ARRAY_LENGTH(albert_specials);
        return STATUS_OK;
    }
    FAIL(error, STATUS_INPUT, "--kind \"%s\" is unknown: expected bytebpe, wordpiece or unigram",
         kind);
}

static enum status train_tokenizer(const struct command_line *line, struct error *error)
{
    struct training training = {0};
    struct tokenizer_train_options options = {0};
    TRY(read_kind(line, &options, error));
    static const int64_t vocabulary_min[] = {
        [TRAIN_KIND_BYTEBPE] = BYTEBPE_VOCABULARY_MIN,
        [TRAIN_KIND_WORDPIECE] = WORDPIECE_VOCABULARY_MIN,
        [TRAIN_KIND_UNIGRAM] = UNIGRAM_VOCABULARY_MIN,
    };
    TRY(command_line_integer(line, "vocabulary", vocabulary_min[options.kind], VOCABULARY_MAX, 0,
                             &options.vocabulary, error));
    TRY(command_line_integer(line, "min-frequency", 1, INT64_MAX, 2, &options.min_frequency,
                             error));
    TRY(tokenizer_trainer_open(&training.trainer, &options, error));
    enum status status = add_files(&training, line, error);
    if (status != STATUS_OK) {
        tokenizer_trainer_close(training.trainer);
        return status;
    }
    struct tokenizer *tokenizer;
    TRY(tokenizer_trainer_finish(training.trainer, &tokenizer, error));
    status = train_save(tokenizer, &training, line, error);
    tokenizer_close(tokenizer);
    return status;
}

/* The folder comes first, so that a bad one costs no training; a failure takes it away again. */
static enum status train_run(const struct command_line *line, struct error *error)
{
    const char *const out = command_line_text(line, "out");
    const bool existed = folder_exists(out);
    TRY(folder_make(out, error));
    const enum status status = train_tokenizer(line, error);
    if (status != STATUS_OK && !existed && folder_remove(out, NULL) != STATUS_OK) {
        return error_context(error, status, "\"%.400s\" could not be removed after", out);
    }
    return status;
}

static const struct command_option train_options[] = {
    {.name = "out", .argument = "DIR", .help = "folder to write", .required = true},
    {.name = "vocabulary",
     .argument = "N",
     .help = "token ids in all, special tokens and bytes or characters included",
     .required = true},
    {.name = "kind",
     .argument = "KIND",
     .help = "bytebpe (GPT-2, RoBERTa), wordpiece (BERT) or unigram (ALBERT), bytebpe unless told"},
    {.name = "cased", .help = "wordpiece keeps capitals and accents"},
    {.name = "min-frequency", .argument = "N", .help = "rarer pairs are not merged, 2 unless told"},
    {.name = "json-key",
     .argument = "KEY",
     .help = "where the text of a .jsonl line stands, \"text\" unless told"},
    {.name = "json", .help = "print one JSON object"},
};

const struct command command_tokenizer_train = {
    .name = "tokenizer train",
    .arguments = "FILE…",
    .argument_min = 1,
    .argument_max = FILES_MAX,
    .summary = "make a tokenizer from text files: byte-level BPE, WordPiece or unigram",
    .detail = "Reads plain text, or documents from .jsonl and from .gz and .zst files. Special "
              "tokens are <s>, <pad>, </s>, <unk> and <mask>, of WordPiece [PAD], [UNK], [CLS], "
              "[SEP] and [MASK], of unigram <pad>, <unk>, [CLS], [SEP] and [MASK]. Writes "
              "tokenizer.json, and vocab.json with merges.txt or vocab.txt, as Hugging Face reads "
              "them.",
    .options = train_options,
    .option_count = ARRAY_LENGTH(train_options),
    .run = train_run,
};
