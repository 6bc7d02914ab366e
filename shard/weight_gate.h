/* Stage 3: the weights of a group, put together from their owners on all nodes for the time in
 * which a pass reads them. Every worker of the job says the same in the same order (who has nothing
 * to compute too): that it will hold a group, holds it, drops it.
 *
 *     ahead ──▶ gather begins once the last of the node has dropped the group's former gather
 *     hold  ──▶ waits until all drivers of the node have their slices
 *     drop  ──▶ the last worker of the node gives the pages back that the node does not own
 *
 * Gathers begin in the order in which they were announced, on every node alike, in a group of ranks
 * of their own, so that they do not wait for sums. While it waits a worker keeps the sums going
 * too: others may need them to come as far. A failure ends all waiting; weight_gate_check tells it.
 */
#ifndef SHARDLM_SHARD_WEIGHT_GATE_H
#define SHARDLM_SHARD_WEIGHT_GATE_H

#include "shard/accumulator.h"

enum { WEIGHT_GATE_AHEAD_MAX = 8 }; /* gathers announced and not complete */

struct weight_gather {
    int64_t group;
    int64_t round; /* of this group's gathers in the step, from 1 */
    struct fabric_request request;
};

struct weight_gate {
    struct accumulator *accumulator;
    const struct topology *topology;
    const struct partition *partition;
    struct node_state *node;
    double limit_seconds;
    int64_t *announced; /* (groups) gathers of this step */
    int64_t *held;      /* (groups) of them, those that were held */
    int64_t *firsts;    /* scratch: (nodes + 1) */
    struct weight_gather gathers[WEIGHT_GATE_AHEAD_MAX]; /* by number, modulo */
    int64_t announced_count, begun_count, done_count;
    enum status status;
    struct error error;
};

/* Keeps all pointers. */
void weight_gate_init(struct weight_gate *gate, struct accumulator *accumulator,
                      const struct topology *topology, const struct partition *partition,
                      struct node_state *node, double limit_seconds);
void weight_gate_deinit(struct weight_gate *gate); /* accepts a zeroed one */
/* Announces a gather of the group, unless one is announced that nobody here has held yet. */
void weight_gate_ahead(struct weight_gate *gate, int64_t group);
void weight_gate_hold(struct weight_gate *gate, int64_t group);
void weight_gate_drop(struct weight_gate *gate, int64_t group);
/* The first failure since the gate was opened. */
MUST_CHECK enum status weight_gate_check(const struct weight_gate *gate, struct error *error);
/* A new step: when node_state_reset is due, by every worker. Local. */
void weight_gate_reset(struct weight_gate *gate);

#endif
