/* Stage 3: the weights of a group, put together from their owners on all nodes for the time in
 * which a pass reads them. Workers of a node share what is there:
 *
 * - `ahead` lays a claim to a group; the first claim takes its pages and asks its owners on other
 *   nodes for their pieces, with one message each;
 * - `hold` waits until all pieces are there;
 * - `drop`: who lets go last gives the pages back that the node does not own.
 *
 * Which worker asks for what, and when, is its own affair: owners answer in any order, weights
 * being the same all through a step. So passes of any kind, sections of a pipeline and workers
 * without a slot need not know of each other. Owners have to answer, though, whatever they wait for
 * meanwhile (weight_gate_poll is part of the fabric's duty), and up to where all workers have read
 * what they wanted (weight_gate_rest). A wait for weights therefore ends: it needs nothing but that
 * other workers compute to the end of a layer or wait themselves. A failure ends all waiting;
 * weight_gate_check tells it. */
#ifndef SHARDLM_SHARD_WEIGHT_GATE_H
#define SHARDLM_SHARD_WEIGHT_GATE_H

#include "shard/node_state.h"

enum {
    WEIGHT_GATE_FETCHES = 8, /* groups that a worker gathers at once, at most */
    WEIGHT_GATE_ANSWERS = 16 /* pieces on their way to others: further questions wait */
};

/* A group on its way in. */
struct weight_fetch {
    bool active;
    int64_t group;
    int64_t complete;                 /* owners whose piece is here, in their order */
    struct fabric_request *questions; /* (owners) */
    struct fabric_request *pieces;    /* (owners) */
};

enum weight_claim { WEIGHT_CLAIM_NONE, WEIGHT_CLAIM_AHEAD, WEIGHT_CLAIM_HELD };

struct weight_gate {
    const struct topology *topology;
    const struct partition *partition; /* NULL: all weights are at hand */
    struct node_state *node;
    double limit_seconds;
    int64_t *owners;           /* (nodes, drivers) which worker drives which slice where */
    int64_t *firsts;           /* scratch: (nodes + 1) */
    enum weight_claim *claims; /* (groups) this worker's */
    struct weight_fetch fetches[WEIGHT_GATE_FETCHES];
    struct fabric_request answers[WEIGHT_GATE_ANSWERS];
    enum status status;
    struct error error;
};

/* Keeps all pointers. Collective over workers. */
MUST_CHECK enum status weight_gate_init(struct weight_gate *gate, const struct topology *topology,
                                        const struct partition *partition, struct node_state *node,
                                        double limit_seconds, struct error *error);
void weight_gate_deinit(struct weight_gate *gate); /* accepts a zeroed one */
/* Claims the group, if this worker has not. */
void weight_gate_ahead(struct weight_gate *gate, int64_t group);
void weight_gate_hold(struct weight_gate *gate, int64_t group);
void weight_gate_drop(struct weight_gate *gate, int64_t group);
/* The first failure since the gate was opened; none of a zeroed one. */
MUST_CHECK enum status weight_gate_check(const struct weight_gate *gate, struct error *error);
/* Answers other workers' questions, and takes in what has come. Local; accepts a zeroed one. */
MUST_CHECK enum status weight_gate_poll(struct weight_gate *gate, struct error *error);
/* Until no worker will ask any more. Before whatever waits without polling. Collective over
 * workers; accepts a zeroed one. */
MUST_CHECK enum status weight_gate_rest(struct weight_gate *gate, struct error *error);

#endif
