/* What the workers of a node share: one copy of the weights, one set of exact sums, the moments
 * that the node's owners keep, and the small tables of a step. All of it lives in one window, in
 * the order of the flat parameter space, so that a later job of any number of workers can go on
 * with it (shard/commit.h). Phases of a step, separated by node barriers (worker/trainer.c):
 *
 *     compute  weights are read; sums, slots_added and totals are added to, by a piece's first slot
 *              written; a piece is finished by its last slot, where that is known
 *     norms    each owner makes gradients of its sums and writes their block_norms, where a last
 *              slot has not, and with LAMB its piece_norms
 *     update   each owner writes its weights, moments and digests
 *     reset    the node's first worker clears the counters
 *
 * Where nodes divide sums or weights (shard/partition.h), the pages of what this node does not own
 * are there only while they are in use; everything keeps its place in the flat space. */
#ifndef SHARDLM_SHARD_NODE_STATE_H
#define SHARDLM_SHARD_NODE_STATE_H

#include "base/hash.h"
#include "shard/fingerprint.h"
#include "shard/partition.h"
#include "shard/window.h"

enum {
    NODE_STATE_LOCK_BLOCKS = 16
}; /* blocks under one lock of the sums: 64 Ki elements, some 60 µs of work */

/* Totals of a step, integers so that their sum has no order. */
enum node_total {
    NODE_TOTAL_LOSS,    /* in units of 2^-NODE_STATE_LOSS_BITS nats, as the other losses */
    NODE_TOTAL_TARGETS, /* predicted tokens */
    NODE_TOTAL_CORRECT,
    NODE_TOTAL_PAIR_LOSS,
    NODE_TOTAL_PAIRS, /* labelled sequences */
    NODE_TOTAL_PAIRS_CORRECT,
    NODE_TOTAL_SPAN_LOSS,
    NODE_TOTAL_SPANS, /* tokens predicted from the boundaries of their span */
    NODE_TOTAL_SPANS_CORRECT,
    NODE_TOTAL_TOKENS,
    NODE_TOTAL_BAD_SLOTS, /* slots with a gradient or loss that is not finite or out of range */
    NODE_TOTAL_COUNT,
};
enum { NODE_STATE_LOSS_BITS = 32 };

/* What nodes may divide beside the moments. */
enum node_array { NODE_ARRAY_WEIGHTS, NODE_ARRAY_SUMS };

/* Of a slot that is computed more than once; each is written by one worker or counted. */
enum node_audit {
    NODE_AUDIT_FIRST_LOW, /* digest of the gradient that went into the sums */
    NODE_AUDIT_FIRST_HIGH,
    NODE_AUDIT_FIRST_WORKER, /* + 1 */
    NODE_AUDIT_SECOND_LOW,
    NODE_AUDIT_SECOND_HIGH,
    NODE_AUDIT_SECOND_WORKER,
    NODE_AUDIT_FIRST_VOTES, /* workers that computed the first gradient, when the two differ */
    NODE_AUDIT_SECOND_VOTES,
    NODE_AUDIT_COUNT,
};

struct node_header {
    struct window_barrier barrier;
    _Atomic int64_t workers_final;  /* workers that know all slots they will compute in this step */
    _Atomic int64_t slots_expected; /* slots that final workers have or had */
    _Atomic int64_t first_bad_slot; /* lowest slot + 1 that was not finite; 0: none */
    _Atomic int64_t worst_slot;     /* that of the largest mean loss; see node_state_worst */
    int64_t named_slot;             /* over all nodes, for messages; written by driver 0 */
    _Atomic int64_t audit[NODE_AUDIT_COUNT];
    int64_t job_audit[NODE_AUDIT_COUNT]; /* over all nodes, written by driver 0 */
    _Atomic int64_t totals[NODE_TOTAL_COUNT];
    int64_t job_totals[NODE_TOTAL_COUNT]; /* over all nodes, written by driver 0 */
    _Atomic int64_t peak_bytes;           /* of the window's memory; see node_state_peak */
};

/* A step that is done, as checkpoint and journal want it. */
struct node_record {
    int64_t step;
    int64_t tokens; /* seen in training so far */
    int64_t totals[NODE_TOTAL_COUNT];
    double rate, norm;
    double held_out_loss; /* of the last evaluation; NaN: none */
    int64_t loss_mean;    /* of the steps before, units of 2^-NODE_STATE_LOSS_BITS nats */
    int64_t loss_count;   /* steps in it, up to its window */
    struct digest fingerprint;
};

/* What a restart needs to know of the window before it trusts it; see shard/commit.h. */
struct node_ledger {
    struct digest identity; /* of format, model, data, seed and numerics */
    int64_t stage, node_count, node_index, driver_count; /* who owned what */
    _Atomic int64_t ready_step;    /* all that its update needs is complete on all nodes */
    _Atomic int64_t done_step;     /* weights and moments are those after this step */
    struct node_record records[2]; /* of step s at s & 1 */
};

