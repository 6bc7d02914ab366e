/* Tells the coordinator that this worker lives and what it is doing, from a thread of its own, so
 * that a long slot is not taken for a death. If the coordinator's host is gone the job's launcher
 * ends us; the thread never waits. */
#ifndef SHARDLM_WORKER_HEART_H
#define SHARDLM_WORKER_HEART_H

#include "coordinator/channel.h"

struct heart;

MUST_CHECK enum status heart_open(struct heart **heart, const struct channel_address *address,
                                  int64_t worker, double interval_seconds, struct error *error);
void heart_close(struct heart *heart); /* accepts NULL */
/* What the worker is doing from now on. */
void heart_phase(struct heart *heart, enum message_phase phase, int64_t step, int64_t slot);

#endif
