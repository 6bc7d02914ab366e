/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). A value is a pure function of (key, counter); there is no
 * generator state to store, so a resumed run needs none. Not for cryptography. */
#ifndef SHARDLM_BASE_RANDOM_H
#define SHARDLM_BASE_RANDOM_H

#include <stdint.h>

/* What the numbers are for. Values are part of the bits of a run: never renumber, only append. */
enum random_purpose {
    RANDOM_PURPOSE_INITIALISE = 1,
    RANDOM_PURPOSE_EPOCH_ORDER = 2,
    RANDOM_PURPOSE_MASK_CHOICE = 3,
    RANDOM_PURPOSE_MASK_REPLACEMENT = 4,
    RANDOM_PURPOSE_DROPOUT = 5,
    RANDOM_PURPOSE_HELD_OUT = 6,
    RANDOM_PURPOSE_SYNTHETIC = 7,
    RANDOM_PURPOSE_TEST = 8,
    RANDOM_PURPOSE_PERMUTATION_TARGET = 9,
    RANDOM_PURPOSE_PERMUTATION_ORDER = 10,
    RANDOM_PURPOSE_SENTENCE_PAIR = 11,
    RANDOM_PURPOSE_GENERATE = 12,
};

struct random_key {
    uint32_t word[2];
};

struct random_block {
    uint32_t word[4];
};

/* A key for one purpose of one run; `index` separates epochs, steps or slots. */
struct random_key random_key_make(uint64_t seed, enum random_purpose purpose, uint64_t index);

/* The 128 random bits at `counter` (two 64-bit halves: high, low). */
struct random_block random_at(struct random_key key, uint64_t high, uint64_t low);

/* Uniform in [0, bound), bound >= 1, from 64 random bits (multiply-shift; bias below bound / 2^64).
 */
uint64_t random_below(struct random_block block, uint64_t bound);
/* Uniform in [0, 1) with 53 bits, from the first two words. */
double random_unit(struct random_block block);

/* A sequence of draws for code that needs "the next one": the position is explicit, still stateless
 * in effect. */
struct random_stream {
    struct random_key key;
    uint64_t high;
    uint64_t low; /* next counter */
};
struct random_stream random_stream_make(struct random_key key, uint64_t high);
uint64_t random_stream_below(struct random_stream *stream, uint64_t bound);
double random_stream_unit(struct random_stream *stream);

/* Keyed permutation of [0, count): the place where `index` goes. A four-round-per-half Feistel
 * network over the next even power of two with cycle walking; O(1) time and memory. count >= 1. */
uint64_t random_permute(struct random_key key, uint64_t count, uint64_t index);

#endif
