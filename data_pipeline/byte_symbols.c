/* The byte alphabet in closed form. */
#include "data_pipeline/byte_symbols.h"

#include <string.h>

#include "data_pipeline/utf8.h"

/* The three runs of bytes that are not printable, and where their symbols begin. */
enum {
    LOW_LAST = 0x20,
    LOW_SYMBOL = 0x100,
    MIDDLE_FIRST = 0x7f,
    MIDDLE_LAST = 0xa0,
    MIDDLE_SYMBOL = LOW_SYMBOL + LOW_LAST + 1,
    SOFT_HYPHEN = 0xad,
    SOFT_HYPHEN_SYMBOL = MIDDLE_SYMBOL + MIDDLE_LAST - MIDDLE_FIRST + 1,
};

uint32_t byte_symbol(unsigned char byte)
{
    if (byte <= LOW_LAST) {
        return LOW_SYMBOL + (uint32_t)byte;
    }
    if (byte >= MIDDLE_FIRST && byte <= MIDDLE_LAST) {
        return MIDDLE_SYMBOL + (uint32_t)byte - MIDDLE_FIRST;
    }
    return byte == SOFT_HYPHEN ? SOFT_HYPHEN_SYMBOL : byte;
}

int byte_symbol_value(uint32_t code_point)
{
    if (code_point <= 0xff) {
        return byte_symbol((unsigned char)code_point) == code_point ? (int)code_point : -1;
    }
    if (code_point < MIDDLE_SYMBOL) {
        return (int)(code_point - LOW_SYMBOL);
    }
    if (code_point < SOFT_HYPHEN_SYMBOL) {
        return (int)(code_point - MIDDLE_SYMBOL + MIDDLE_FIRST);
    }
    return code_point == SOFT_HYPHEN_SYMBOL ? SOFT_HYPHEN : -1;
}

size_t byte_symbols_write(const char *bytes, size_t size_bytes, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        char symbol[UTF8_SEQUENCE_BYTES];
        const size_t length = utf8_encode(byte_symbol((unsigned char)bytes[i]), symbol);
        memcpy(out + written, symbol, length);
        written += length;
    }
    return written;
}

size_t byte_symbols_read(const char *text, size_t size_bytes, char *out)
{
    size_t written = 0;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, NULL);
        const int value = length == 0 ? -1 : byte_symbol_value(code_point);
        if (value < 0) {
            memcpy(out, text, size_bytes);
            return size_bytes;
        }
        out[written++] = (char)value;
        at += length;
    }
    return written;
}
