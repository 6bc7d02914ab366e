/* Dropout: Philox4x32-10 for 16 counters at once (base/random.h has it for one), and the kept
 * elements scaled. */
#include <immintrin.h>

#include "kernels/cpu/cpu_dropout.h"

/* One 32-bit word of several Philox states, in the low halves of 64-bit elements; what the high
 * halves hold never matters, as the product reads low halves only. */
#ifdef __AVX512F__
enum { PHILOX_ROUNDS = 10, PHILOX_GROUP = DROPOUT_LANES };
typedef uint64_t words __attribute__((vector_size(64)));
static const words group_places = {0, 1, 2, 3, 4, 5, 6, 7};
#define words_product(a, b) ((words)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#else
enum { PHILOX_ROUNDS = 10, PHILOX_GROUP = DROPOUT_LANES / 2 };
typedef uint64_t words __attribute__((vector_size(32)));
static const words group_places = {0, 1, 2, 3};
#define words_product(a, b) ((words)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#endif

static inline words low_product(words a, uint64_t b)
{
    const words factor = (words){0} + b;
    return words_product(a, factor);
}

/* Bits 0 and 32: whether the low and the high half of each word are at least the threshold, as a
 * carry out of half + (65536 - threshold). */
static inline words kept_pair(words word, uint64_t threshold)
{
    const uint64_t rest = 65536 - threshold;
    const words halves = (word & 0xffff) | (word & 0xffff0000) << 16;
    return (halves + (rest | rest << 32)) >> 16 & 0x100000001;
}

/* The bytes of a group of blocks in the low bytes of the result. */
static inline words philox_kept(words first, const struct kernels_dropout *dropout)
{
    words a = first;
    words b = first >> 32;
    words c = (words){0} + dropout->site;
    words d = (words){0} + (dropout->site >> 32);
    for (uint32_t round = 0; round < PHILOX_ROUNDS; round++) {
        const words one = low_product(a, 0xD2511F53U);
        const words two = low_product(c, 0xCD9E8D57U);
        a = two >> 32 ^ b ^ (uint64_t)(dropout->key.word[0] + round * 0x9E3779B9U);
        c = one >> 32 ^ d ^ (uint64_t)(dropout->key.word[1] + round * 0xBB67AE85U);
        b = two;
        d = one;
    }
    const uint64_t threshold = dropout->threshold;
    const words pairs = kept_pair(a, threshold) | kept_pair(b, threshold) << 2 |
                        kept_pair(c, threshold) << 4 | kept_pair(d, threshold) << 6;
    return pairs | pairs >> 31;
}

static inline void low_bytes(uint8_t *bytes, words kept)
{
#ifdef __AVX512F__
    _mm_storel_epi64((void *)bytes, _mm512_cvtepi64_epi8((__m512i)kept));
#else
    for (int l = 0; l < PHILOX_GROUP; l++) {
        bytes[l] = (uint8_t)kept[l];
    }
#endif
}

void dropout_bytes(uint8_t *bytes, const struct kernels_dropout *dropout, uint64_t first,
                   int64_t count)
{
    for (int64_t byte = 0; byte < count; byte += PHILOX_GROUP) {
        low_bytes(bytes + byte, philox_kept(group_places + (first + (uint64_t)byte), dropout));
    }
}

void OPERATION(dropout_bits)(uint32_t *bits, const struct kernels_dropout *dropout, int64_t count)
{
    const int64_t word_count = (count + 31) / 32;
    const int64_t byte_count = word_count * (int64_t)sizeof *bits;
    const int64_t whole = byte_count / DROPOUT_LANES * DROPOUT_LANES;
    uint8_t last[DROPOUT_LANES];
    dropout_bytes((uint8_t *)bits, dropout, 0, whole);
    dropout_bytes(last, dropout, (uint64_t)whole, byte_count - whole);
    memcpy((uint8_t *)bits + whole, last, (size_t)(byte_count - whole));
    if (count % 32 != 0) {
        bits[word_count - 1] &= (1U << (count % 32)) - 1U;
    }
}

void OPERATION(dropout_apply)(float *out, const float *in, const uint32_t *bits, float scale,
                              int64_t count)
{
    if (bits == NULL) {
        memmove(out, in, (size_t)count * sizeof *out);
        return;
    }
    int64_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const uint32_t word = bits[i / 32];
        SIMD
        for (int l = 0; l < 32; l++) {
            out[i + l] = dropout_select(word, l, in[i + l] * scale);
        }
    }
    for (int l = 0; i + l < count; l++) {
        out[i + l] = dropout_select(bits[i / 32], l, in[i + l] * scale);
    }
}
