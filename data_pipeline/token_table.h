/* Byte strings with ids 0, 1, 2 … in the order they are added, found by hash: the vocabulary of a
 * tokenizer. Grows to TOKEN_COUNT_MAX strings; never forgets one. */
#ifndef SHARDLM_DATA_PIPELINE_TOKEN_TABLE_H
#define SHARDLM_DATA_PIPELINE_TOKEN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"

enum { TOKEN_COUNT_MAX = 1 << 24 };

struct token_text {
    const char *bytes; /* zero-terminated, may hold zeros before; in the table's arena */
    size_t size_bytes;
};

/* What is known of a token, beside its text. */
enum token_flag {
    TOKEN_FLAG_IN_MODEL = 1, /* in the model's vocabulary, not only among the added tokens */
    TOKEN_FLAG_SPECIAL = 2,
    TOKEN_FLAG_BEGINS_WORD = 4,
    TOKEN_FLAG_ADDED = 8,
};

struct token_table {
    struct arena arena;
    struct token_text *texts; /* by id */
    size_t capacity;
    int64_t count;
    int32_t *slots;    /* hash table of ids, -1: free */
    size_t slot_count; /* a power of two, more than half free */
};

void token_table_init(struct token_table *table);
void token_table_deinit(struct token_table *table); /* accepts a zeroed table */
/* The id of `text`, or -1. */
int32_t token_table_find(const struct token_table *table, const char *text, size_t size_bytes);
/* Adds a copy of `text` unless it is there; returns its id. */
int32_t token_table_add(struct token_table *table, const char *text, size_t size_bytes);

#endif
