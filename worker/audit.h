/* Does the hardware compute what it should? Every numerics.audit_steps steps one slot, each in
 * turn, is computed a second time, by the team behind the one that computed it (a worker, or those
 * that compute a slot together), and the digests of its gradient are compared before any weight
 * changes. If they differ every team computes it once more, and the votes say who is alone. */
#ifndef SHARDLM_WORKER_AUDIT_H
#define SHARDLM_WORKER_AUDIT_H

#include "worker/trainer.h"

/* The slot that is audited in this step, or -1. */
int64_t audit_slot(const struct trainer *trainer, int64_t step);
/* Once all slots are in the sums. *slot: the audited one, -1: none. STATUS_PEER names the team
 * that computed another gradient than the others. Collective over workers. */
MUST_CHECK enum status audit_run(struct trainer *trainer, int64_t step, int64_t *slot,
                                 struct error *error);

#endif
