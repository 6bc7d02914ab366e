/* base/hash: digests stand in checkpoints and journals, so that they are XXH3's whatever vector
 * level the processor has, and a stream of pieces has the digest of the whole. */
#include <xxhash.h>

#include "base/hash.h"
#include "base/memory.h"
#include "tests/support/suite.h"

enum { BYTES = 40000 };

static unsigned char *bytes_take(void)
{
    unsigned char *const bytes = memory_take(BYTES, 1, "test");
    for (int64_t i = 0; i < BYTES; i++) {
        bytes[i] = (unsigned char)(i * 131 + i / 256);
    }
    return bytes;
}

START_TEST(test_a_digest_is_that_of_the_plain_library)
{
    static const size_t sizes[] = {0, 1, 16, 17, 128, 240, 241, 1024, 16384, BYTES};
    unsigned char *const bytes = bytes_take();
    for (int64_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        const XXH128_hash_t wanted = XXH3_128bits(bytes, sizes[i]);
        const struct digest digest = digest_bytes(bytes, sizes[i]);
        ck_assert(digest.low == wanted.low64 && digest.high == wanted.high64);
        ck_assert(hash_bytes(bytes, sizes[i], 7) == XXH3_64bits_withSeed(bytes, sizes[i], 7));
    }
    memory_release(bytes);
}
END_TEST

START_TEST(test_pieces_have_the_digest_of_the_whole)
{
    unsigned char *const bytes = bytes_take();
    for (size_t piece = 1; piece < BYTES; piece = piece * 3 + 1) {
        struct digest_stream stream;
        digest_stream_init(&stream);
        for (size_t at = 0; at < BYTES; at += piece) {
            digest_stream_add(&stream, bytes + at, BYTES - at < piece ? BYTES - at : piece);
        }
        ck_assert(digest_equal(digest_stream_value(&stream), digest_bytes(bytes, BYTES)));
        digest_stream_deinit(&stream);
    }
    memory_release(bytes);
}
END_TEST

int main(void)
{
    return suite_run("hash", (const TTest *[]){test_a_digest_is_that_of_the_plain_library,
                                               test_pieces_have_the_digest_of_the_whole, NULL});
}
