/* See text.h. */
#include "launch/text.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    INVARIANT(length >= 0);
    const size_t needed = text->size_bytes + (size_t)length + 1;
    void *block = text->data;
    memory_reserve(&block, &text->capacity_bytes, needed, 1, "text");
    text->data = block;
    (void)vsnprintf(text->data + text->size_bytes, (size_t)length + 1, format, again);
    va_end(again);
    text->size_bytes += (size_t)length;
}

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static int text_columns(const char *bytes, size_t size_bytes)
{
    int columns = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        columns += ((unsigned char)bytes[i] & 0xc0U) != 0x80U;
    }
    return columns;
}

void text_add_wrapped(struct text *text, const char *words, int indent, int columns)
{
    int used = indent;
    bool fresh = true;
    const char *at = words;
    while (*at != '\0') {
        if (*at == '\n') {
            text_add(text, "\n%*s", indent, "");
            used = indent;
            fresh = true;
            at++;
            continue;
        }
        const size_t size_bytes = strcspn(at, " \n");
        const int width = text_columns(at, size_bytes);
        if (!fresh && used + 1 + width > columns) {
            text_add(text, "\n%*s", indent, "");
            used = indent;
            fresh = true;
        }
        text_add(text, "%s%.*s", fresh ? "" : " ", (int)size_bytes, at);
        used += width + (fresh ? 0 : 1);
        fresh = false;
        at += size_bytes;
        at += strspn(at, " ");
    }
    text_add(text, "\n");
}

void text_deinit(struct text *text)
{
    memory_release(text->data);
    *text = (struct text){0};
}
