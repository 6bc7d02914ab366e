/* Building: the pieces are sorted, so that each node is a range of them; children are placed in the
 * first gap that takes them all. After GAP_TRIES gaps that do not, they go behind all others: the
 * time stays in proportion to the bytes whatever the vocabulary. */
#include "data_pipeline/piece_trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

enum { BYTE_VALUES = 256, GAP_TRIES = 32, CELLS_FIRST = 1 << 10 };

struct piece {
    struct token_text text;
    int32_t id;
};

/* A node whose children wait to be placed. */
struct pending {
    size_t first; /* pieces that go through it */
    size_t end;
    size_t depth; /* bytes up to it */
    uint32_t node;
};

struct builder {
    struct piece_trie *trie;
    struct piece *pieces;
    struct pending *stack;
    size_t stack_count;
    size_t stack_capacity;
    size_t gap; /* no free cell below */
};

/* Bytes in order, the shorter of two first that agree. */
static int piece_order(const void *a, const void *b)
{
    const struct piece *const x = a;
    const struct piece *const y = b;
    const size_t shared =
        x->text.size_bytes < y->text.size_bytes ? x->text.size_bytes : y->text.size_bytes;
    const int order = memcmp(x->text.bytes, y->text.bytes, shared);
    if (order != 0) {
        return order;
    }
    return (x->text.size_bytes > y->text.size_bytes) - (x->text.size_bytes < y->text.size_bytes);
}

/* Makes sure that the cells below `count` exist. */
static void grow(struct piece_trie *trie, size_t count)
{
    INVARIANT(count < TRIE_NONE);
    memory_reserve((void **)&trie->cells, &trie->cell_capacity, count, sizeof *trie->cells,
                   "pieces of a tokenizer");
    while (trie->cell_count < count) {
        trie->cells[trie->cell_count++] = (struct trie_cell){0, TRIE_NONE, -1};
    }
}

static bool fits(struct piece_trie *trie, size_t base, const unsigned char *bytes, size_t count)
{
    grow(trie, base + BYTE_VALUES);
    for (size_t i = 0; i < count; i++) {
        if (base + bytes[i] == TRIE_ROOT || trie->cells[base + bytes[i]].parent != TRIE_NONE) {
            return false;
        }
    }
    return true;
}

/* A base at which all of `bytes` (ascending) find free cells. */
static size_t find_base(struct builder *builder, const unsigned char *bytes, size_t count)
{
    struct piece_trie *const trie = builder->trie;
    while (builder->gap < trie->cell_count && trie->cells[builder->gap].parent != TRIE_NONE) {
        builder->gap++;
    }
    size_t cell = builder->gap > bytes[0] ? builder->gap : (size_t)bytes[0] + 1;
    for (int tries = 0; tries < GAP_TRIES; cell++) {
        if (cell >= trie->cell_count || trie->cells[cell].parent == TRIE_NONE) {
            if (fits(trie, cell - bytes[0], bytes, count)) {
                return cell - bytes[0];
            }
            tries++;
        }
        if (cell > builder->gap + GAP_TRIES * BYTE_VALUES) {
            break;
        }
    }
    const size_t base = trie->cell_count;
    INVARIANT(fits(trie, base, bytes, count));
    return base;
}

static void push(struct builder *builder, struct pending pending)
{
    memory_reserve((void **)&builder->stack, &builder->stack_capacity, builder->stack_count + 1,
                   sizeof *builder->stack, "pieces of a tokenizer");
    builder->stack[builder->stack_count++] = pending;
}

/* Gives the node its id if a piece ends there, and its children their cells. */
static void place(struct builder *builder, struct pending node)
{
    struct piece_trie *const trie = builder->trie;
    const struct piece *const pieces = builder->pieces;
    while (node.first < node.end && pieces[node.first].text.size_bytes == node.depth) {
        trie->cells[node.node].id = pieces[node.first++].id;
    }
    if (node.first == node.end) {
        return;
    }
    unsigned char bytes[BYTE_VALUES];
    size_t ends[BYTE_VALUES]; /* of the pieces with that byte */
    size_t count = 0;
    for (size_t i = node.first; i < node.end; i++) {
        const unsigned char byte = (unsigned char)pieces[i].text.bytes[node.depth];
        if (count == 0 || bytes[count - 1] != byte) {
            bytes[count++] = byte;
        }
        ends[count - 1] = i + 1;
    }
    const uint32_t base = (uint32_t)find_base(builder, bytes, count);
    trie->cells[node.node].base = base;
    for (size_t i = 0; i < count; i++) {
        trie->cells[base + bytes[i]].parent = node.node;
        push(builder, (struct pending){i == 0 ? node.first : ends[i - 1], ends[i], node.depth + 1,
                                       base + bytes[i]});
    }
}

void piece_trie_init(struct piece_trie *trie, const struct token_text *texts, const uint8_t *flags,
                     uint8_t flag, size_t count)
{
    *trie = (struct piece_trie){0};
    grow(trie, CELLS_FIRST);
    struct builder builder = {.trie = trie, .gap = TRIE_ROOT + 1};
    builder.pieces = memory_take(count, sizeof *builder.pieces, "pieces of a tokenizer");
    size_t picked_count = 0;
    for (size_t id = 0; id < count; id++) {
        if ((flags[id] & flag) != 0 && texts[id].size_bytes > 0) {
            builder.pieces[picked_count++] = (struct piece){texts[id], (int32_t)id};
        }
    }
    qsort(builder.pieces, picked_count, sizeof *builder.pieces, piece_order);
    push(&builder, (struct pending){0, picked_count, 0, TRIE_ROOT});
    while (builder.stack_count > 0) {
        place(&builder, builder.stack[--builder.stack_count]);
    }
    memory_release(builder.stack);
    memory_release(builder.pieces);
}

void piece_trie_deinit(struct piece_trie *trie)
{
    memory_release(trie->cells);
    *trie = (struct piece_trie){0};
}
