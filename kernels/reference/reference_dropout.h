/* Whether a dropout keeps an element: the definition in kernels.h, word for word. */
#ifndef SHARDLM_KERNELS_REFERENCE_DROPOUT_H
#define SHARDLM_KERNELS_REFERENCE_DROPOUT_H

#include "kernels/kernels.h"

static inline bool dropout_keeps(const struct kernels_dropout *dropout, int64_t element)
{
    const uint64_t i = (uint64_t)element;
    const struct random_block block = random_at(dropout->key, dropout->site, i / 8);
    const uint32_t word = block.word[i % 8 / 2];
    return (i % 2 == 0 ? word & 0xffffU : word >> 16) >= dropout->threshold;
}

static inline bool dropout_bit(const uint32_t *bits, int64_t element)
{
    return (bits[element / 32] >> (element % 32) & 1U) != 0;
}

#endif
