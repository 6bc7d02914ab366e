/* See random.h. */
#include "base/random.h"

#include "base/error.h"

enum { PHILOX_ROUNDS = 10, FEISTEL_ROUNDS = 8 };

/* SplitMix64's finaliser (Steele, Lea, Flood 2014): spreads (seed, purpose, index) over the 64 key
 * bits. */
static uint64_t mix64(uint64_t value)
{
    value ^= value >> 30;
    value *= UINT64_C(0xbf58476d1ce4e5b9);
    value ^= value >> 27;
    value *= UINT64_C(0x94d049bb133111eb);
    value ^= value >> 31;
    return value;
}

struct random_key random_key_make(uint64_t seed, enum random_purpose purpose, uint64_t index)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t key = mix64(seed + golden);
    key = mix64(key ^ (golden * ((uint64_t)purpose + 1)));
    key = mix64(key + golden * (index + 1));
    return (struct random_key){{(uint32_t)key, (uint32_t)(key >> 32)}};
}

struct random_block random_at(struct random_key key, uint64_t high, uint64_t low)
{
    uint32_t a = (uint32_t)low;
    uint32_t b = (uint32_t)(low >> 32);
    uint32_t c = (uint32_t)high;
    uint32_t d = (uint32_t)(high >> 32);
    uint32_t k0 = key.word[0];
    uint32_t k1 = key.word[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t first = (uint64_t)0xD2511F53U * a;
        const uint64_t second = (uint64_t)0xCD9E8D57U * c;
        const uint32_t next_a = (uint32_t)(second >> 32) ^ b ^ k0;
        const uint32_t next_c = (uint32_t)(first >> 32) ^ d ^ k1;
        b = (uint32_t)second;
        d = (uint32_t)first;
        a = next_a;
        c = next_c;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    return (struct random_block){{a, b, c, d}};
}

static uint64_t block_bits(struct random_block block)
{
    return (uint64_t)block.word[0] | ((uint64_t)block.word[1] << 32);
}

uint64_t random_below(struct random_block block, uint64_t bound)
{
    INVARIANT(bound >= 1);
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)block_bits(block) * bound) >> 64);
}

double random_unit(struct random_block block)
{
    return (double)(block_bits(block) >> 11) * 0x1p-53;
}

struct random_stream random_stream_make(struct random_key key, uint64_t high)
{
    return (struct random_stream){.key = key, .high = high, .low = 0};
}

uint64_t random_stream_below(struct random_stream *stream, uint64_t bound)
{
    return random_below(random_at(stream->key, stream->high, stream->low++), bound);
}

double random_stream_unit(struct random_stream *stream)
{
    return random_unit(random_at(stream->key, stream->high, stream->low++));
}

uint64_t random_permute(struct random_key key, uint64_t count, uint64_t index)
{
    INVARIANT(index < count);
    unsigned half_bits = 1;
    while (half_bits < 32 && (UINT64_C(1) << (2 * half_bits)) < count) {
        half_bits++;
    }
    const uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t place = index;
    do { /* the domain is less than four times `count`: the walk takes under four turns on average
          */
        uint64_t left = place >> half_bits;
        uint64_t right = place & mask;
        for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++) {
            const uint64_t mixed = left ^ (block_bits(random_at(key, round, right)) & mask);
            left = right;
            right = mixed;
        }
        place = (left << half_bits) | right;
    } while (place >= count);
    return place;
}
