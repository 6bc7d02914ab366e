/* UTF-8 as the Unicode standard defines it (table 3-7): no overlong forms, no surrogates, nothing
 * above U+10FFFF. */
#ifndef SHARDLM_DATA_PIPELINE_UTF8_H
#define SHARDLM_DATA_PIPELINE_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { UTF8_SEQUENCE_BYTES = 4 }; /* the longest form of one code point */

/* Bytes of the longest valid prefix: `size_bytes` if all is valid, else the offset of the first bad
 * byte. */
size_t utf8_valid_prefix(const char *text, size_t size_bytes);

/* Length of the code point that begins at text[0] and its value, or 0 where the bytes are
 * ill-formed; then *broken_bytes (may be NULL) is the length of the maximal ill-formed part (1 to
 * 3), which one U+FFFD replaces. size_bytes >= 1. */
size_t utf8_decode(const char *text, size_t size_bytes, uint32_t *code_point, size_t *broken_bytes);

/* Writes the form of a code point (a scalar value), returns its length in bytes. */
size_t utf8_encode(uint32_t code_point, char text[UTF8_SEQUENCE_BYTES]);

/* Copies `text` to `out` (room for 3 * size_bytes) with each maximal ill-formed part replaced by
 * U+FFFD, as the standard recommends; returns the bytes written. */
size_t utf8_repair(const char *text, size_t size_bytes, char *out);

#endif
