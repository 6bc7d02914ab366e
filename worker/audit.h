/* Does the hardware compute what it should? Every numerics.audit_steps steps one slot, each in
 * turn, is computed a second time, on the worker behind the one that computed it, and the digests
 * of its gradient are compared before any weight changes. If they differ every worker computes it
 * once more, and the votes say who is alone. */
#ifndef SHARDLM_WORKER_AUDIT_H
#define SHARDLM_WORKER_AUDIT_H

#include "worker/trainer.h"

/* The slot that is audited in this step, or -1. */
int64_t audit_slot(const struct trainer *trainer, int64_t step);
/* Notes this worker's digest, as the first (NODE_AUDIT_FIRST_LOW) or the second gradient. */
void audit_note(struct trainer *trainer, enum node_audit place, struct digest digest);
/* Once all slots are in the sums. *slot: the audited one, -1: none. STATUS_PEER names the worker
 * that computed another gradient than the others. Collective over workers. */
MUST_CHECK enum status audit_run(struct trainer *trainer, int64_t step, int64_t *slot,
                                 struct error *error);

#endif
