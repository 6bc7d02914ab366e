/* Walking the double array: a unit holds the byte that leads to it, the distance to its children,
 * and whether a rule ends there; then its first child, by byte zero, is the place of the text. */
#include "data_pipeline/character_map.h"

#include <stdbool.h>

#include "base/memory.h"

enum { HEAD_BYTES = 4, UNIT_BYTES = 4 };

static uint32_t number_at(const char *bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < UNIT_BYTES; i++) {
        number |= (uint32_t)(unsigned char)bytes[i] << (8 * i);
    }
    return number;
}

static uint32_t unit_distance(uint32_t unit)
{
    return (unit >> 10) << ((unit & (1U << 9)) >> 6);
}

static uint32_t unit_byte(uint32_t unit)
{
    return unit & (1U << 31 | 0xff); /* units that are values have the highest bit: no byte */
}

enum status character_map_init(struct character_map *map, const char *blob, size_t size_bytes,
                               const char *where, struct error *error)
{
    *map = (struct character_map){0};
    if (size_bytes == 0) {
        return STATUS_OK;
    }
    const size_t table_bytes = size_bytes < HEAD_BYTES ? 0 : number_at(blob);
    if (size_bytes < HEAD_BYTES || table_bytes == 0 || table_bytes % UNIT_BYTES != 0 ||
        table_bytes >= size_bytes - HEAD_BYTES || blob[size_bytes - 1] != '\0') {
        FAIL(error, STATUS_FORMAT, "\"%s\": the character map of %zu bytes is damaged", where,
             size_bytes);
    }
    map->unit_count = table_bytes / UNIT_BYTES;
    map->units = memory_take(map->unit_count, sizeof *map->units, "character map");
    for (size_t i = 0; i < map->unit_count; i++) {
        map->units[i] = number_at(blob + HEAD_BYTES + i * UNIT_BYTES);
    }
    map->texts = blob + HEAD_BYTES + table_bytes;
    map->text_bytes = size_bytes - HEAD_BYTES - table_bytes;
    return STATUS_OK;
}

void character_map_deinit(struct character_map *map)
{
    memory_release(map->units);
    *map = (struct character_map){0};
}

static size_t find(const struct character_map *map, const char *text, size_t size_bytes,
                   bool shortest, const char **replacement)
{
    if (map->unit_count == 0) {
        return 0;
    }
    size_t longest = 0;
    size_t node = unit_distance(map->units[0]);
    for (size_t i = 0; i < size_bytes; i++) {
        const unsigned char byte = (unsigned char)text[i];
        node ^= byte;
        if (byte == 0 || node >= map->unit_count || unit_byte(map->units[node]) != byte) {
            break;
        }
        const uint32_t unit = map->units[node];
        node ^= unit_distance(unit);
        if ((unit >> 8 & 1) != 0 && node < map->unit_count) {
            const size_t place = map->units[node] & ~(1U << 31);
            if (place < map->text_bytes) {
                longest = i + 1;
                *replacement = map->texts + place;
                if (shortest) {
                    break;
                }
            }
        }
    }
    return longest;
}

size_t character_map_find(const struct character_map *map, const char *text, size_t size_bytes,
                          const char **replacement)
{
    return find(map, text, size_bytes, false, replacement);
}

size_t character_map_find_first(const struct character_map *map, const char *text,
                                size_t size_bytes, const char **replacement)
{
    return find(map, text, size_bytes, true, replacement);
}
