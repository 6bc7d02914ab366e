/* The GPT-2 pattern as a scanner. A table answers for ASCII; everything else is decoded and looked
 * up. */
#include "data_pipeline/gpt2_split.h"

#include <stdbool.h>
#include <stdint.h>

#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/utf8.h"

enum {
    O = UNICODE_CLASS_OTHER,
    L = UNICODE_CLASS_LETTER,
    N = UNICODE_CLASS_NUMBER,
    S = UNICODE_CLASS_SPACE,
    X = 4
};

/* Class by byte; X: the code point has to be decoded. */
static const uint8_t byte_class[256] = {
    /* clang-format off */
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    /* clang-format on */
};

/* Class and length of the character at `at`. */
static uint8_t class_at(const char *text, size_t size_bytes, size_t at, size_t *length)
{
    const uint8_t quick = byte_class[(unsigned char)text[at]];
    *length = 1;
    if (quick != X) {
        return quick;
    }
    uint32_t code_point = 0;
    size_t broken = 0;
    const size_t good = utf8_decode(text + at, size_bytes - at, &code_point, &broken);
    if (good == 0) {
        *length = broken;
        return O;
    }
    *length = good;
    return (uint8_t)unicode_class_of(code_point);
}

/* End of the run of characters of `class` that goes on at `at`. */
static size_t run_end(const char *text, size_t size_bytes, size_t at, uint8_t class)
{
    while (at < size_bytes) {
        const uint8_t quick = byte_class[(unsigned char)text[at]];
        if (quick == class) {
            at++;
            continue;
        }
        size_t length = 0;
        if (quick != X || class_at(text, size_bytes, at, &length) != class) {
            break;
        }
        at += length;
    }
    return at;
}

/* Length of 's 't 're 've 'm 'll 'd at an apostrophe, or 0. */
static size_t contraction_length(const char *text, size_t size_bytes)
{
    if (size_bytes < 2) {
        return 0;
    }
    const char first = text[1];
    if (first == 's' || first == 't' || first == 'm' || first == 'd') {
        return 2;
    }
    if (size_bytes >= 3) {
        const char second = text[2];
        if ((first == 'l' && second == 'l') || ((first == 'r' || first == 'v') && second == 'e')) {
            return 3;
        }
    }
    return 0;
}

/* White space at `begin`: all of it where the text ends with it, else all but the last character; a
 * single one stands alone. (A single blank before a word never comes here: it belongs to the word.)
 */
static size_t space_end(const char *text, size_t size_bytes, size_t begin)
{
    size_t at = begin;
    size_t last = begin; /* where the last character of the run begins */
    while (at < size_bytes) {
        size_t length = 0;
        if (class_at(text, size_bytes, at, &length) != S) {
            return last > begin ? last : at;
        }
        last = at;
        at += length;
    }
    return at;
}

size_t gpt2_split_next(const char *text, size_t size_bytes, size_t begin)
{
    if (text[begin] == '\'') {
        const size_t length = contraction_length(text + begin, size_bytes - begin);
        if (length > 0) {
            return begin + length;
        }
    }
    size_t at = begin;
    if (text[at] == ' ' && at + 1 < size_bytes) {
        at++;
    }
    size_t length = 0;
    const uint8_t class = class_at(text, size_bytes, at, &length);
    if (class == S) {
        return space_end(text, size_bytes, begin);
    }
    return run_end(text, size_bytes, at + length, class);
}
