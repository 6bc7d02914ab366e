/* See corpus_build.h. */
#include "data_pipeline/corpus_build.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "data_pipeline/corpus_folder.h"
#include "data_pipeline/corpus_queue.h"
#include "data_pipeline/corpus_shelf.h"
#include "data_pipeline/corpus_sources.h"
#include "data_pipeline/tokenizer.h"

struct build {
    const struct corpus_build_options *options;
    struct tokenizer *tokenizer;
    struct corpus_lines lines;
    struct corpus_sources sources;
    struct corpus_queue queue;
    struct corpus_shelf shelf;
    struct corpus_build_progress progress;
    int64_t text_bytes;
    int64_t worker_count;
    pthread_t workers[CORPUS_BUILD_THREADS_MAX];
    pthread_t reader;
    enum status reader_status; /* read after the reader's end */
    struct error reader_error;
    char out[PATH_BYTES]; /* without slashes at the end */
    char partial[PATH_BYTES];
    char replaced[PATH_BYTES];
};

static void chunk_add(struct corpus_chunk *chunk, const struct corpus_document *document)
{
    const size_t end = chunk->text_size + document->size_bytes;
    memory_reserve((void **)&chunk->text, &chunk->text_capacity, end, 1, "corpus chunk");
    memory_reserve((void **)&chunk->text_ends, &chunk->text_ends_capacity,
                   (size_t)chunk->document_count + 1, sizeof *chunk->text_ends, "corpus chunk");
    memcpy(chunk->text + chunk->text_size, document->text, document->size_bytes);
    chunk->text_size = end;
    chunk->text_ends[chunk->document_count++] = end;
}

/* Sends the documents of one file into the queue; ends early, without error, when the queue is
 * stopped. */
static enum status build_read_documents(struct build *build, struct corpus_text *reader,
                                        int64_t source, int64_t bytes_before, struct error *error)
{
    bool found = true;
    while (found) {
        struct corpus_chunk *const chunk = corpus_queue_begin_fill(&build->queue);
        if (chunk == NULL) {
            return STATUS_OK;
        }
        while (found && chunk->text_size < CORPUS_CHUNK_BYTES &&
               chunk->document_count < CORPUS_CHUNK_DOCUMENTS) {
            struct corpus_document document;
            TRY(corpus_text_next(reader, &document, &found, error));
            if (found) {
                chunk_add(chunk, &document);
            }
        }
        chunk->source = source;
        chunk->position_bytes = bytes_before + corpus_text_position(reader);
        corpus_queue_end_fill(&build->queue, chunk);
    }
    return STATUS_OK;
}

static enum status build_read_file(struct build *build, int64_t source, int64_t bytes_before,
                                   struct error *error)
{
    struct corpus_source *const file = &build->sources.files[source];
    struct corpus_text *reader;
    TRY(corpus_text_open(&reader, file->path, &build->options->text, error));
    const enum status status = build_read_documents(build, reader, source, bytes_before, error);
    file->counts = corpus_text_counts(reader);
    corpus_text_close(reader);
    if (file->counts.invalid_offset >= 0 && status == STATUS_OK) {
        log_line(LOG_LEVEL_WARN,
                 "invalid UTF-8 file=\"%s\" first_offset_bytes=%lld documents_skipped=%lld "
                 "lines_repaired=%lld",
                 file->path, (long long)file->counts.invalid_offset,
                 (long long)file->counts.documents_skipped, (long long)file->counts.lines_repaired);
    }
    return status;
}

static void *build_reader(void *context)
{
    struct build *const build = context;
    int64_t bytes_before = 0;
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < build->sources.count && status == STATUS_OK; i++) {
        status = build_read_file(build, i, bytes_before, &build->reader_error);
        bytes_before += build->sources.files[i].size_bytes;
    }
    build->reader_status = status;
    if (status == STATUS_OK) {
        corpus_queue_finish(&build->queue);
    } else {
        corpus_queue_stop(&build->queue);
    }
    return NULL;
}

