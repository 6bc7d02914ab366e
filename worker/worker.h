/* A worker's life: join, open everything, obey commands, leave. Lifecycle:
 *
 *     open ──▶ restore or initialise ──▶ HELLO, READY ──▶ ( STEP | EVALUATE | SAVE | DRAIN ──▶
 * READY )* ──▶ END ──▶ close
 *
 * A failure is told to the coordinator, which ends the job with this worker's name. */
#ifndef SHARDLM_WORKER_WORKER_H
#define SHARDLM_WORKER_WORKER_H

#include "base/fault.h"
#include "checkpoints/checkpoint_options.h"
#include "coordinator/channel.h"
#include "data_pipeline/data_options.h"
#include "data_pipeline/data_skips.h"
#include "model/model_options.h"
#include "shard/fabric.h"
#include "shard/optimizer_options.h"
#include "shard/shard_options.h"
#include "worker/number_fault.h"
#include "worker/worker_options.h"

/* All that a worker is told at start; everything is borrowed for the time of the call. */
struct worker_setup {
    uint64_t seed;
    const struct start_options *start;
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
    const char *memory;      /* under which an earlier job may have left its state, or NULL */
    const char *memory_new;  /* under which this one leaves its own, or NULL: it does not */
    int64_t checkpoint_step; /* of resume_path, 0 if NULL: older states in memory do not count */
    struct data_skips skips; /* data that is passed over */
    struct number_fault number_fault; /* what a test has spoiled */
    const struct fault *fault;        /* where a test wants a worker killed, or NULL */
};

struct worker; /* everything of one worker */

/* Where a worker begins. */
struct worker_start {
    int64_t step;  /* updates done */
    bool recalled; /* found in memory, not read from a checkpoint */
};

/* Opens all and restores the state, from memory if it is there, else from the checkpoint.
 * Collective over `workers`; failures are agreed by all. */
MUST_CHECK enum status worker_open(struct worker **worker, const struct worker_setup *setup,
                                   struct fabric *fabric, struct fabric_group *workers,
                                   struct worker_start *start, struct error *error);
/* From here on the state survives this process, until worker_forget. Local. */
MUST_CHECK enum status worker_keep(struct worker *worker, struct error *error);
/* The run is over, or stopped with a checkpoint, unless END said that another job goes on. */
void worker_forget(struct worker *worker);
/* Obeys commands until END. On failure the coordinator has been told. */
MUST_CHECK enum status worker_run(struct worker *worker, const struct channel_address *address,
                                  struct error *error);
void worker_close(struct worker *worker); /* Local; accepts NULL. */

#endif
