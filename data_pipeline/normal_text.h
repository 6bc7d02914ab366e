/* Text after normalising, and which part of the original each byte of it stands for. Grows; one
 * thread's scratch. */
#ifndef SHARDLM_DATA_PIPELINE_NORMAL_TEXT_H
#define SHARDLM_DATA_PIPELINE_NORMAL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_origin { /* bytes [begin, end) of the original */
    uint32_t begin;
    uint32_t end;
};

struct normal_text {
    char *bytes;
    size_t size_bytes;
    size_t capacity;
    struct text_origin *origins; /* one a byte, where with_origins */
    size_t origin_capacity;
    bool with_origins;
};

void normal_text_deinit(struct normal_text *text); /* accepts a zeroed one */
/* Appends bytes that all stand for [begin, end) of the original (below 4 GiB). */
void normal_text_add(struct normal_text *text, const char *bytes, size_t size_bytes, size_t begin,
                     size_t end);
/* Appends bytes [begin, end) of another text, with their places. */
void normal_text_copy(struct normal_text *text, const struct normal_text *from, size_t begin,
                      size_t end);
/* Of the byte at `at`; zeros without origins. */
static inline struct text_origin normal_text_origin(const struct normal_text *text, size_t at)
{
    return text->with_origins ? text->origins[at] : (struct text_origin){0, 0};
}
void normal_text_add_point(struct normal_text *text, uint32_t code_point, size_t begin, size_t end);

#endif
