/* A worker's life: join, open everything, obey commands, leave. Lifecycle:
 *
 *     open ──▶ restore or initialise ──▶ HELLO, READY ──▶ ( STEP | EVALUATE | SAVE | DRAIN ──▶
 * READY )* ──▶ END ──▶ close
 *
 * A failure is told to the coordinator, which ends the job with this worker's name. */
#ifndef SHARDLM_WORKER_WORKER_H
#define SHARDLM_WORKER_WORKER_H

#include "checkpoints/checkpoint_options.h"
#include "coordinator/channel.h"
#include "data_pipeline/data_options.h"
#include "model/model_options.h"
#include "shard/fabric.h"
#include "shard/optimizer_options.h"
#include "shard/shard_options.h"
#include "worker/worker_options.h"

/* All that a worker is told at start; everything is borrowed for the time of the call. */
struct worker_setup {
    uint64_t seed;
    const struct model_options *model; /* vocabulary 0: the corpus' */
    const struct data_options *data;
    const struct step_options *step;
    const struct optimizer_options *optimizer;
    const struct shard_options *shard;
    const struct checkpoint_options *checkpoint;
    const struct numerics_options *numerics;
    const struct lease_options *lease;
    const struct evaluation_options *evaluation;
    const char *config_text;     /* resolved configuration, for checkpoints */
    const char *checkpoint_root; /* RUN/checkpoints, or NULL: nothing is written */
    const char *resume_path;     /* checkpoint to begin from, or NULL */
    bool accept_profile_change;
    bool fingerprints; /* of the state after every step */
};

struct worker; /* everything of one worker */

/* Opens all and restores the state. Collective over `workers`; failures are agreed by all.
 * *first_step: updates done. */
MUST_CHECK enum status worker_open(struct worker **worker, const struct worker_setup *setup,
                                   struct fabric *fabric, struct fabric_group *workers,
                                   int64_t *first_step, struct error *error);
/* Obeys commands until END. On failure the coordinator has been told. */
MUST_CHECK enum status worker_run(struct worker *worker, const struct channel_address *address,
                                  struct error *error);
void worker_close(struct worker *worker); /* Local; accepts NULL. */

#endif
