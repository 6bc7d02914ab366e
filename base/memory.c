/* See memory.h. */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

/* Blocks from here on ask for huge pages. */
enum { HUGE_PAGE_BYTES = 2 << 20, HUGE_BLOCK_BYTES = 2 * HUGE_PAGE_BYTES };

struct arena_chunk {
    struct arena_chunk *next;
    unsigned char *data; /* MEMORY_ALIGNMENT aligned */
    size_t capacity_bytes;
    size_t used_bytes;
};

__attribute__((noreturn)) static void memory_refused(size_t bytes, const char *purpose)
{
    (void)fprintf(stderr, "shardlm: out of memory: %zu bytes for %s\n", bytes, purpose);
    invariant_fail(__FILE__, __LINE__, "memory is available");
}

static size_t memory_product(size_t count, size_t element_bytes, const char *purpose)
{
    if (element_bytes != 0 && count > (SIZE_MAX - 2 * MEMORY_ALIGNMENT) / element_bytes) {
        memory_refused(SIZE_MAX, purpose);
    }
    return count * element_bytes;
}

static size_t memory_rounded(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

void *memory_take(size_t count, size_t element_bytes, const char *purpose)
{
    const size_t bytes = memory_product(count, element_bytes, purpose);
    const size_t unit = bytes < HUGE_BLOCK_BYTES ? MEMORY_ALIGNMENT : HUGE_PAGE_BYTES;
    const size_t rounded = memory_rounded(bytes == 0 ? 1 : bytes, unit);
    void *const block = aligned_alloc(unit, rounded);
    if (block == NULL) {
        memory_refused(bytes, purpose);
    }
    if (unit == HUGE_PAGE_BYTES) {
        (void)madvise(block, rounded, MADV_HUGEPAGE); /* a hint: small pages do, too */
    }
    memset(block, 0, rounded);
    return block;
}

void memory_reserve(void **block, size_t *capacity, size_t count, size_t element_bytes,
                    const char *purpose)
{
    if (*block != NULL && count <= *capacity) {
        return;
    }
    const size_t doubled = *capacity > SIZE_MAX / 2 ? SIZE_MAX : *capacity * 2;
    size_t wanted = count > doubled ? count : doubled;
    wanted = wanted < 16 ? 16 : wanted;
    const size_t bytes = memory_product(wanted, element_bytes, purpose);
    void *const grown = realloc(*block, bytes);
    if (grown == NULL) {
        memory_refused(bytes, purpose);
    }
    *block = grown;
    *capacity = wanted;
}

void memory_release(void *block)
{
    free(block);
}

char *memory_text(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *const copy = memory_take(bytes, 1, "text");
    memcpy(copy, text, bytes);
    return copy;
}

void arena_init(struct arena *arena, size_t chunk_bytes, const char *purpose)
{
    *arena = (struct arena){.chunk_bytes = chunk_bytes, .purpose = purpose};
}

void arena_deinit(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunk;
    while (chunk != NULL) {
        struct arena_chunk *const next = chunk->next;
        memory_release(chunk->data);
        memory_release(chunk);
        chunk = next;
    }
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *const newest = arena->chunk;
    arena->sealed = false;
    arena->used_bytes = 0;
    if (newest == NULL) {
        return;
    }
    struct arena older = {.chunk = newest->next};
    arena_deinit(&older);
    newest->next = NULL;
    memset(newest->data, 0, newest->used_bytes);
    newest->used_bytes = 0;
}

void arena_seal(struct arena *arena)
{
    arena->sealed = true;
}

void *arena_take(struct arena *arena, size_t count, size_t element_bytes)
{
    INVARIANT(!arena->sealed);
    const size_t bytes =
        memory_rounded(memory_product(count, element_bytes, arena->purpose), MEMORY_ALIGNMENT);
    struct arena_chunk *chunk = arena->chunk;
    if (chunk == NULL || chunk->capacity_bytes - chunk->used_bytes < bytes) {
        const size_t capacity = bytes > arena->chunk_bytes
                                    ? bytes
                                    : memory_rounded(arena->chunk_bytes, MEMORY_ALIGNMENT);
        chunk = memory_take(1, sizeof *chunk, arena->purpose);
        chunk->data = memory_take(capacity, 1, arena->purpose);
        chunk->capacity_bytes = capacity;
        chunk->next = arena->chunk;
        arena->chunk = chunk;
    }
    void *const taken = chunk->data + chunk->used_bytes;
    chunk->used_bytes += bytes;
    arena->used_bytes += bytes;
    return taken;
}

char *arena_text(struct arena *arena, const char *text, size_t length_bytes)
{
    char *const copy = arena_take(arena, length_bytes + 1, 1);
    memcpy(copy, text, length_bytes);
    return copy;
}
