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

double piece_sums_block_norm(const struct kernels *kernels, const int64_t *sums, float *values)
{
    kernels->fixed_point_value(values, sums, ACCUMULATOR_FRACTION_BITS, PARAMETER_BLOCK);
    return kernels->square_sum(values, PARAMETER_BLOCK);
}

/* Norms of complete sums. */
static void piece_measure(const struct piece_sums *sums)
{
    const struct node_state *const node = sums->node;
    const int64_t end = sums->part.first + sums->part.count;
    for (int64_t i = sums->part.first; i < end; i += PARAMETER_BLOCK) {
        node->block_norms[i / PARAMETER_BLOCK] =
            piece_sums_block_norm(sums->kernels, node->sums + i, sums->values);
    }
}

/* The step's only slot: the norms come from its gradient, as it leaves the cache with the sums. */
static bool piece_set_measured(const struct piece_sums *sums, const float *gradient)
{
    const struct kernels *const kernels = sums->kernels;
    const struct node_state *const node = sums->node;
    bool finite = true;
    for (int64_t i = 0; i < sums->part.count && finite; i += PARAMETER_BLOCK) {
        const int64_t first = sums->part.first + i;
        double *const norm = node->block_norms + first / PARAMETER_BLOCK;
        finite =
            kernels->fixed_point_set(node->sums + first, norm, gradient + i,
                                     ACCUMULATOR_FRACTION_BITS, sums->limit_bits, PARAMETER_BLOCK);
    }
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
    } else {
        const float *const values = gradient + (sums->part.first - group->offset);
        if (piece->written || sums->zeroed) {
            finite = kernels->fixed_point_add(totals, values, ACCUMULATOR_FRACTION_BITS,
                                              sums->limit_bits, sums->part.count);
        } else if (last) {
            finite = piece_set_measured(sums, values);
            piece->measured = finite;
        } else {
            finite = kernels->fixed_point_set(totals, NULL, values, ACCUMULATOR_FRACTION_BITS,
                                              sums->limit_bits, sums->part.count);
        }
        piece->written |= finite;
    }
    if (last && piece->written && !piece->measured) {
        piece_measure(sums);
        piece->measured = true;
    }
    return finite;
}
