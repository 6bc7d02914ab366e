/* 128-bit XXH3 digests: fingerprints of state and integrity of files. Not for security.
 * Text form: 32 lower-case hexadecimal digits, high word first. The only file pair that sees
 * xxHash. */
#ifndef SHARDLM_BASE_HASH_H
#define SHARDLM_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_TEXT_BYTES = 33 }; /* with the terminating zero */

struct digest {
    uint64_t low;
    uint64_t high;
};

struct digest digest_bytes(const void *data, size_t size_bytes);
bool digest_equal(struct digest a, struct digest b);
void digest_text(struct digest digest, char text[DIGEST_TEXT_BYTES]);
bool digest_parse(const char *text, struct digest *digest); /* false unless 32 hexadecimal digits */

/* The same digest over pieces. */
struct digest_stream {
    void *state;
};
void digest_stream_init(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *data, size_t size_bytes);
struct digest digest_stream_value(const struct digest_stream *stream);
void digest_stream_deinit(struct digest_stream *stream); /* accepts a zeroed stream */

/* 64-bit hash for tables in memory; `seed` lets tables differ. */
uint64_t hash_bytes(const void *data, size_t size_bytes, uint64_t seed);

#endif
