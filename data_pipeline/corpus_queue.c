/* See corpus_queue.h. */
#include "data_pipeline/corpus_queue.h"

#include "base/memory.h"

void corpus_queue_init(struct corpus_queue *queue)
{
    *queue = (struct corpus_queue){0};
    queue->chunks = memory_take(CORPUS_QUEUE_CHUNKS, sizeof *queue->chunks, "corpus queue");
    INVARIANT(pthread_mutex_init(&queue->mutex, NULL) == 0);
    INVARIANT(pthread_cond_init(&queue->changed, NULL) == 0);
}

static void chunk_release(struct corpus_chunk *chunk)
{
    memory_release(chunk->text);
    memory_release(chunk->text_ends);
    memory_release(chunk->token_ends);
    memory_release(chunk->line_ends);
    memory_release(chunk->hashes);
    corpus_line_list_deinit(&chunk->lines);
    token_list_deinit(&chunk->tokens);
    *chunk = (struct corpus_chunk){.state = CORPUS_CHUNK_FREE};
}

void corpus_queue_deinit(struct corpus_queue *queue)
{
    for (int64_t i = 0; i < CORPUS_QUEUE_CHUNKS; i++) {
        chunk_release(&queue->chunks[i]);
    }
    memory_release(queue->chunks);
    (void)pthread_cond_destroy(&queue->changed);
    (void)pthread_mutex_destroy(&queue->mutex);
    *queue = (struct corpus_queue){0};
}

static struct corpus_chunk *queue_at(const struct corpus_queue *queue, int64_t number)
{
    return &queue->chunks[number % CORPUS_QUEUE_CHUNKS];
}

static bool queue_has_room(const struct corpus_queue *queue, size_t text_bytes)
{
    return queue->filled == queue->merged ||
           queue->text_bytes + text_bytes <= CORPUS_QUEUE_TEXT_BYTES;
}

/* Bytes that a chunk holds, full or empty. */
static size_t chunk_kept_bytes(const struct corpus_chunk *chunk)
{
    return chunk->text_capacity + chunk->tokens.capacity * sizeof *chunk->tokens.ids +
           chunk->lines.capacity * sizeof *chunk->lines.first_tokens;
}

struct corpus_chunk *corpus_queue_begin_fill(struct corpus_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    while (!queue->stopped && queue->filled - queue->merged == CORPUS_QUEUE_CHUNKS) {
        (void)pthread_cond_wait(&queue->changed, &queue->mutex);
    }
    struct corpus_chunk *const chunk = queue->stopped ? NULL : queue_at(queue, queue->filled);
    (void)pthread_mutex_unlock(&queue->mutex);
    return chunk;
}

void corpus_queue_end_fill(struct corpus_queue *queue, struct corpus_chunk *chunk)
{
    (void)pthread_mutex_lock(&queue->mutex);
    INVARIANT(chunk->state == CORPUS_CHUNK_FREE && chunk == queue_at(queue, queue->filled));
    while (!queue->stopped && !queue_has_room(queue, chunk->text_size)) {
        (void)pthread_cond_wait(&queue->changed, &queue->mutex);
    }
    chunk->state = CORPUS_CHUNK_FILLED;
    queue->filled++;
    queue->text_bytes += chunk->text_size;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->mutex);
}

struct corpus_chunk *corpus_queue_take(struct corpus_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    while (!queue->stopped && !queue->finished && queue->taken == queue->filled) {
        (void)pthread_cond_wait(&queue->changed, &queue->mutex);
    }
    struct corpus_chunk *chunk = NULL;
    if (!queue->stopped && queue->taken < queue->filled) {
        chunk = queue_at(queue, queue->taken);
        INVARIANT(chunk->state == CORPUS_CHUNK_FILLED);
        chunk->state = CORPUS_CHUNK_TAKEN;
        queue->taken++;
    }
    (void)pthread_mutex_unlock(&queue->mutex);
    return chunk;
}

void corpus_queue_put_encoded(struct corpus_queue *queue, struct corpus_chunk *chunk)
{
    (void)pthread_mutex_lock(&queue->mutex);
    INVARIANT(chunk->state == CORPUS_CHUNK_TAKEN);
    chunk->state = CORPUS_CHUNK_ENCODED;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->mutex);
}

struct corpus_chunk *corpus_queue_begin_merge(struct corpus_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    struct corpus_chunk *const next = queue_at(queue, queue->merged);
    while (!queue->stopped && next->state != CORPUS_CHUNK_ENCODED &&
           !(queue->finished && queue->merged == queue->filled)) {
        (void)pthread_cond_wait(&queue->changed, &queue->mutex);
    }
    const bool ready = !queue->stopped && next->state == CORPUS_CHUNK_ENCODED;
    (void)pthread_mutex_unlock(&queue->mutex);
    return ready ? next : NULL;
}

void corpus_queue_end_merge(struct corpus_queue *queue, struct corpus_chunk *chunk)
{
    const size_t text_size = chunk->text_size;
    chunk->text_size = 0;
    chunk->tokens.count = 0;
    chunk->lines.count = 0;
    chunk->document_count = 0;
    if (chunk_kept_bytes(chunk) > CORPUS_CHUNK_KEPT_BYTES) {
        chunk_release(chunk); /* one long document must not hold memory for good */
    }
    (void)pthread_mutex_lock(&queue->mutex);
    chunk->state = CORPUS_CHUNK_FREE;
    queue->merged++;
    queue->text_bytes -= text_size;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->mutex);
}

void corpus_queue_finish(struct corpus_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    queue->finished = true;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->mutex);
}

void corpus_queue_stop(struct corpus_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    queue->stopped = true;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->mutex);
}