enum {
    NODE_STATE_FORMAT = 4,        /* what is in a window, and what it means */
    NODE_STATE_OWNERS_MAX = 1024, /* a node */
    /* 8 Ki elements: with record and sums 256 KiB, which a second-level cache holds */
    NODE_STATE_CHUNK_BLOCKS = 2,
    NODE_STATE_CHUNK = NODE_STATE_CHUNK_BLOCKS * PARAMETER_BLOCK,
};

/* An owner's progress through the update of a step, and the new values of the chunk in hand. */
struct node_owner {
    _Atomic int64_t step;
    _Atomic int64_t counted; /* chunks of that update that are complete */
    _Atomic int64_t saved; /* 1 + chunk whose new values stand here, until it is counted; 0: none */
    float values[FINGERPRINT_ARRAYS][NODE_STATE_CHUNK];
};

/* How far a group has come in the step in hand. Counters only grow until node_state_reset. */
struct node_group {
    _Atomic int64_t
        slots_added;               /* slots whose gradient of the group is in the sums; where nodes
                                      divide sums, workers that are through with it, rounds added up */
    _Atomic int64_t sums_reserved; /* rounds whose pages were taken */
    _Atomic int64_t sums_drained;  /* rounds whose sums went to their owners, drivers added up */
    _Atomic int64_t weights;       /* whether they are here, and for how many: weight_gate.c */
};

/* The part of a group under one lock, in the step in hand. Until a slot has written it, its sums
 * are those of an earlier step and count as zero; not so where nodes divide the sums: there they
 * are zero. */
struct node_piece {
    int64_t slots_added; /* tried, where a gradient is bad */
    bool written;
    bool finished; /* all slots are in: each block's gradient stands as floats where its sums were
                      (node_state_gradient), and its norm in block_norms */
};

struct node_state {
    struct window window;
    struct node_header *header;
    struct node_ledger *ledger;
    struct node_group *groups; /* (groups) */
    _Atomic uint32_t
        *locks; /* (elements / (PARAMETER_BLOCK · NODE_STATE_LOCK_BLOCKS), rounded up) */
    struct node_piece *pieces; /* (locks + groups) that of group g under lock c is piece c + g */
    float *weights;            /* (elements) */
    int64_t *sums;       /* (elements) exact gradient of the step, units of 2^-fraction_bits, until
                            it is finished */
    double *block_norms; /* (blocks) Σ gradient², of the floats */
    double *piece_norms; /* (pieces, 2) LAMB: Σ weight² and Σ direction² of a tensor's part in a
                            block; that of row r of the table in block b is piece b + r */
    struct digest *digests;    /* (FINGERPRINT_ARRAYS, blocks); only of blocks owned on this node */
    float *first;              /* (elements) first moments; memory only where owned on this node */
    float *second;             /* (elements) second moments, likewise */
    struct node_owner *owners; /* (owners) by driver */
    int64_t element_count, block_count, piece_count, lock_count;
};

/* A new one, zeroed. Collective over the node. */
MUST_CHECK enum status node_state_open(struct node_state *state, const struct partition *partition,
                                       const struct topology *topology, struct error *error);
/* The one that an earlier job kept as `name`; *found as window_adopt. What only living processes
 * need (barrier, locks) is cleared. Collective over the node. */
MUST_CHECK enum status node_state_adopt(struct node_state *state, const struct partition *partition,
                                        const struct topology *topology, const char *name,
                                        double limit_seconds, bool *found, struct error *error);
/* Notes the mean loss of a slot, so that the slot with the largest is known. Any order gives the
 * same: of equal ones the lowest slot. */
void node_state_worst(struct node_state *state, int64_t slot, double loss);
int64_t node_state_worst_slot(int64_t worst);    /* what node_header's worst_slot says */
void node_state_close(struct node_state *state); /* Local. */
/* Takes pages of `group`'s slice of a driver, and gives back those that the node does not own: of
 * the weights, or of the sums. Local. */
MUST_CHECK enum status node_state_take(const struct node_state *state,
                                       const struct partition *partition, enum node_array array,
                                       int64_t group, int64_t driver, struct error *error);
MUST_CHECK enum status node_state_vacate(const struct node_state *state,
                                         const struct partition *partition, enum node_array array,
                                         int64_t group, int64_t driver, struct error *error);
/* The most memory that the window has had, looked at whenever pages were taken. */
int64_t node_state_peak(const struct node_state *state);
/* Counters of a step, cleared. By the node's first worker, while nobody computes. */
void node_state_reset(struct node_state *state, const struct partition *partition);
/* The piece of the sums that an element of `group` lies in. */
struct node_piece *node_state_piece(const struct node_state *state, int64_t group, int64_t element);
/* Where a block's gradient stands, once its sums are finished: PARAMETER_BLOCK floats. */
float *node_state_gradient(const struct node_state *state, int64_t block);
/* Writes the digests of a range of whole blocks as it stands. Local. */
void node_state_digests(struct node_state *state, struct partition_range range);

/* Lays the state out over state->window, which holds node_state_bytes of zeroes. Local;
 * node_state_open calls it. */
void node_state_place(struct node_state *state, const struct parameter_table *table,
                      int64_t owner_count);
int64_t node_state_bytes(const struct parameter_table *table, int64_t owner_count);

#endif
