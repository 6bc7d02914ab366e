/* Counting words: open addressing; a slot's tag spares most comparisons. */
#include "data_pipeline/word_counts.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"

enum { SLOTS_FIRST = 1 << 16 };

void word_counts_init(struct word_counts *counts)
{
    *counts = (struct word_counts){.slot_count = SLOTS_FIRST};
    counts->slots = memory_take(SLOTS_FIRST, sizeof *counts->slots, "word counts");
}

void word_counts_deinit(struct word_counts *counts)
{
    memory_release(counts->text);
    memory_release(counts->words);
    memory_release(counts->slots);
    *counts = (struct word_counts){0};
}

static void grow(struct word_counts *counts)
{
    memory_release(counts->slots);
    counts->slot_count *= 2;
    counts->slots = memory_take(counts->slot_count, sizeof *counts->slots, "word counts");
    for (size_t i = 0; i < counts->word_count; i++) {
        const struct counted_word *const word = &counts->words[i];
        const uint64_t hash = hash_bytes(counts->text + word->begin, word->size_bytes, 0);
        size_t slot = (size_t)hash & (counts->slot_count - 1);
        while (counts->slots[slot].index != 0) {
            slot = (slot + 1) & (counts->slot_count - 1);
        }
        counts->slots[slot] = (struct word_slot){(uint32_t)(hash >> 32), (uint32_t)i + 1};
    }
}

void word_counts_add(struct word_counts *counts, const char *word, size_t size_bytes)
{
    const uint64_t hash = hash_bytes(word, size_bytes, 0);
    const uint32_t tag = (uint32_t)(hash >> 32);
    size_t slot = (size_t)hash & (counts->slot_count - 1);
    for (; counts->slots[slot].index != 0; slot = (slot + 1) & (counts->slot_count - 1)) {
        if (counts->slots[slot].tag == tag) {
            struct counted_word *const held = &counts->words[counts->slots[slot].index - 1];
            if (held->size_bytes == size_bytes &&
                memcmp(counts->text + held->begin, word, size_bytes) == 0) {
                held->count++;
                return;
            }
        }
    }
    INVARIANT(counts->word_count < UINT32_MAX - 1);
    memory_reserve((void **)&counts->text, &counts->text_capacity, counts->text_bytes + size_bytes,
                   1, "counted words");
    memory_reserve((void **)&counts->words, &counts->word_capacity, counts->word_count + 1,
                   sizeof *counts->words, "counted words");
    memcpy(counts->text + counts->text_bytes, word, size_bytes);
    counts->words[counts->word_count++] = (struct counted_word){counts->text_bytes, size_bytes, 1};
    counts->text_bytes += size_bytes;
    counts->slots[slot] = (struct word_slot){tag, (uint32_t)counts->word_count};
    if (counts->word_count * 2 > counts->slot_count) {
        grow(counts);
    }
}
