/* The precompiled normalisation of SentencePiece (nmt_nfkc and the like): the longest rule that
 * applies at each place of a text gives the characters that replace it. The blob is 4 bytes with
 * the size of a table, the table (a double array of little-endian 32-bit units, as darts-clone
 * makes it) and zero-terminated texts. All of it may come from anywhere: every step is checked. */
#ifndef SHARDLM_DATA_PIPELINE_CHARACTER_MAP_H
#define SHARDLM_DATA_PIPELINE_CHARACTER_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct character_map {
    uint32_t *units; /* NULL: no rules */
    size_t unit_count;
    const char *texts; /* borrowed from the blob; its last byte is zero */
    size_t text_bytes;
};

/* The blob must stay. Empty: no rules. `where` names the file in messages. */
MUST_CHECK enum status character_map_init(struct character_map *map, const char *blob,
                                          size_t size_bytes, const char *where,
                                          struct error *error);
void character_map_deinit(struct character_map *map); /* accepts a zeroed struct */
/* Bytes that the longest rule at `text` takes, and what replaces them (borrowed); 0: no rule. */
size_t character_map_find(const struct character_map *map, const char *text, size_t size_bytes,
                          const char **replacement);
/* The same for the shortest rule. */
size_t character_map_find_first(const struct character_map *map, const char *text,
                                size_t size_bytes, const char **replacement);

#endif
