/* See piece_sums.h. */
#include "shard/piece_sums.h"

#include <string.h>

#include "shard/accumulator.h"

/* Adds what a block has of the group's elements [first, end). */
static bool block_add(const struct piece_sums *sums, const struct parameter_group *group,
                      const struct gradient_block *block, const float *gradient)
{
    bool finite = true;
    const int64_t first = sums->part.first - group->offset;
    const int64_t end = first + sums->part.count;
    const int64_t skipped = first > block->first ? (first - block->first) / block->stride : 0;
    for (int64_t row = skipped; row < block->rows; row++) {
        const int64_t run = block->first + row * block->stride;
        const int64_t from = run > first ? run : first;
        const int64_t to = run + block->width < end ? run + block->width : end;
        if (run >= end) {
            break;
        }
        if (from < to) {
            const float *const values = gradient + block->local + row * block->local_stride;
            finite &= sums->kernels->fixed_point_add(
                sums->node->sums + group->offset + from, values + (from - run),
                ACCUMULATOR_FRACTION_BITS, sums->limit_bits, to - from);
        }
    }
    return finite;
}

static bool blocks_add(const struct piece_sums *sums, const struct parameter_group *group,
                       const struct gradient_blocks *blocks, const float *gradient)
{
    bool finite = true;
    if (!sums->piece->written && !sums->zeroed) {
        memset(sums->node->sums + sums->part.first, 0,
               (size_t)sums->part.count * sizeof *sums->node->sums);
    }
    sums->piece->written = true;
    for (int64_t i = 0; i < blocks->count; i++) {
        finite &= block_add(sums, group, &blocks->blocks[i], gradient);
    }
    return finite;
}

bool piece_sums_add(const struct piece_sums *sums, const struct parameter_group *group,
                    const struct gradient_blocks *blocks, const float *gradient)
{
    const struct kernels *const kernels = sums->kernels;
    struct node_piece *const piece = sums->piece;
    piece->slots_added++;
    if (blocks != NULL) {
        return blocks_add(sums, group, blocks, gradient);
    }
    const bool adds = piece->written || sums->zeroed;
    const bool finite = (adds ? kernels->fixed_point_add : kernels->fixed_point_set)(
        sums->node->sums + sums->part.first, gradient + (sums->part.first - group->offset),
        ACCUMULATOR_FRACTION_BITS, sums->limit_bits, sums->part.count);
    piece->written |= finite;
    return finite;
}

double piece_sums_block_norm(const struct kernels *kernels, const int64_t *sums, float *values)
{
    kernels->fixed_point_value(values, sums, ACCUMULATOR_FRACTION_BITS, PARAMETER_BLOCK);
    return kernels->square_sum(values, PARAMETER_BLOCK);
}

void piece_sums_measure(const struct piece_sums *sums, float *values)
{
    const struct node_state *const node = sums->node;
    const int64_t end = sums->part.first + sums->part.count;
    for (int64_t i = sums->part.first; i < end && sums->piece->written; i += PARAMETER_BLOCK) {
        node->block_norms[i / PARAMETER_BLOCK] =
            piece_sums_block_norm(sums->kernels, node->sums + i, values);
        sums->piece->measured = true;
    }
}
