/* The two-phase commit of a step. A node's window outlives its processes; the ledger in it says how
 * far the step had come:
 *
 *     computing t ──(1)──▶ ready t ──(2)──▶ updating ──(3)──▶ done t = computing t + 1
 *
 * (1) the complete sums, norms and totals of t are in the windows of all nodes. Each node's first
 *     worker marks its node; nobody updates before all nodes are marked.
 * (2) each owner updates its part in chunks. It makes a chunk's new values in its record, notes
 *     that they are whole, copies them to where they belong, with their digests, and counts the
 *     chunk.
 * (3) all owners are done and the weights of other nodes' owners have come in.
 *
 * After a crash: if all nodes are ready at t the update is completed, with the same bits, by any
 * number of workers; else nobody has begun to update and t is computed again. Either way every
 * block must have its digest first (commit_check). */
#ifndef SHARDLM_SHARD_COMMIT_H
#define SHARDLM_SHARD_COMMIT_H

#include "base/fault.h"
#include "shard/optimizer.h"

/* The state as it stands is that after record->step; owned as `partition` says. By the node's first
 * worker, before the window is kept. */
void commit_begin(struct node_state *node, const struct partition *partition,
                  struct digest identity, const struct node_record *record);
/* (1) on this node. By its first worker. */
void commit_ready(struct node_state *node, int64_t step);
/* (2): updates what the optimizer's partition owns, from where that owner's record says; digests of
 * the new blocks are written along the way. After optimizer_begin. Local. */
void commit_update(struct optimizer *optimizer, struct node_state *node, int64_t step,
                   const struct fault *fault);
/* (3) on this node: makes `record` the newest. By its first worker. */
void commit_done(struct node_state *node, const struct node_record *record);
const struct node_record *commit_record(const struct node_state *node); /* of done_step */

/* After a crash, for one owner of the crashed job: completes the chunk whose new values its record
 * has, if the update of `step` had come so far. Local. */
void commit_mend(struct node_state *node, const struct partition *partition, int64_t step);
/* STATUS_FORMAT if a block of this owner does not have its digest. Local. */
MUST_CHECK enum status commit_check(const struct node_state *node,
                                    const struct partition *partition, struct error *error);

#endif
