/* Kept-bits of dropout, made and used. Element i of a tensor is bit i mod 8 of byte i / 8, and that
 * byte is made of Philox block i / 8 alone; words of bits are those bytes in little-endian order.
 */
#ifndef SHARDLM_KERNELS_CPU_DROPOUT_H
#define SHARDLM_KERNELS_CPU_DROPOUT_H

#include "kernels/cpu/cpu_level.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bits are stored as bytes");

enum { DROPOUT_LANES = 8 };

/* The bytes of `count` blocks from `first` on; up to DROPOUT_LANES - 1 more are written. */
#define dropout_bytes OPERATION(dropout_bytes)
void dropout_bytes(uint8_t *bytes, const struct kernels_dropout *dropout, uint64_t first,
                   int64_t count);

/* The 32 kept-bits from `element` on (a bit behind `count` is 0). */
static inline uint32_t dropout_word(const uint32_t *bits, int64_t element, int64_t count)
{
    const int64_t word = element / 32;
    const int shift = (int)(element % 32);
    const uint64_t low = bits[word];
    const uint64_t high = shift > 0 && (word + 1) * 32 < count ? bits[word + 1] : 0;
    return (uint32_t)((low | high << 32) >> shift);
}

/* `value` where bit l of `word` is set, else +0. */
static inline float dropout_select(uint32_t word, int l, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= 0U - (word >> l & 1U);
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
