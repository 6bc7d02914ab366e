/* Rank 0: leads a run step by step. It sends one command at a time to all workers and waits for all
 * to be ready, meanwhile giving leases, watching heartbeats and keeping the journal. It computes
 * nothing and sleeps in the kernel between messages.
 *
 *     gather ──▶ decide ──▶ STEP | EVALUATE | SAVE | DRAIN ──▶ wait for all READY ──▶ account ──▶
 * decide … ──▶ END
 *
 * decide, in this order: an evaluation that is due; a checkpoint that is due (every_steps, the last
 * step, or a stop was asked for); the next step; when stopping, drain until the checkpoint is
 * published; end. A checkpoint that falls due while the one before is being written waits for it,
 * as long as a worker may wait; on a slower disk training goes on, and it is written later. The run
 * ends with its last checkpoint written, or fails.
 *
 * The journal's lines are described in step_record.h. */
#ifndef SHARDLM_COORDINATOR_COORDINATOR_H
#define SHARDLM_COORDINATOR_COORDINATOR_H

#include <signal.h>

#include "base/fault.h"
#include "coordinator/channel.h"
#include "coordinator/lease_book.h"
#include "coordinator/step_record.h"

/* What the caller wants to hear; each may be NULL. Called on the coordinator's thread. */
struct coordinator_listener {
    void (*step)(void *context, const struct step_record *record);
    void (*evaluation)(void *context, const struct evaluation_record *record);
    void (*event)(void *context, const char *text); /* one sentence for a person */
    void *context;
};

struct coordinator_options {
    int64_t worker_count;
    int64_t team_size; /* workers that compute slots together and get leases as one; 0: 1 */
    int64_t workers_least, workers_most; /* that an operator may ask for; most 0: none may */
    int64_t slots;                       /* in a step */
    int64_t first_step;                  /* updates already done */
    const char *origin; /* checkpoint whose weights a new run has, or NULL: the seed's */
    const char *origin_fingerprint; /* of its state, or NULL */
    bool recalled;            /* first_step was found in memory: the journal may not have it */
    int64_t checkpoint_step;  /* newest checkpoint there is; 0: none */
    int64_t last_step;        /* stop after this one */
    int64_t checkpoint_every; /* 0: only at the end */
    bool checkpoint_at_end;
    bool stop_on_failure;   /* of writing a checkpoint or the journal */
    int64_t evaluate_every; /* 0: never */
    enum lease_policy lease_policy;
    const char *host; /* this process's: of workers there it sees whether they live; or NULL */
    double silence_seconds;            /* a worker not heard of for so long ends the job */
    double wait_seconds;               /* one that does not get on for so much longer ends it too */
    const char *journal;               /* path, or NULL */
    const volatile sig_atomic_t *stop; /* number of a signal that came: checkpoint, then end */
    const struct fault *fault;         /* where a test wants this process killed, or NULL */
    struct coordinator_listener listener;
};

/* How the run ended. */
struct coordinator_result {
    int64_t step;           /* updates done */
    int64_t published_step; /* newest checkpoint, -1: none */
    bool stopped;           /* by request, before last_step */
    int64_t workers_next;   /* to be started again with so many; 0: not for that */
};

/* Leads until the end. A failure (a worker failed, fell silent, or the channel broke) leaves the
 * job unfinished: the caller ends it. STATUS_TIMEOUT lists rank, host, phase, step, slot and
 * silence of every worker. */
MUST_CHECK enum status coordinator_run(struct channel_server *server,
                                       const struct coordinator_options *options,
                                       struct coordinator_result *result, struct error *error);

#endif
