/* What the corpus tests share: scratch files, golden files, a small text and a corpus made of it. */
#ifndef SHARDLM_TESTS_CORPUS_FIXTURE_H
#define SHARDLM_TESTS_CORPUS_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/corpus_build.h"
#include "tests/support/suite.h"

#define FIXTURE __attribute__((unused)) static

/* scratch/name; valid until the caller's buffer goes. */
FIXTURE const char *fixture_path(char path[PATH_BYTES], const char *name)
{
    struct error error;
    CHECK_OK(path_join(path, suite_scratch(), name, &error), error);
    return path;
}

FIXTURE const char *fixture_write(char path[PATH_BYTES], const char *name, const void *data,
                                  size_t size_bytes)
{
    struct error error;
    (void)fixture_path(path, name);
    CHECK_OK(file_write_durable(path, data, size_bytes, &error), error);
    return path;
}

FIXTURE const char *fixture_golden(char path[PATH_BYTES], const char *name)
{
    struct error error;
    CHECK_OK(path_join(path, SHARDLM_GOLDEN_SHARED, name, &error), error);
    if (!file_exists(path) && !folder_exists(path)) {
        CHECK_OK(path_join(path, SHARDLM_GOLDEN_SMALL, name, &error), error);
    }
    return path;
}

/* `documents` documents of 1 to 3 lines of common words, all different. */
FIXTURE const char *fixture_text(char path[PATH_BYTES], const char *name, int64_t documents)
{
    static const char *const words[] = {"the", "harbour", "wakes",  "before", "town",    "does",
                                        "a",   "light",   "river",  "runs",   "quietly", "under",
                                        "old", "bridges", "people", "walk",   "and",     "talk"};
    const size_t capacity = (size_t)documents * 1024 + 1;
    char *const text = memory_take(capacity, 1, "fixture");
    size_t size = 0;
    struct random_stream stream = random_stream_make(random_key_make(5, RANDOM_PURPOSE_TEST, 1), 0);
    for (int64_t i = 0; i < documents; i++) {
        size += (size_t)snprintf(text + size, capacity - size, "Number %lld.", (long long)i);
        const uint64_t lines = 1 + random_stream_below(&stream, 3);
        for (uint64_t line = 0; line < lines; line++) {
            const uint64_t count = 1 + random_stream_below(&stream, 25);
            for (uint64_t j = 0; j < count; j++) {
                const char *const word = words[random_stream_below(&stream, 18)];
                size += (size_t)snprintf(text + size, capacity - size, " %s", word);
            }
            size += (size_t)snprintf(text + size, capacity - size, ".\n");
        }
        size += (size_t)snprintf(text + size, capacity - size, "\n");
    }
    (void)fixture_write(path, name, text, size);
    memory_release(text);
    return path;
}

/* Builds scratch/name from one source with the golden RoBERTa tokenizer. */
FIXTURE enum status fixture_build(char out[PATH_BYTES], const char *name, const char *source,
                                  int64_t threads, int64_t shard_tokens,
                                  struct corpus_build_result *result, struct error *error)
{
    char tokenizer[PATH_BYTES];
    const char *const sources[] = {source};
    const struct corpus_build_options options = {
        .sources = sources,
        .source_count = 1,
        .tokenizer = fixture_golden(tokenizer, "tokenizers/bpe_roberta"),
        .out = fixture_path(out, name),
        .threads = threads,
        .shard_tokens = shard_tokens,
    };
    return corpus_build(&options, result, error);
}

FIXTURE void fixture_corpus(char out[PATH_BYTES], const char *name, int64_t documents)
{
    char text[PATH_BYTES];
    char text_name[256];
    struct corpus_build_result result;
    struct error error;
    (void)snprintf(text_name, sizeof text_name, "%s.txt", name);
    (void)fixture_text(text, text_name, documents);
    CHECK_OK(fixture_build(out, name, text, 2, 4000, &result, &error), error);
}

#endif
