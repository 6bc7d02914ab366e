/* corpus build|show: text files to a folder of corpus shards, and what such a folder holds. */
#include <stdio.h>
#include <string.h>

#include "data_pipeline/corpus_build.h"
#include "data_pipeline/corpus_folder.h"
#include "launch/commands.h"
#include "launch/print.h"
#include "launch/progress.h"

static const double bytes_per_mb = 1e6;

static bool build_watch(void *context, const struct corpus_build_progress *state)
{
    struct progress *const progress = context;
    char note[96];
    (void)snprintf(note, sizeof note, "%lld documents, %.1f million tokens",
                   (long long)state->documents, (double)state->tokens * 1e-6);
    progress->total = (double)state->bytes_total / bytes_per_mb;
    progress_update(progress, (double)state->bytes_done / bytes_per_mb, note);
    return true;
}

static enum status utf8_choice(const struct command_line *line, enum corpus_utf8 *choice,
                               struct error *error)
{
    static const char *const names[] = {"refuse", "replace", "skip"}; /* as enum corpus_utf8 */
    const char *const given = command_line_text(line, "invalid-utf8");
    *choice = CORPUS_UTF8_REFUSE;
    for (int i = 0; given != NULL && i < (int)ARRAY_LENGTH(names); i++) {
        if (strcmp(given, names[i]) == 0) {
            *choice = (enum corpus_utf8)i;
            return STATUS_OK;
        }
    }
    if (given != NULL) {
        FAIL(error, STATUS_INPUT,
             "corpus build: option \"--invalid-utf8 %.64s\": expected refuse, replace or skip",
             given);
    }
    return STATUS_OK;
}

static void build_print(const struct corpus_build_result *result, const char *out, bool as_json)
{
    const struct {
        const char *key;
        const char *words;
        int64_t value;
    } facts[] = {
        {"files", "files", result->files},
        {"files_passed_over", "files of other kinds, passed over", result->files_passed_over},
        {"shards", "corpus shards", result->shards},
        {"documents", "documents", result->documents},
        {"tokens", "tokens", result->tokens},
        {"text_bytes", "bytes of text", result->text_bytes},
        {"documents_skipped", "documents skipped for invalid UTF-8", result->documents_skipped},
        {"lines_repaired", "lines with invalid UTF-8 replaced", result->lines_repaired},
    };
    json_t *const object = json_object();
    (void)json_object_set_new(object, "corpus", json_string(out));
    if (!as_json) {
        (void)printf("wrote %s\n", out);
    }
    for (int64_t i = 0; i < ARRAY_LENGTH(facts); i++) {
        (void)json_object_set_new(object, facts[i].key, json_integer(facts[i].value));
        if (!as_json) {
            (void)printf("%15lld %s\n", (long long)facts[i].value, facts[i].words);
        }
    }
    if (as_json) {
        print_json(object);
    }
    json_decref(object);
}

static enum status build_run(const struct command_line *line, struct error *error)
{
    struct progress progress;
    const char *const out = command_line_text(line, "out");
    struct corpus_build_options options = {
        .sources = line->arguments,
        .source_count = line->argument_count,
        .tokenizer = command_line_text(line, "tokenizer"),
        .out = out,
        .replace = command_line_has(line, "replace"),
        .text = {.json_key = command_line_text(line, "json-key")},
        .watch = build_watch,
        .watch_context = &progress,
    };
    TRY(utf8_choice(line, &options.text.invalid_utf8, error));
    TRY(command_line_integer(line, "shard-tokens", 1, CORPUS_SHARD_TOKENS_MAX, 0,
                             &options.shard_tokens, error));
    TRY(command_line_integer(line, "threads", 1, CORPUS_BUILD_THREADS_MAX, 0, &options.threads,
                             error));
    progress_start(&progress, "build corpus", "MB", 0, 0);
    struct corpus_build_result result;
    TRY(corpus_build(&options, &result, error));
    progress_end(&progress, progress.total, NULL);
    build_print(&result, out, command_line_has(line, "json"));
    return STATUS_OK;
}

