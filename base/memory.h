/* Memory from the system. A process that gets none cannot go on: these stop it with a message that
 * names the purpose, so callers need no check. Two forms: single blocks (owned, grown, released)
 * and arenas (many things, one lifetime). Arena memory is zeroed and 64-byte aligned; pointers stay
 * valid until reset or deinit. A sealed arena gives no more: taking from it is a bug of ours. */
#ifndef SHARDLM_BASE_MEMORY_H
#define SHARDLM_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MEMORY_ALIGNMENT = 64 };

/* Zeroed, 64-byte aligned block of `count` elements; never NULL (count 0 gives a valid block). Free
 * with memory_release. `purpose` appears in the message if the system refuses. */
void *memory_take(size_t count, size_t element_bytes, const char *purpose);
/* Grows or makes (*block == NULL) a block so that it holds at least `count` elements; capacity
 * doubles.
 * `*capacity` is in elements. New memory is not zeroed. */
void memory_reserve(void **block, size_t *capacity, size_t count, size_t element_bytes,
                    const char *purpose);
void memory_release(void *block);    /* accepts NULL */
char *memory_text(const char *text); /* a copy; caller frees with memory_release */

struct arena_chunk;
struct arena {
    struct arena_chunk *chunk; /* newest first */
    size_t chunk_bytes;        /* least size of a new chunk */
    size_t used_bytes;         /* total handed out, alignment included */
    bool sealed;
    const char *purpose; /* borrowed until deinit */
};

void arena_init(struct arena *arena, size_t chunk_bytes, const char *purpose);
void arena_deinit(struct arena *arena); /* accepts a zeroed arena */
void arena_reset(struct arena *arena);  /* forgets everything, keeps the newest chunk; unseals */
void arena_seal(struct arena *arena);
void *arena_take(struct arena *arena, size_t count, size_t element_bytes);
char *arena_text(struct arena *arena, const char *text,
                 size_t length_bytes); /* zero-terminated copy */

#endif
