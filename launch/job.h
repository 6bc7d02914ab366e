/* One job under mpirun, as seen by one of its processes: rank 0 coordinates, the others work. */
#ifndef SHARDLM_LAUNCH_JOB_H
#define SHARDLM_LAUNCH_JOB_H

#include "coordinator/coordinator.h"
#include "launch/config.h"
#include "launch/run_memory.h"
#include "worker/worker.h"

struct job_options {
    const struct config *config; /* read by rank 0 alone; others may pass NULL */
    const char *run;             /* run folder, or NULL: nothing is written (benchmarks) */
    const char *resume_path;     /* checkpoint to begin from, or NULL; as rank 0 says */
    int64_t resume_step;         /* its step, or 0 */
    struct run_memory memory;    /* where the state survives a crash; as rank 0 says */
    int64_t last_step;           /* as rank 0 says */
    bool accept_profile_change;  /* as rank 0 says */
    struct data_skips skips;     /* data that is passed over; as rank 0 says */
    bool checkpoint_at_end;
    /* Called on rank 0 once all workers have opened everything, before the first step: the place to
     * make the run folder, so that bad input leaves nothing behind. May be NULL. */
    enum status (*begin)(void *context, const struct worker_start *start, struct error *error);
    void *context;                        /* of begin */
    struct coordinator_listener listener; /* rank 0 */
};

bool job_is_child(void); /* was this process started by mpirun? */
int64_t job_rank(void);  /* its rank, before anything is opened */
int64_t job_world(void); /* ranks in the job, before anything is opened */

/* `prepare` is rank 0's chance to read files and fill the options; its failure is every rank's
 * failure. Does not return on a failure in mid-run: then the whole job ends with the message
 * printed once by rank 0. Returns on rank 0 alone: the other processes end here. Collective. */
typedef enum status (*job_prepare)(void *context, struct job_options *options, struct error *error);
MUST_CHECK enum status job_run(job_prepare prepare, void *context,
                               struct coordinator_result *result /* rank 0 */, struct error *error);

#endif
