/* The pieces of a vocabulary as a tree of bytes (a double array): all pieces that a text begins
 * with are found in one walk. A node is a cell; its child by byte b is cell base + b, if that one
 * names the node as its parent. */
#ifndef SHARDLM_DATA_PIPELINE_PIECE_TRIE_H
#define SHARDLM_DATA_PIPELINE_PIECE_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "data_pipeline/token_table.h"

struct trie_cell {
    uint32_t base;   /* base + 255 lies inside the array */
    uint32_t parent; /* TRIE_NONE: the cell is free, or the root */
    int32_t id;      /* of the piece that ends here, or -1 */
};

#define TRIE_ROOT 0U
#define TRIE_NONE UINT32_MAX

struct piece_trie {
    struct trie_cell *cells;
    size_t cell_count;
    size_t cell_capacity;
};

/* All texts[id] with flags[id] & flag that are not empty. */
void piece_trie_init(struct piece_trie *trie, const struct token_text *texts, const uint8_t *flags,
                     uint8_t flag, size_t count);
void piece_trie_deinit(struct piece_trie *trie); /* accepts a zeroed struct */

/* The node behind `node` by one more byte, or TRIE_NONE. */
static inline uint32_t piece_trie_step(const struct piece_trie *trie, uint32_t node,
                                       unsigned char byte)
{
    const uint32_t next = trie->cells[node].base + byte;
    return trie->cells[next].parent == node ? next : TRIE_NONE;
}

/* Bytes of the longest piece that the text begins with, or 0. */
static inline size_t piece_trie_longest(const struct piece_trie *trie, const char *text,
                                        size_t size_bytes)
{
    size_t longest = 0;
    uint32_t node = TRIE_ROOT;
    for (size_t i = 0; i < size_bytes && node != TRIE_NONE;) {
        node = piece_trie_step(trie, node, (unsigned char)text[i++]);
        longest = node != TRIE_NONE && trie->cells[node].id >= 0 ? i : longest;
    }
    return longest;
}

#endif
