/* The sharded optimizer: each owner turns its exact sums into a gradient, takes part in the global
 * norm and updates its part of the node's one copy of weights and moments. Everything is per block
 * of the flat space or per element, so who owns what cannot change a bit.
 *
 * gradient = sums · 2^-54 / (loss_scale · targets): the mean over the step's predicted tokens.
 * Clipping as torch's clip_grad_norm_: factor min(1, clip_norm / (norm + 1e-6)). AdamW and LAMB:
 * kernels/kernels.h. LAMB needs norms of whole tensors, whose parts may have several owners: each
 * owner writes those of its parts to the node, and all sum them in index order. */
#ifndef SHARDLM_SHARD_OPTIMIZER_H
#define SHARDLM_SHARD_OPTIMIZER_H

#include "shard/accumulator.h"
#include "shard/optimizer_options.h"

struct optimizer {
    const struct kernels *kernels;
    const struct optimizer_options *options;
    const struct partition *partition;
    struct kernels_adamw settings; /* of the update under way */
    float *direction;              /* LAMB: one block */
    float *state;                  /* LAMB: three blocks */
    int64_t trust_row;             /* LAMB: the tensor that `trust` is of; -1: none */
    double trust;
};

/* What one update was made with; for the journal. */
struct optimizer_step {
    int64_t step;      /* from 1: bias correction and schedule */
    double loss_scale; /* of the accumulator */
    int64_t targets;   /* predicted tokens of the whole step */
    double rate;       /* out */
    double norm;       /* out: of the mean gradient, before clipping */
};

/* Keeps all pointers. */
void optimizer_init(struct optimizer *optimizer, const struct kernels *kernels,
                    const struct optimizer_options *options, const struct partition *partition);
void optimizer_deinit(struct optimizer *optimizer);

/* Writes node->block_norms of the blocks owned here from the complete sums. Local. */
void optimizer_norms(struct optimizer *optimizer, struct node_state *node);
/* Settles rate and clipping of an update; node->block_norms must be complete for all blocks. Fills
 * rate and norm. Local. */
void optimizer_begin(struct optimizer *optimizer, const struct node_state *node,
                     struct optimizer_step *step);
/* Whether the update needs norms of tensors; then, after optimizer_begin, this writes
 * node->piece_norms of what is owned here, and changes nothing else. Local. */
bool optimizer_adapts(const struct optimizer *optimizer);
void optimizer_piece_norms(struct optimizer *optimizer, struct node_state *node);
/* New weights and moments of `range`, whole blocks of one group, into `to` (range.count values
 * each); the node's stay as they are. node->piece_norms must be complete if the optimizer adapts.
 * Local. */
void optimizer_update(struct optimizer *optimizer, const struct node_state *node,
                      struct partition_range range, const struct kernels_state *to);

#endif
