/* What the workers of a node share: one copy of the weights, one set of exact sums, and the small
 * tables of a step. All of it lives in one window. Phases of a step, separated by node barriers
 * (worker/trainer.c): compute  weights are read; sums, slots_added and totals are added to norms
 * sums are read; each owner writes its block_norms update   each owner writes its weights and
 * digests and zeroes its sums reset    the node's first worker clears the counters */
#ifndef SHARDLM_SHARD_NODE_STATE_H
#define SHARDLM_SHARD_NODE_STATE_H

#include "base/hash.h"
#include "model/parameters.h"
#include "shard/fingerprint.h"
#include "shard/window.h"

enum {
    NODE_STATE_LOCK_BLOCKS = 16
}; /* blocks under one lock of the sums: 64 Ki elements, some 60 µs of work */

/* Totals of a step, integers so that their sum has no order. */
enum node_total {
    NODE_TOTAL_LOSS,    /* in units of 2^-NODE_STATE_LOSS_BITS nats */
    NODE_TOTAL_TARGETS, /* predicted tokens */
    NODE_TOTAL_CORRECT,
    NODE_TOTAL_TOKENS,
    NODE_TOTAL_BAD_SLOTS, /* slots with a gradient or loss that is not finite or out of range */
    NODE_TOTAL_COUNT,
};
enum { NODE_STATE_LOSS_BITS = 32 };

struct node_header {
    struct window_barrier barrier;
    _Atomic int64_t workers_final;  /* workers that know all slots they will compute in this step */
    _Atomic int64_t slots_expected; /* slots that final workers have or had */
    _Atomic int64_t first_bad_slot; /* lowest slot + 1 that was not finite; 0: none */
    _Atomic int64_t totals[NODE_TOTAL_COUNT];
    int64_t job_totals[NODE_TOTAL_COUNT]; /* over all nodes, written by driver 0 */
};

struct node_state {
    struct window window;
    struct node_header *header;
    _Atomic int64_t *slots_added; /* (groups) slots whose gradient of the group is in the sums */
    _Atomic uint32_t
        *locks;          /* (elements / (PARAMETER_BLOCK · NODE_STATE_LOCK_BLOCKS), rounded up) */
    float *weights;      /* (elements) */
    int64_t *sums;       /* (elements) exact gradient of the step, units of 2^-fraction_bits */
    double *block_norms; /* (blocks) Σ gradient², in those units */
    struct digest *digests; /* (FINGERPRINT_ARRAYS, blocks) */
    int64_t element_count, block_count, lock_count;
};

/* Collective over the node. */
MUST_CHECK enum status node_state_open(struct node_state *state,
                                       const struct parameter_table *table,
                                       struct fabric_group *node, struct error *error);
void node_state_close(struct node_state *state); /* Local. */
/* Lays the state out over state->window, which holds node_state_bytes of zeroes. Local;
 * node_state_open calls it. */
void node_state_place(struct node_state *state, const struct parameter_table *table);
int64_t node_state_bytes(const struct parameter_table *table); /* of shared memory a node */

#endif
