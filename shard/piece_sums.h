/* The sums of a piece: of a group's part under one lock (struct node_piece), which whoever calls
 * holds. Units and bounds: accumulator.h. */
#ifndef SHARDLM_SHARD_PIECE_SUMS_H
#define SHARDLM_SHARD_PIECE_SUMS_H

#include "kernels/kernels.h"
#include "model/gradient_blocks.h"
#include "shard/node_state.h"
#include "shard/partition.h"

struct piece_sums {
    const struct kernels *kernels;
    struct node_state *node;
    struct node_piece *piece;
    struct partition_range part; /* its elements */
    int limit_bits;              /* a slot's |element| < 2^limit_bits */
    bool zeroed; /* zeroes, or sums of other workers, stand there before the first slot */
};

/* Adds a slot's gradient of `group`, of which it has the `blocks` (NULL: all); the first one
 * writes, and the `last` one of the step finishes the piece. False if an element is bad: then the
 * sums are of no use, and neither is the step. Local. */
bool piece_sums_add(const struct piece_sums *sums, const struct parameter_group *group,
                    const struct gradient_blocks *blocks, const float *gradient, bool last);
/* Makes a block's gradient and its norm of what is `summed` and of the last slot's gradient (NULL:
 * it is in the sums). False if an element is bad. Local. */
bool piece_sums_finish_block(const struct kernels *kernels, struct node_state *node, int64_t block,
                             bool summed, const float *gradient, int limit_bits);

#endif
