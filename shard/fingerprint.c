/* See fingerprint.h. */
#include "shard/fingerprint.h"

#include "base/memory.h"

void fingerprint_blocks(struct digest *digests, const float *values, int64_t count)
{
    for (int64_t block = 0; block < count / PARAMETER_BLOCK; block++) {
        digests[block] =
            digest_bytes(values + block * PARAMETER_BLOCK, PARAMETER_BLOCK * sizeof *values);
    }
}

struct digest fingerprint_combine(const struct digest *digests, int64_t block_count, int64_t step)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    digest_stream_add(&stream, digests,
                      (size_t)(FINGERPRINT_ARRAYS * block_count) * sizeof *digests);
    digest_stream_add(&stream, &step, sizeof step);
    const struct digest fingerprint = digest_stream_value(&stream);
    digest_stream_deinit(&stream);
    return fingerprint;
}

struct digest fingerprint_state(const struct parameter_table *table, const float *weights,
                                const float *first, const float *second, int64_t step)
{
    const int64_t blocks = table->element_count / PARAMETER_BLOCK;
    const float *const arrays[FINGERPRINT_ARRAYS] = {weights, first, second};
    struct digest *const digests =
        memory_take((size_t)(FINGERPRINT_ARRAYS * blocks), sizeof *digests, "fingerprint");
    for (int64_t i = 0; i < FINGERPRINT_ARRAYS; i++) {
        fingerprint_blocks(digests + i * blocks, arrays[i], table->element_count);
    }
    const struct digest fingerprint = fingerprint_combine(digests, blocks, step);
    memory_release(digests);
    return fingerprint;
}