static void chunk_encode(struct corpus_chunk *chunk, const struct corpus_lines *lines,
                         struct tokenizer_work *work)
{
    const size_t count = (size_t)chunk->document_count;
    memory_reserve((void **)&chunk->token_ends, &chunk->token_ends_capacity, count,
                   sizeof *chunk->token_ends, "corpus chunk");
    memory_reserve((void **)&chunk->line_ends, &chunk->line_ends_capacity, count,
                   sizeof *chunk->line_ends, "corpus chunk");
    memory_reserve((void **)&chunk->hashes, &chunk->hashes_capacity, count, sizeof *chunk->hashes,
                   "corpus chunk");
    size_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t size_bytes = chunk->text_ends[i] - begin;
        corpus_lines_encode(lines, work, chunk->text + begin, size_bytes, &chunk->tokens,
                            &chunk->lines);
        chunk->token_ends[i] = chunk->tokens.count;
        chunk->line_ends[i] = chunk->lines.count;
        chunk->hashes[i] = hash_bytes(chunk->text + begin, size_bytes, 0);
        begin += size_bytes;
    }
}

static void *build_worker(void *context)
{
    struct build *const build = context;
    struct tokenizer_work *work = tokenizer_work_open();
    struct corpus_chunk *chunk;
    while ((chunk = corpus_queue_take(&build->queue)) != NULL) {
        const bool long_text = chunk->text_size > CORPUS_CHUNK_KEPT_BYTES;
        chunk_encode(chunk, &build->lines, work);
        corpus_queue_put_encoded(&build->queue, chunk);
        if (long_text) { /* its scratch has grown with it */
            tokenizer_work_close(work);
            work = tokenizer_work_open();
        }
    }
    tokenizer_work_close(work);
    return NULL;
}

static enum status build_merge_chunk(struct build *build, const struct corpus_chunk *chunk,
                                     struct error *error)
{
    struct corpus_source *const source = &build->sources.files[chunk->source];
    size_t begin = 0;
    size_t line_begin = 0;
    for (int64_t i = 0; i < chunk->document_count; i++) {
        const struct corpus_shelf_document document = {
            .ids = chunk->tokens.ids + begin,
            .count = (int64_t)(chunk->token_ends[i] - begin),
            .lines = chunk->lines.first_tokens + line_begin,
            .line_count = (int64_t)(chunk->line_ends[i] - line_begin),
            .first_token = (int64_t)begin,
            .hash = chunk->hashes[i],
        };
        if (document.count > 0) {
            TRY(corpus_shelf_add(&build->shelf, &document, error));
            source->documents++;
            source->tokens += document.count;
            build->progress.documents++;
            build->progress.tokens += document.count;
        }
        begin = chunk->token_ends[i];
        line_begin = chunk->line_ends[i];
    }
    build->text_bytes += (int64_t)chunk->text_size;
    build->progress.bytes_done = chunk->position_bytes;
    const struct corpus_build_options *const options = build->options;
    if (options->watch != NULL && !options->watch(options->watch_context, &build->progress)) {
        FAIL(error, STATUS_INTERRUPTED, "corpus build was asked to stop; nothing was kept");
    }
    return STATUS_OK;
}

static enum status build_start_threads(struct build *build, int64_t *started, bool *reader_started,
                                       struct error *error)
{
    for (*started = 0; *started < build->worker_count; (*started)++) {
        if (pthread_create(&build->workers[*started], NULL, build_worker, build) != 0) {
            break;
        }
    }
    *reader_started =
        *started > 0 && pthread_create(&build->reader, NULL, build_reader, build) == 0;
    if (!*reader_started) {
        FAIL(error, STATUS_IO, "could not start the threads of a corpus build");
    }
    return STATUS_OK;
}

static enum status build_save_tokenizer(struct build *build, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, build->partial, "tokenizer", error));
    return tokenizer_save(build->tokenizer, path, error);
}

