/* See normal_text.h. */
#include "data_pipeline/normal_text.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/utf8.h"

void normal_text_deinit(struct normal_text *text)
{
    memory_release(text->bytes);
    memory_release(text->origins);
    *text = (struct normal_text){0};
}

/* Makes room; the caller writes behind size_bytes. */
static void reserve(struct normal_text *text, size_t more)
{
    memory_reserve((void **)&text->bytes, &text->capacity, text->size_bytes + more, 1,
                   "normalised text");
    if (text->with_origins) {
        memory_reserve((void **)&text->origins, &text->origin_capacity, text->size_bytes + more,
                       sizeof *text->origins, "places of normalised text");
    }
}

void normal_text_add(struct normal_text *text, const char *bytes, size_t size_bytes, size_t begin,
                     size_t end)
{
    if (size_bytes == 0) {
        return;
    }
    reserve(text, size_bytes);
    for (size_t i = 0; i < size_bytes && text->with_origins; i++) {
        text->origins[text->size_bytes + i] = (struct text_origin){(uint32_t)begin, (uint32_t)end};
    }
    memcpy(text->bytes + text->size_bytes, bytes, size_bytes);
    text->size_bytes += size_bytes;
}

void normal_text_copy(struct normal_text *text, const struct normal_text *from, size_t begin,
                      size_t end)
{
    const size_t size_bytes = end - begin;
    if (size_bytes == 0) {
        return;
    }
    reserve(text, size_bytes);
    if (text->with_origins) {
        memcpy(text->origins + text->size_bytes, from->origins + begin,
               size_bytes * sizeof *text->origins);
    }
    memcpy(text->bytes + text->size_bytes, from->bytes + begin, size_bytes);
    text->size_bytes += size_bytes;
}

void normal_text_add_point(struct normal_text *text, uint32_t code_point, size_t begin, size_t end)
{
    char bytes[UTF8_SEQUENCE_BYTES];
    normal_text_add(text, bytes, utf8_encode(code_point, bytes), begin, end);
}
