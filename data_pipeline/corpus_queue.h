/* The ordered queue of a corpus build: one reader fills chunks of documents, workers encode them in any order, one
 * merger takes them in the order they were filled. So the output does not depend on the number of workers.
 * Bounded memory: CORPUS_QUEUE_TEXT_BYTES of text are under way, beside one chunk that waits to be let in, and a
 * chunk that grew keeps no more than CORPUS_CHUNK_KEPT_BYTES. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_QUEUE_H
#define SHARDLM_DATA_PIPELINE_CORPUS_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data_pipeline/corpus_lines.h"
#include "data_pipeline/tokenizer.h"

enum {
    CORPUS_CHUNK_BYTES = 64 << 10,  /* a chunk ends with the document that reaches this, */
    CORPUS_CHUNK_DOCUMENTS = 4096,  /* or is this many-th */
    CORPUS_CHUNK_KEPT_BYTES = 8 * CORPUS_CHUNK_BYTES,
    CORPUS_QUEUE_TEXT_BYTES = 8 << 20, /* or one longer chunk alone */
    CORPUS_QUEUE_CHUNKS = CORPUS_QUEUE_TEXT_BYTES / CORPUS_CHUNK_BYTES,
};

enum corpus_chunk_state {
    CORPUS_CHUNK_FREE,    /* the reader may fill it */
    CORPUS_CHUNK_FILLED,  /* a worker may take it */
    CORPUS_CHUNK_TAKEN,   /* a worker encodes it */
    CORPUS_CHUNK_ENCODED, /* the merger may take it; then FREE again */
};

struct corpus_chunk {
    enum corpus_chunk_state state;
    int64_t source;         /* number of the file */
    int64_t position_bytes; /* of all files, read when the chunk was full */
    int64_t document_count;
    char *text; /* documents one after another */
    size_t text_size;
    size_t text_capacity;
    size_t *text_ends; /* (document_count) */
    size_t text_ends_capacity;
    struct token_list tokens;
    size_t *token_ends; /* (document_count) */
    size_t token_ends_capacity;
    struct corpus_line_list lines; /* first tokens, counted through the chunk */
    size_t *line_ends;             /* (document_count) */
    size_t line_ends_capacity;
    uint64_t *hashes; /* (document_count) */
    size_t hashes_capacity;
};

struct corpus_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct corpus_chunk *chunks; /* (CORPUS_QUEUE_CHUNKS), a ring */
    int64_t filled; /* chunks so far */
    int64_t taken;
    int64_t merged;
    size_t text_bytes; /* filled and not merged */
    bool finished;     /* the reader is through */
    bool stopped;      /* somebody failed: everybody goes home */
};

void corpus_queue_init(struct corpus_queue *queue);
void corpus_queue_deinit(struct corpus_queue *queue); /* no thread may be inside */

/* Each returns NULL when the queue was stopped, or there will be no more. */
struct corpus_chunk *corpus_queue_begin_fill(struct corpus_queue *queue); /* an empty chunk */
struct corpus_chunk *corpus_queue_take(struct corpus_queue *queue);
struct corpus_chunk *corpus_queue_begin_merge(struct corpus_queue *queue);
/* Waits until the text under way leaves room for the chunk's. */
void corpus_queue_end_fill(struct corpus_queue *queue, struct corpus_chunk *chunk);
void corpus_queue_put_encoded(struct corpus_queue *queue, struct corpus_chunk *chunk);
void corpus_queue_end_merge(struct corpus_queue *queue, struct corpus_chunk *chunk);
void corpus_queue_finish(struct corpus_queue *queue);
void corpus_queue_stop(struct corpus_queue *queue);

#endif
