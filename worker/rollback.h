/* Back to a checkpoint at least numerics.rollback_steps before a bad step, and on from there with
 * data behind that of the bad step. The state changes hands by the job's end: checkpoints of the
 * way that is given up are set aside (RUN/abandoned/), RUN/skips.json says which data is passed
 * over, and whoever starts the run again goes on. */
#ifndef SHARDLM_WORKER_ROLLBACK_H
#define SHARDLM_WORKER_ROLLBACK_H

#include "worker/worker_state.h"

/* Always fails: STATUS_PEER, so that the job is started again, once all is prepared. `why` tells
 * about the step. Collective over workers. */
MUST_CHECK enum status rollback_run(struct worker *worker, int64_t step, const char *why,
                                    struct error *error);

#endif
