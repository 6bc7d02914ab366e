/* See hash.h. */
#include "base/hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#ifdef XXHASH_DISPATCHES
#include <xxh_x86dispatch.h> /* the same names, each by the processor's vector level */
#endif

#include "base/error.h"

struct digest digest_bytes(const void *data, size_t size_bytes)
{
    const XXH128_hash_t hash = XXH3_128bits(data, size_bytes);
    return (struct digest){.low = hash.low64, .high = hash.high64};
}

bool digest_equal(struct digest a, struct digest b)
{
    return a.low == b.low && a.high == b.high;
}

void digest_text(struct digest digest, char text[DIGEST_TEXT_BYTES])
{
    (void)snprintf(text, DIGEST_TEXT_BYTES, "%016llx%016llx", (unsigned long long)digest.high,
                   (unsigned long long)digest.low);
}

static bool hexadecimal_parse(const char *text, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 16; i++) {
        const char c = text[i];
        uint64_t nibble;
        if (c >= '0' && c <= '9') {
            nibble = (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            nibble = (uint64_t)(c - 'a') + 10;
        } else {
            return false;
        }
        *value = (*value << 4) | nibble;
    }
    return true;
}

bool digest_parse(const char *text, struct digest *digest)
{
    return strlen(text) == DIGEST_TEXT_BYTES - 1 && hexadecimal_parse(text, &digest->high) &&
           hexadecimal_parse(text + 16, &digest->low);
}

void digest_stream_init(struct digest_stream *stream)
{
    XXH3_state_t *const state = XXH3_createState();
    INVARIANT(state != NULL);
    INVARIANT(XXH3_128bits_reset(state) == XXH_OK);
    stream->state = state;
}

void digest_stream_add(struct digest_stream *stream, const void *data, size_t size_bytes)
{
    INVARIANT(XXH3_128bits_update(stream->state, data, size_bytes) == XXH_OK);
}

struct digest digest_stream_value(const struct digest_stream *stream)
{
    const XXH128_hash_t hash = XXH3_128bits_digest(stream->state);
    return (struct digest){.low = hash.low64, .high = hash.high64};
}

void digest_stream_deinit(struct digest_stream *stream)
{
    XXH3_freeState(stream->state);
    stream->state = NULL;
}

uint64_t hash_bytes(const void *data, size_t size_bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size_bytes, seed);
}
