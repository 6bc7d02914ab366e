/* Goes on from the state that an earlier job of the run left in memory (shard/commit.h): nothing
 * but the step in progress is lost, and no checkpoint is read. On one node any number of workers
 * can go on; on several, whoever owned a part must own it again, unless every node holds the whole.
 */
#ifndef SHARDLM_WORKER_RECALL_H
#define SHARDLM_WORKER_RECALL_H

#include "worker/worker_state.h"

/* Adopts the windows of setup->memory on all nodes if they are there and belong to this run;
 * otherwise worker->node is closed and *found false, with the reason in the log if there was one.
 * Needs partition and topology. Collective over workers. */
MUST_CHECK enum status recall_find(struct worker *worker, bool *found, struct error *error);
/* Checks every block, completes an update that had begun, and sets worker->step and what belongs to
 * it. A failure on any worker is everybody's. Collective over workers. */
MUST_CHECK enum status recall_take(struct worker *worker, struct error *error);

/* Does a failure of the two above say that the memory is of no use? Otherwise others could not be
 * reached: the memory stays, and the next start finds it. */
bool recall_refuses(enum status status);

/* What ties a window to this run: model, data, seed and numerics. */
struct digest recall_identity(const struct worker *worker);
/* Gives this node's window its name, if it has none yet. Local. */
MUST_CHECK enum status recall_keep(struct worker *worker, struct error *error);
/* Removes the windows of this node: the run is over. Local. */
void recall_forget(struct worker *worker);

#endif