/* Runs reader, workers and merger until all text is in shards. */
static enum status build_stream(struct build *build, struct error *error)
{
    corpus_queue_init(&build->queue);
    int64_t started;
    bool reader_started;
    enum status status = build_start_threads(build, &started, &reader_started, error);
    if (status == STATUS_OK) { /* while the first chunks are encoded */
        status = build_save_tokenizer(build, error);
    }
    struct corpus_chunk *chunk;
    while (status == STATUS_OK && (chunk = corpus_queue_begin_merge(&build->queue)) != NULL) {
        status = build_merge_chunk(build, chunk, error);
        corpus_queue_end_merge(&build->queue, chunk);
    }
    if (status != STATUS_OK) {
        corpus_queue_stop(&build->queue);
    }
    for (int64_t i = 0; i < started; i++) {
        (void)pthread_join(build->workers[i], NULL);
    }
    if (reader_started) {
        (void)pthread_join(build->reader, NULL);
    }
    corpus_queue_deinit(&build->queue);
    TRY(status);
    if (build->reader_status != STATUS_OK) {
        FAIL(error, build->reader_status, "%s", build->reader_error.message);
    }
    return corpus_shelf_finish(&build->shelf, error);
}

static json_t *build_options_json(const struct corpus_build_options *options, int64_t shard_tokens)
{
    static const char *const invalid[] = {"refuse", "replace", "skip"};
    json_t *const object = json_object();
    json_object_set_new(object, "shard_tokens", json_integer(shard_tokens));
    json_object_set_new(object, "invalid_utf8", json_string(invalid[options->text.invalid_utf8]));
    json_object_set_new(
        object, "json_key",
        json_string(options->text.json_key == NULL ? "text" : options->text.json_key));
    return object;
}

/* Everything below build->partial: shards, tokenizer, and the manifest last. */
static enum status build_folder(struct build *build, int64_t shard_tokens, struct error *error)
{
    TRY(folder_remove(build->partial, error)); /* what a killed build left behind */
    TRY(folder_make(build->partial, error));
    TRY(build_stream(build, error));
    if (build->progress.documents == 0) {
        FAIL(error, STATUS_INPUT, "could not build corpus \"%s\": the sources hold no document",
             build->out);
    }
    json_t *const sources = corpus_sources_json(&build->sources);
    json_t *const options = build_options_json(build->options, shard_tokens);
    const enum status status =
        corpus_manifest_write(build->partial, &build->shelf.facts, build->shelf.entries,
                              build->shelf.entry_count, sources, options, error);
    json_decref(options);
    json_decref(sources);
    TRY(status);
    return folder_flush(build->partial, error);
}

/* Puts the whole folder in its place; an older corpus goes last, and comes back if that fails. */
static enum status build_publish(struct build *build, struct error *error)
{
    const bool older = folder_exists(build->out);
    if (older) {
        TRY(folder_remove(build->replaced, error));
        TRY(file_rename(build->out, build->replaced, error));
    }
    const enum status status = file_rename(build->partial, build->out, error);
    if (status != STATUS_OK) {
        if (older && file_rename(build->replaced, build->out, NULL) != STATUS_OK) {
            return error_context(error, status, "the older corpus is now \"%s\"", build->replaced);
        }
        return status;
    }
    char folder[PATH_BYTES];
    path_folder(build->out, folder);
    TRY(folder_flush(folder, error));
    return older ? folder_remove(build->replaced, error) : STATUS_OK;
}

static enum status build_check_paths(struct build *build, struct error *error)
{
    const struct corpus_build_options *const options = build->options;
    size_t length = strlen(options->out);
    while (length > 1 && options->out[length - 1] == '/') {
        length--;
    }
    if (length == 0 || length > PATH_BYTES - 16) {
        FAIL(error, STATUS_INPUT, "the path of the corpus folder is empty or too long: \"%.64s\"",
             options->out);
    }
    const int n = (int)length;
    (void)snprintf(build->out, PATH_BYTES, "%.*s", n, options->out);
    (void)snprintf(build->partial, PATH_BYTES, "%.*s.partial", n, options->out);
    (void)snprintf(build->replaced, PATH_BYTES, "%.*s.replaced", n, options->out);
    if (!folder_exists(build->out) && !file_exists(build->out)) {
        return STATUS_OK;
    }
    if (!options->replace) {
        FAIL(error, STATUS_INPUT,
             "could not build corpus \"%s\": it exists already (replace it by option)", build->out);
    }
    char manifest[PATH_BYTES];
    TRY(path_join(manifest, build->out, "corpus.json", error));
    if (!file_exists(manifest)) {
        FAIL(error, STATUS_INPUT, "could not replace \"%s\": it is no corpus folder", build->out);
    }
    return STATUS_OK;
}

