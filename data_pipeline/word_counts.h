/* How often each different word occurs: a hash table that copies the words into one block. */
#ifndef SHARDLM_DATA_PIPELINE_WORD_COUNTS_H
#define SHARDLM_DATA_PIPELINE_WORD_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counted_word {
    size_t begin; /* in `text` */
    size_t size_bytes;
    int64_t count;
};

struct word_slot {
    uint32_t tag;   /* upper half of the word's hash */
    uint32_t index; /* of the word, plus one; 0: free */
};

struct word_counts {
    char *text; /* all words, one after another */
    size_t text_bytes;
    size_t text_capacity;
    struct counted_word *words; /* in the order of their first occurrence */
    size_t word_count;
    size_t word_capacity;
    struct word_slot *slots;
    size_t slot_count; /* a power of two, more than half free */
};

void word_counts_init(struct word_counts *counts);
void word_counts_deinit(struct word_counts *counts); /* accepts a zeroed struct */
void word_counts_add(struct word_counts *counts, const char *word, size_t size_bytes);

#endif
