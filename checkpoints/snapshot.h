/* A copy of the state at a step boundary, from which checkpoints are written while training goes
 * on. The copy is in memory that a node's workers share; each parameter group is collected on one
 * node (group mod nodes), so a node holds 12 bytes for each of its parameters. */
#ifndef SHARDLM_CHECKPOINTS_SNAPSHOT_H
#define SHARDLM_CHECKPOINTS_SNAPSHOT_H

#include "checkpoints/checkpoint.h"
#include "shard/node_state.h"
#include "shard/partition.h"

struct snapshot {
    const struct topology *topology;
    const struct partition *partition;
    struct window window;
    int64_t *offsets; /* (groups) of a group's three arrays in the window, elements; -1: collected
                         on another node */
};

/* Keeps the pointers. Collective over workers. */
MUST_CHECK enum status snapshot_open(struct snapshot *snapshot, const struct topology *topology,
                                     const struct partition *partition, struct error *error);
void snapshot_close(struct snapshot *snapshot); /* Local; accepts a zeroed one. */
/* Copies weights and moments as they stand. Nobody may update or read the snapshot meanwhile.
 * Collective over workers. */
MUST_CHECK enum status snapshot_take(struct snapshot *snapshot, const struct node_state *node,
                                     double limit_seconds, struct error *error);
/* Is this worker the one that writes `group`? */
bool snapshot_writes(const struct snapshot *snapshot, int64_t group);
/* The group's arrays (group count each), borrowed; only on the node that collected it. */
void snapshot_arrays(const struct snapshot *snapshot, int64_t group,
                     const float *arrays[CHECKPOINT_ARRAY_COUNT]);

#endif
