/* Builds a corpus folder from text files and a tokenizer. A reader, one worker a core and the
 * calling thread (which alone touches HDF5) stream the text through corpus_queue.h: same input,
 * same shards, bit for bit, on any number of threads. Memory stays under 512 MB for any corpus
 * size: the queue (8 MiB of text and its tokens), one shard's tokens (at most 256 MiB),
 * offsets and hashes (at most 64 MiB). Documents keep their order; none spans two shards; repeats
 * are kept. The folder is written as OUT.partial and renamed when it is whole and durable; a
 * failure leaves neither. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_BUILD_H
#define SHARDLM_DATA_PIPELINE_CORPUS_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "data_pipeline/corpus_text.h"

enum {
    CORPUS_SHARD_TOKENS_DEFAULT = 32 << 20,
    CORPUS_SHARD_TOKENS_MAX = 64 << 20,
    CORPUS_SHARD_DOCUMENTS_MAX = 1 << 20,
    CORPUS_SHARD_LINES_MAX = 4 << 20, /* a document with more has a corpus shard of its own */
    CORPUS_BUILD_THREADS_MAX = 64,
    CORPUS_SOURCES_MAX = 1 << 20,
};

struct corpus_build_progress {
    int64_t bytes_done; /* of the files as they are on disk */
    int64_t bytes_total;
    int64_t documents;
    int64_t tokens;
};

/* Called on the building thread after every chunk (about 256 KiB of text); false asks to stop:
 * STATUS_INTERRUPTED. */
typedef bool (*corpus_build_watch)(void *context, const struct corpus_build_progress *progress);

struct corpus_build_options {
    const char *const *
        sources; /* files, or folders: all files of known kinds in them, by name, with subfolders */
    int64_t source_count;
    const char *tokenizer; /* folder or tokenizer.json */
    const char *out;       /* folder to make */
    bool replace;          /* put the new corpus in the place of an older corpus */
    int64_t shard_tokens;  /* 0: CORPUS_SHARD_TOKENS_DEFAULT */
    int64_t threads;       /* workers; 0: one for each core */
    struct corpus_text_options text;
    corpus_build_watch watch; /* may be NULL */
    void *watch_context;
};

struct corpus_build_result {
    int64_t files;
    int64_t files_passed_over; /* in folders, of other kinds */
    int64_t shards;
    int64_t documents;
    int64_t tokens;
    int64_t text_bytes;        /* decompressed */
    int64_t documents_skipped; /* invalid UTF-8 */
    int64_t lines_repaired;    /* invalid UTF-8 replaced */
};

/* STATUS_INPUT if `out` exists (and is no corpus that `replace` allows to go), or if there is no
 * document. */
MUST_CHECK enum status corpus_build(const struct corpus_build_options *options,
                                    struct corpus_build_result *result, struct error *error);

#endif
