/* Exact sums of gradients. A slot's fp32 gradient becomes, element by element, an integer multiple
 * of 2^-ACCUMULATOR_FRACTION_BITS and is added into the node's sums; integer addition has no order,
 * so any worker may add any slot at any time. Then the sums of all nodes are added, group by group
 * as they become complete, while the last slots are still in backward. docs/exactness.md has the
 * bounds.
 *
 * The slot's loss is scaled by 2^-k (accumulator_loss_scale) so that gradients are about those of
 * the mean loss: elements of 1e-9 keep all 24 bits. A slot's element must stay below 2^8 / slots in
 * the step; beyond, or not finite, the slot is bad and the step is refused by every worker alike.
 *
 * The first slot that reaches a piece of the sums (shard/piece_sums.h) writes it, so what the step
 * before left there need not be zeroed. On a single node the last one measures it while it is in
 * the cache.
 *
 * Where nodes divide the sums (stage 2), a step goes in rounds (shard/rounds.h): a group's sums of
 * a round go to their owners, who add them to those of the rounds before, and the pages of the
 * others are given back. No worker begins to add before the group's last round is gone, nor while
 * the group ACCUMULATOR_RING places before it is still here, and a driver has no more than
 * ACCUMULATOR_RING + 1 sums under way: so a node holds what it owns and a few groups more of each
 * section that it computes. Only who is ahead (the last section, with the embeddings) does not wait
 * for groups that it has yet to hand over itself: the embeddings' sums stay.
 *
 * A worker drives its slice of every group, those of other sections too: wherever it waits it
 * polls, or others would wait for it (fabric_duty_set). */
#ifndef SHARDLM_SHARD_ACCUMULATOR_H
#define SHARDLM_SHARD_ACCUMULATOR_H

#include "kernels/kernels.h"
#include "model/gradient_blocks.h"
#include "shard/node_state.h"
#include "shard/partition.h"
#include "shard/rounds.h"

enum { ACCUMULATOR_FRACTION_BITS = 54, ACCUMULATOR_TOTAL_BITS = 62, ACCUMULATOR_RING = 2 };

struct accumulator {
    const struct kernels *kernels;
    const struct topology *topology;
    const struct partition *partition;
    struct node_state *node;
    const struct gradient_blocks *blocks; /* (groups) what a gradient has of its group; NULL: all */
    int limit_bits;                       /* a slot's |element| < 2^limit_bits */
    double limit_seconds;                 /* of any wait */
    struct fabric_request *requests;      /* (groups) sums between nodes under way */
    int64_t *firsts;                      /* scratch: (nodes + 1) */
    struct rounds rounds;                 /* of a step; one where nodes do not divide the sums */
    int64_t *added;                       /* (groups) gradients that this worker is through with */
    bool final;                           /* this worker knows its last slot of the step */
    struct rounds_place begun;            /* next whose sum between nodes begins */
    struct rounds_place done;             /* and next whose sum ends */
    double waited_seconds; /* in accumulator_add, for other workers' rounds; only grows */
    bool *chunk_done;      /* scratch of accumulator_add: (locks) */
};

/* Keeps all pointers but `adds`: the groups that this worker adds to (where nodes do not divide the
 * sums nobody asks, and it may be NULL). `slots`: slots in a step. Collective over workers where
 * nodes divide the sums. */
MUST_CHECK enum status accumulator_init(struct accumulator *accumulator,
                                        const struct kernels *kernels,
                                        const struct topology *topology,
                                        const struct partition *partition, struct node_state *node,
                                        const bool *adds, int64_t slots, double limit_seconds,
                                        struct error *error);
void accumulator_deinit(struct accumulator *accumulator);

/* Power of two 2^-k with 2^k >= targets_max, the most predictions that a step can hold; a second
 * loss counts as as many as it weighs. */
double accumulator_loss_scale(int64_t targets_max);

/* Adds a slot's gradient of one group. Local; safe beside other workers. `slot` is noted if the
 * gradient is bad. NULL: of this slot the worker has nothing of the group. Where nodes divide the
 * sums this may wait for other workers. */
MUST_CHECK enum status accumulator_add(struct accumulator *accumulator, int64_t slot, int64_t group,
                                       const float *gradient /* its blocks */, struct error *error);
/* Notes that a slot is bad, for a reason of its own. Local. */
void accumulator_bad_slot(struct node_header *header, int64_t slot);
/* Tells the node that this worker knows its last slot: it computes `slot_count` in this step.
 * Local, once a step. */
void accumulator_final(struct accumulator *accumulator, int64_t slot_count);
/* Begins the sums between nodes of groups that have become complete on this node, and lets data
 * move; nothing before this worker is final. Local; call often. */
MUST_CHECK enum status accumulator_poll(struct accumulator *accumulator, struct error *error);
/* Waits until this worker's pieces of all groups are complete over all slots and nodes; then they
 * stand in node->sums until clear. Collective. */
MUST_CHECK enum status accumulator_finish(struct accumulator *accumulator, struct error *error);
/* A new step: when node_state_reset is due, by every worker. Local. */
void accumulator_reset(struct accumulator *accumulator);
/* Where nodes divide the sums: zeroes those owned here; elsewhere the first slot of a step writes
 * them, so nothing need be done. After they were read. Local. */
void accumulator_clear(struct accumulator *accumulator);

#endif
