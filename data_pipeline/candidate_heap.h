/* Merges that wait for their turn, in texts that are too long for scans: the least rank comes
 * first, of equals the leftmost. Candidates are never taken back: who takes one looks whether it
 * still holds. One thread's scratch. */
#ifndef SHARDLM_DATA_PIPELINE_CANDIDATE_HEAP_H
#define SHARDLM_DATA_PIPELINE_CANDIDATE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define NO_CANDIDATE UINT64_MAX

struct candidate_heap {
    uint64_t *items; /* rank << 32 | place of the left symbol */
    size_t count;
    size_t capacity;
};

static inline uint64_t candidate_make(uint32_t rank, uint32_t place)
{
    return (uint64_t)rank << 32 | place;
}

static inline uint32_t candidate_rank(uint64_t candidate)
{
    return (uint32_t)(candidate >> 32);
}

static inline uint32_t candidate_place(uint64_t candidate)
{
    return (uint32_t)candidate;
}

void candidate_heap_deinit(struct candidate_heap *heap); /* accepts a zeroed struct */
/* Both do nothing with NO_CANDIDATE. Many at once are appended first and ordered then. */
void candidate_heap_add(struct candidate_heap *heap, uint64_t candidate);
void candidate_heap_append(struct candidate_heap *heap, uint64_t candidate);
void candidate_heap_order(struct candidate_heap *heap);
/* The least one; count > 0. */
uint64_t candidate_heap_take(struct candidate_heap *heap);

#endif