static void show_print(const struct corpus *corpus, double held_out, bool as_json)
{
    struct corpus_summary summary;
    char fingerprint[DIGEST_TEXT_BYTES];
    char tokenizer[DIGEST_TEXT_BYTES];
    corpus_summarise(corpus, held_out, &summary);
    digest_text(corpus->fingerprint, fingerprint);
    digest_text(corpus->facts.tokenizer, tokenizer);
    if (as_json) {
        json_t *const object = json_object();
        (void)json_object_set_new(object, "corpus", json_string(corpus->folder));
        (void)json_object_set_new(object, "fingerprint", json_string(fingerprint));
        (void)json_object_set_new(object, "tokenizer_fingerprint", json_string(tokenizer));
        (void)json_object_set_new(object, "vocabulary", json_integer(corpus->facts.vocabulary));
        (void)json_object_set_new(object, "shards", json_integer(summary.shards));
        (void)json_object_set_new(object, "documents", json_integer(summary.documents));
        (void)json_object_set_new(object, "tokens", json_integer(summary.tokens));
        (void)json_object_set_new(object, "held_out", json_real(held_out));
        (void)json_object_set_new(object, "held_out_documents",
                                  json_integer(summary.held_out_documents));
        (void)json_object_set_new(object, "held_out_tokens", json_integer(summary.held_out_tokens));
        (void)json_object_set_new(object, "repeated_documents",
                                  json_integer(summary.repeated_documents));
        print_json(object);
        json_decref(object);
        return;
    }
    (void)printf("corpus        %s\n", corpus->folder);
    (void)printf("fingerprint   %s\n", fingerprint);
    (void)printf("tokenizer     %s, %lld ids\n", tokenizer, (long long)corpus->facts.vocabulary);
    (void)printf("shards        %lld\n", (long long)summary.shards);
    (void)printf("documents     %lld, of them %lld repeated\n", (long long)summary.documents,
                 (long long)summary.repeated_documents);
    (void)printf("tokens        %lld\n", (long long)summary.tokens);
    (void)printf("held out      %lld documents with %lld tokens (data.held_out %g)\n",
                 (long long)summary.held_out_documents, (long long)summary.held_out_tokens,
                 held_out);
}

static enum status show_run(const struct command_line *line, struct error *error)
{
    double held_out;
    TRY(command_line_real(line, "held-out", 0, 1, 0.02, &held_out, error));
    struct corpus *corpus;
    TRY(corpus_open(&corpus, line->arguments[0], false, error));
    show_print(corpus, held_out, command_line_has(line, "json"));
    corpus_close(corpus);
    return STATUS_OK;
}

static const struct command_option build_options[] = {
    {.name = "tokenizer",
     .argument = "DIR",
     .help = "folder, or a tokenizer.json",
     .required = true},
    {.name = "out", .argument = "DIR", .help = "folder to make", .required = true},
    {.name = "replace", .help = "put the new corpus in the place of an older one"},
    {.name = "json-key",
     .argument = "KEY",
     .help = "where the text of a .jsonl line stands, \"text\" unless told"},
    {.name = "invalid-utf8",
     .argument = "CHOICE",
     .help = "refuse (unless told), replace with U+FFFD, or skip the document"},
    {.name = "shard-tokens",
     .argument = "N",
     .help = "tokens of a corpus shard, about 33.5 million unless told"},
    {.name = "threads",
     .argument = "N",
     .help = "one for each core unless told; never changes the result"},
    {.name = "json", .help = "print one JSON object"},
};

const struct command command_corpus_build = {
    .name = "corpus build",
    .arguments = "FILE|FOLDER…",
    .argument_min = 1,
    .argument_max = CORPUS_SOURCES_MAX,
    .summary = "make a corpus of token ids from text files",
    .detail =
        "Reads .txt (one paragraph a line, a blank line between documents) and .jsonl (one "
        "document a "
        "line), plain, .gz or .zst, in bounded memory. The corpus keeps a copy of the tokenizer.",
    .options = build_options,
    .option_count = ARRAY_LENGTH(build_options),
    .run = build_run,
};

static const struct command_option show_options[] = {
    {.name = "held-out",
     .argument = "SHARE",
     .help = "share of documents held out, 0.02 unless told"},
    {.name = "json", .help = "print one JSON object"},
};

const struct command command_corpus_show = {
    .name = "corpus show",
    .arguments = "DIR",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "check a corpus and show what it holds",
    .options = show_options,
    .option_count = ARRAY_LENGTH(show_options),
    .run = show_run,
};
