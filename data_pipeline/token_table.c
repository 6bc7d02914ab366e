/* Strings by id and ids by string: open addressing, linear probing. */
#include "data_pipeline/token_table.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"

enum { SLOTS_FIRST = 1024, ARENA_CHUNK_BYTES = 1 << 16 };

void token_table_init(struct token_table *table)
{
    *table = (struct token_table){.slot_count = SLOTS_FIRST};
    arena_init(&table->arena, ARENA_CHUNK_BYTES, "token texts");
    table->slots = memory_take(SLOTS_FIRST, sizeof *table->slots, "token table");
    memset(table->slots, 0xff, SLOTS_FIRST * sizeof *table->slots);
}

void token_table_deinit(struct token_table *table)
{
    memory_release(table->slots);
    memory_release(table->texts);
    arena_deinit(&table->arena);
    *table = (struct token_table){0};
}

/* The slot that holds `text`, or the free one where it belongs. */
static size_t slot_of(const struct token_table *table, const char *text, size_t size_bytes)
{
    const size_t mask = table->slot_count - 1;
    size_t slot = (size_t)hash_bytes(text, size_bytes, 0) & mask;
    while (table->slots[slot] >= 0) {
        const struct token_text *const held = &table->texts[table->slots[slot]];
        if (held->size_bytes == size_bytes && memcmp(held->bytes, text, size_bytes) == 0) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

int32_t token_table_find(const struct token_table *table, const char *text, size_t size_bytes)
{
    return table->slots[slot_of(table, text, size_bytes)];
}

static void grow(struct token_table *table)
{
    table->slot_count *= 2;
    memory_release(table->slots);
    table->slots = memory_take(table->slot_count, sizeof *table->slots, "token table");
    memset(table->slots, 0xff, table->slot_count * sizeof *table->slots);
    for (int64_t id = 0; id < table->count; id++) {
        const struct token_text *const text = &table->texts[id];
        table->slots[slot_of(table, text->bytes, text->size_bytes)] = (int32_t)id;
    }
}

int32_t token_table_add(struct token_table *table, const char *text, size_t size_bytes)
{
    size_t slot = slot_of(table, text, size_bytes);
    if (table->slots[slot] >= 0) {
        return table->slots[slot];
    }
    INVARIANT(table->count < TOKEN_COUNT_MAX);
    if (((size_t)table->count + 1) * 2 > table->slot_count) {
        grow(table);
        slot = slot_of(table, text, size_bytes);
    }
    memory_reserve((void **)&table->texts, &table->capacity, (size_t)table->count + 1,
                   sizeof *table->texts, "token table");
    table->texts[table->count] =
        (struct token_text){arena_text(&table->arena, text, size_bytes), size_bytes};
    table->slots[slot] = (int32_t)table->count;
    return (int32_t)table->count++;
}
