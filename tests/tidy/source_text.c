/* See source_text.h. */
#include "tests/tidy/source_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum place {
    PLACE_CODE,
    PLACE_BLOCK_COMMENT,
    PLACE_LINE_COMMENT,
    PLACE_STRING,
    PLACE_CHARACTER,
};

static char *text_copy(const char *text, size_t size_bytes)
{
    char *const copy = malloc(size_bytes + 1);
    if (copy == NULL) {
        fputs("tidy: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    memcpy(copy, text, size_bytes);
    copy[size_bytes] = '\0';
    return copy;
}

static void blank(char *text, size_t offset)
{
    if (text[offset] != '\n' && text[offset] != '\0') {
        text[offset] = ' ';
    }
}

/* Where the character at `i` leads; *width becomes 2 where two characters belong together. */
static enum place place_next(enum place place, const char *text, size_t i, size_t *width)
{
    const char here = text[i];
    const char next = here == '\0' ? '\0' : text[i + 1];
    switch (place) {
    case PLACE_CODE:
        if (here == '/' && (next == '*' || next == '/')) {
            *width = 2;
            return next == '*' ? PLACE_BLOCK_COMMENT : PLACE_LINE_COMMENT;
        }
        return here == '"' ? PLACE_STRING : here == '\'' ? PLACE_CHARACTER : PLACE_CODE;
    case PLACE_BLOCK_COMMENT:
        *width = here == '*' && next == '/' ? 2 : 1;
        return *width == 2 ? PLACE_CODE : PLACE_BLOCK_COMMENT;
    case PLACE_LINE_COMMENT:
        return here == '\n' ? PLACE_CODE : PLACE_LINE_COMMENT;
    case PLACE_STRING:
    case PLACE_CHARACTER:
        if (here == '\\' && next != '\0') {
            *width = 2;
            return place;
        }
        return here == (place == PLACE_STRING ? '"' : '\'') || here == '\n' ? PLACE_CODE : place;
    }
    return place;
}

void source_text_init(struct source_text *source, const char *path, const char *text)
{
    const size_t size_bytes = strlen(text);
    *source = (struct source_text){
        .path = path,
        .text = text_copy(text, size_bytes),
        .uncommented = text_copy(text, size_bytes),
        .code = text_copy(text, size_bytes),
        .size_bytes = size_bytes,
    };
    enum place place = PLACE_CODE;
    size_t width = 1;
    for (size_t i = 0; i < size_bytes; i += width) {
        width = 1;
        const enum place next = place_next(place, text, i, &width);
        const bool comment = place == PLACE_BLOCK_COMMENT || place == PLACE_LINE_COMMENT ||
                             next == PLACE_BLOCK_COMMENT || next == PLACE_LINE_COMMENT;
        const bool quoted = place == next && (place == PLACE_STRING || place == PLACE_CHARACTER);
        for (size_t j = i; j < i + width; j++) {
            if (comment) {
                blank(source->uncommented, j);
            }
            if (comment || quoted) {
                blank(source->code, j);
            }
        }
        place = next;
    }
}

void source_text_deinit(struct source_text *source)
{
    free(source->text);
    free(source->uncommented);
    free(source->code);
    *source = (struct source_text){0};
}

bool source_line_next(const char *text, size_t *offset, const char **line, size_t *length)
{
    *line = text + *offset;
    if (**line == '\0') {
        return false;
    }
    const char *const end = strchr(*line, '\n');
    *length = end == NULL ? strlen(*line) : (size_t)(end - *line);
    *offset += *length + (end == NULL ? 0 : 1);
    return true;
}
