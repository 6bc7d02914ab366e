/* A binary heap in an array: the children of item i are 2 i + 1 and 2 i + 2. */
#include "data_pipeline/candidate_heap.h"

#include "base/memory.h"

void candidate_heap_deinit(struct candidate_heap *heap)
{
    memory_release(heap->items);
    *heap = (struct candidate_heap){0};
}

/* Moves `candidate` down from `at` to where it belongs. */
static void sink(struct candidate_heap *heap, size_t at, uint64_t candidate)
{
    uint64_t *const items = heap->items;
    for (size_t child = 2 * at + 1; child < heap->count; child = 2 * at + 1) {
        child += child + 1 < heap->count && items[child + 1] < items[child];
        if (candidate <= items[child]) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = candidate;
}

void candidate_heap_append(struct candidate_heap *heap, uint64_t candidate)
{
    if (candidate == NO_CANDIDATE) {
        return;
    }
    memory_reserve((void **)&heap->items, &heap->capacity, heap->count + 1, sizeof *heap->items,
                   "merges of a long text");
    heap->items[heap->count++] = candidate;
}

void candidate_heap_order(struct candidate_heap *heap)
{
    for (size_t at = heap->count / 2; at-- > 0;) {
        sink(heap, at, heap->items[at]);
    }
}

void candidate_heap_add(struct candidate_heap *heap, uint64_t candidate)
{
    if (candidate == NO_CANDIDATE) {
        return;
    }
    candidate_heap_append(heap, candidate);
    size_t at = heap->count - 1;
    for (; at > 0 && candidate < heap->items[(at - 1) / 2]; at = (at - 1) / 2) {
        heap->items[at] = heap->items[(at - 1) / 2];
    }
    heap->items[at] = candidate;
}

uint64_t candidate_heap_take(struct candidate_heap *heap)
{
    const uint64_t least = heap->items[0];
    heap->count--;
    sink(heap, 0, heap->items[heap->count]);
    return least;
}
