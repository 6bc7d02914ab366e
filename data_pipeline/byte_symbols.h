/* GPT-2's printable alphabet: every byte has a visible character, so that tokens can be written in
 * JSON and in lines. Printable Latin-1 bytes stand for themselves, the other 68 in order for U+0100
 * … U+0143; a blank is U+0120, "Ġ". */
#ifndef SHARDLM_DATA_PIPELINE_BYTE_SYMBOLS_H
#define SHARDLM_DATA_PIPELINE_BYTE_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

enum {
    BYTE_SYMBOL_BLANK = 0x120, /* the symbol of a blank */
    BYTE_SYMBOL_BYTES = 2,     /* the longest symbol in UTF-8 */
};

uint32_t byte_symbol(unsigned char byte);
int byte_symbol_value(uint32_t code_point); /* the byte, or -1 if this is no symbol */
/* Symbols of `size_bytes` bytes into `out` (room for BYTE_SYMBOL_BYTES each); returns the bytes
 * written. */
size_t byte_symbols_write(const char *bytes, size_t size_bytes, char *out);
/* The bytes that a token stands for, into `out` (room for size_bytes); a text that holds anything
 * but symbols stands for itself. Returns the bytes written. */
size_t byte_symbols_read(const char *text, size_t size_bytes, char *out);

#endif
