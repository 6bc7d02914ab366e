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

void normal_text_add(struct normal_text *text, const char *bytes, size_t size_bytes, size_t begin,
                     size_t end)
{
    memory_reserve((void **)&text->bytes, &text->capacity, text->size_bytes + size_bytes, 1,
                   "normalised text");
    if (text->with_origins) {
        memory_reserve((void **)&text->origins, &text->origin_capacity,
                       text->size_bytes + size_bytes, sizeof *text->origins,
                       "places of normalised text");
        for (size_t i = 0; i < size_bytes; i++) {
            text->origins[text->size_bytes + i] =
                (struct text_origin){(uint32_t)begin, (uint32_t)end};
        }
    }
    memcpy(text->bytes + text->size_bytes, bytes, size_bytes);
    text->size_bytes += size_bytes;
}

void normal_text_add_point(struct normal_text *text, uint32_t code_point, size_t begin, size_t end)
{
    char bytes[UTF8_SEQUENCE_BYTES];
    normal_text_add(text, bytes, utf8_encode(code_point, bytes), begin, end);
}
