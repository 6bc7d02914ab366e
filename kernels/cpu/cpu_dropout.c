/* Dropout: Philox4x32-10 for 16 counters at once (base/random.h has it for one), and the kept elements scaled. */
#include "kernels/cpu/cpu_dropout.h"

enum { PHILOX_ROUNDS = 10 };

typedef uint32_t words[DROPOUT_LANES];

static inline void philox_round(words a, words b, words c, words d, uint32_t key0, uint32_t key1)
{
    SIMD
    for (int l = 0; l < DROPOUT_LANES; l++) {
        const uint64_t first = (uint64_t)0xD2511F53U * a[l];
        const uint64_t second = (uint64_t)0xCD9E8D57U * c[l];
        a[l] = (uint32_t)(second >> 32) ^ b[l] ^ key0;
        c[l] = (uint32_t)(first >> 32) ^ d[l] ^ key1;
        b[l] = (uint32_t)second;
        d[l] = (uint32_t)first;
    }
}

/* Two bits: whether the low and the high half of `word` are kept. */
static inline uint32_t kept_pair(uint32_t word, uint32_t threshold)
{
    return ((word & 0xffffU) >= threshold ? 1U : 0U) | (word >> 16 >= threshold ? 2U : 0U);
}

void dropout_bytes(uint8_t *bytes, const struct kernels_dropout *dropout,
                   const uint64_t first[DROPOUT_LANES])
{
    words a;
    words b;
    words c;
    words d;
    for (int l = 0; l < DROPOUT_LANES; l++) {
        a[l] = (uint32_t)first[l];
        b[l] = (uint32_t)(first[l] >> 32);
        c[l] = (uint32_t)dropout->site;
        d[l] = (uint32_t)(dropout->site >> 32);
    }
    for (uint32_t round = 0; round < PHILOX_ROUNDS; round++) {
        philox_round(a, b, c, d, dropout->key.word[0] + round * 0x9E3779B9U,
                     dropout->key.word[1] + round * 0xBB67AE85U);
    }
    const uint32_t threshold = dropout->threshold;
    SIMD
    for (int l = 0; l < DROPOUT_LANES; l++) {
        bytes[l] = (uint8_t)(kept_pair(a[l], threshold) | kept_pair(b[l], threshold) << 2 |
                             kept_pair(c[l], threshold) << 4 | kept_pair(d[l], threshold) << 6);
    }
}

void OPERATION(dropout_bits)(uint32_t *bits, const struct kernels_dropout *dropout, int64_t count)
{
    const int64_t word_count = (count + 31) / 32;
    const int64_t byte_count = word_count * 4;
    for (int64_t byte = 0; byte < byte_count; byte += DROPOUT_LANES) {
        uint64_t blocks[DROPOUT_LANES];
        for (int l = 0; l < DROPOUT_LANES; l++) {
            blocks[l] = (uint64_t)(byte + l);
        }
        uint8_t bytes[DROPOUT_LANES];
        dropout_bytes(bytes, dropout, blocks);
        const int64_t left = byte_count - byte;
        memcpy((uint8_t *)bits + byte, bytes, (size_t)(left < DROPOUT_LANES ? left : DROPOUT_LANES));
    }
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
