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

bool piece_sums_finish_block(const struct kernels *kernels, struct node_state *node, int64_t block,
                             bool summed, const float *gradient, int limit_bits)
{
    return kernels->fixed_point_finish(node_state_gradient(node, block), &node->block_norms[block],
                                       summed ? node->sums + block * PARAMETER_BLOCK : NULL,
                                       gradient, ACCUMULATOR_FRACTION_BITS, limit_bits,
                                       PARAMETER_BLOCK);
}

/* The last slot's gradient of the piece (NULL: it is in the sums) makes them complete. */
static bool piece_finish(const struct piece_sums *sums, const float *gradient)
{
    bool finite = true;
    for (int64_t i = 0; i < sums->part.count && finite; i += PARAMETER_BLOCK) {
        finite = piece_sums_finish_block(sums->kernels, sums->node,
                                         (sums->part.first + i) / PARAMETER_BLOCK,
                                         sums->piece->written || sums->zeroed,
                                         gradient != NULL ? gradient + i : NULL, sums->limit_bits);
    }
    sums->piece->finished = finite;
    return finite;
}

bool piece_sums_add(const struct piece_sums *sums, const struct parameter_group *group,
                    const struct gradient_blocks *blocks, const float *gradient, bool last)
{
    const struct kernels *const kernels = sums->kernels;
    struct node_piece *const piece = sums->piece;
    int64_t *const totals = sums->node->sums + sums->part.first;
    bool finite;
    piece->slots_added++;
    if (blocks != NULL) {
        finite = blocks_add(sums, group, blocks, gradient);
        return last && finite ? piece_finish(sums, NULL) : finite;
    }
    const float *const values = gradient + (sums->part.first - group->offset);
    if (last) {
        finite = piece_finish(sums, values);
    } else if (piece->written || sums->zeroed) {
        finite = kernels->fixed_point_add(totals, values, ACCUMULATOR_FRACTION_BITS,
                                          sums->limit_bits, sums->part.count);
    } else {
        finite = kernels->fixed_point_set(totals, values, ACCUMULATOR_FRACTION_BITS,
                                          sums->limit_bits, sums->part.count);
    }
    piece->written |= finite;
    return finite;
}
