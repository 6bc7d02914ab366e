/* What nodes divide among themselves, and what a worker therefore does for others whatever it waits
 * for: it drives its slices of gradient sums and answers who asks for its weights. */
#ifndef SHARDLM_WORKER_DUTY_H
#define SHARDLM_WORKER_DUTY_H

#include "worker/worker_state.h"

/* Opens the worker's sums and gate and makes them the fabric's duty. Collective over workers. */
MUST_CHECK enum status duty_open(struct worker *worker, int64_t slots, struct error *error);
void duty_close(struct worker *worker);

#endif
