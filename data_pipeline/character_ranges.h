/* Properties of characters as a table of boundaries: each entry holds, above `shift`, the code
 * point from which on its low bits are in force. Ascending; the first is code point 0. Inline,
 * because every character of a text is looked up. */
#ifndef SHARDLM_DATA_PIPELINE_CHARACTER_RANGES_H
#define SHARDLM_DATA_PIPELINE_CHARACTER_RANGES_H

#include <stdint.h>

/* The entry in force at `code_point`, which is known to be in [low, high]. */
static inline uint32_t character_range_find(const uint32_t *boundaries, int shift, uint32_t low,
                                            uint32_t high, uint32_t code_point)
{
    while (low < high) {
        const uint32_t middle = low + (high - low + 1) / 2;
        if (boundaries[middle] >> shift <= code_point) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return boundaries[low];
}

#endif
