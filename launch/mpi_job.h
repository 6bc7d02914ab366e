/* One start of this program as a job under mpirun, and the wait for its end. The first Ctrl-C,
 * SIGTERM or SIGUSR1 is passed on as a request to write a checkpoint and stop; a second one ends
 * the job at once. */
#ifndef SHARDLM_LAUNCH_MPI_JOB_H
#define SHARDLM_LAUNCH_MPI_JOB_H

#include <stdbool.h>

#include "base/file.h"

struct mpi_job {
    const char *const *words; /* behind the program's name; ends with NULL */
    int64_t workers;          /* one rank more is started: the coordinator */
    const char *hostfile;     /* mpirun's, or NULL: all on this host */
    const char *folder;       /* for mpirun's own files on this host, or NULL: where it likes */
    /* How many seconds may mpirun still take to end a job of which nothing can go on? Negative: it
     * is at work. Asked ten times a second; NULL: nobody can tell. mpirun takes two seconds to end
     * the processes that are left, and waits for good for hosts that a cut network took away: it is
     * killed once it has taken so long. */
    double (*farewell_seconds)(void *context);
    void *context; /* of farewell_seconds */
};

/* Signals that reached this process so far, each a request to stop. */
int64_t mpi_job_stops(void);
/* From here on signals are counted, also between two jobs. */
void mpi_job_signals(void);
/* *code: what rank 0 left with mpi_job_verdict, else mpirun's exit code, 128 + n if signal n killed
 * it. */
MUST_CHECK enum status mpi_job_run(const struct mpi_job *job, int *code, struct error *error);
/* By rank 0, before it ends a job that has failed: leaves its exit code and its last words for
 * mpi_job_run to say, since mpirun's code may be that of a process which it killed on the way, and
 * what stands in its pipes may be lost. False: not left (a job without a folder). */
bool mpi_job_verdict(int code, const char *message);
/* What an exit code means, as a status; rank 0 has said what went wrong, unless it was killed: then
 * this says it. `advice` (or NULL) is added when the job broke. */
MUST_CHECK enum status mpi_job_explain(int code, const char *advice, struct error *error);

#endif
