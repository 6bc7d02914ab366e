/* Leases that are given out one by one: who is through with a slot asks the coordinator for the
 * next. Static ones need no asking (coordinator/lease_book.h). */
#ifndef SHARDLM_WORKER_LEASE_H
#define SHARDLM_WORKER_LEASE_H

#include "worker/trainer.h"

/* The next slot of `step` for the workers that share this one's tensor parts, -1: no more; their
 * first asks for all. Collective over them. */
MUST_CHECK enum status lease_ask(const struct trainer *trainer, int64_t step, int64_t *slot,
                                 struct error *error);

#endif