static enum status build_check_options(struct build *build, int64_t *shard_tokens,
                                       struct error *error)
{
    const struct corpus_build_options *const options = build->options;
    *shard_tokens =
        options->shard_tokens == 0 ? CORPUS_SHARD_TOKENS_DEFAULT : options->shard_tokens;
    if (*shard_tokens < 1 || *shard_tokens > CORPUS_SHARD_TOKENS_MAX) {
        FAIL(error, STATUS_INPUT, "shard size of %lld tokens, expected 1 to %d",
             (long long)*shard_tokens, CORPUS_SHARD_TOKENS_MAX);
    }
    const int64_t threads =
        options->threads == 0 ? sysconf(_SC_NPROCESSORS_ONLN) : options->threads;
    if (options->threads < 0 || options->threads > CORPUS_BUILD_THREADS_MAX) {
        FAIL(error, STATUS_INPUT, "%lld threads, expected 0 (one for each core) to %d",
             (long long)options->threads, CORPUS_BUILD_THREADS_MAX);
    }
    build->worker_count = threads < 1                          ? 1
                          : threads > CORPUS_BUILD_THREADS_MAX ? CORPUS_BUILD_THREADS_MAX
                                                               : threads;
    return build_check_paths(build, error);
}

static enum status build_run(struct build *build, struct error *error)
{
    int64_t shard_tokens;
    TRY(build_check_options(build, &shard_tokens, error));
    TRY(corpus_sources_list(&build->sources, build->options->sources, build->options->source_count,
                            error));
    build->progress.bytes_total = build->sources.size_bytes;
    TRY(tokenizer_open(&build->tokenizer, build->options->tokenizer, error));
    corpus_lines_init(&build->lines, build->tokenizer);
    const struct corpus_facts facts = {
        .vocabulary = tokenizer_vocabulary(build->tokenizer),
        .tokenizer = tokenizer_fingerprint(build->tokenizer),
        .specials = tokenizer_specials(build->tokenizer),
    };
    corpus_shelf_init(&build->shelf, build->partial, &facts, shard_tokens);
    enum status status = build_folder(build, shard_tokens, error);
    if (status == STATUS_OK) {
        status = build_publish(build, error);
    }
    if (status != STATUS_OK && folder_remove(build->partial, NULL) != STATUS_OK) {
        return error_context(error, status, "\"%s\" could not be removed after", build->partial);
    }
    return status;
}

enum status corpus_build(const struct corpus_build_options *options,
                         struct corpus_build_result *result, struct error *error)
{
    struct build *const build = memory_take(1, sizeof *build, "corpus build");
    build->options = options;
    const enum status status = build_run(build, error);
    if (status == STATUS_OK) {
        *result = (struct corpus_build_result){
            .files = build->sources.count,
            .files_passed_over = build->sources.passed_over,
            .shards = build->shelf.entry_count,
            .documents = build->progress.documents,
            .tokens = build->progress.tokens,
            .text_bytes = build->text_bytes,
        };
        for (int64_t i = 0; i < build->sources.count; i++) {
            result->documents_skipped += build->sources.files[i].counts.documents_skipped;
            result->lines_repaired += build->sources.files[i].counts.lines_repaired;
        }
    }
    corpus_shelf_deinit(&build->shelf);
    corpus_lines_deinit(&build->lines);
    tokenizer_close(build->tokenizer);
    corpus_sources_deinit(&build->sources);
    memory_release(build);
    return status;
}
