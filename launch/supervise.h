/* Keeps a job going, from an ordinary shell: starts it under mpirun, starts a run again when it
 * breaks, and says why it does not.
 *
 *     start ──▶ wait ──▶ ended for another number of workers (ctl workers) ──▶ start
 *                 ├────▶ ended, bad input, bad numbers or stopped by request ──▶ its exit code
 *       ▲        └────▶ broke ──▶ give up after so many starts without a step done
 *       └── back-off ◀──────┘
 *
 * The first restart is at once, later ones without a step in between wait longer each time. Hosts
 * of the host file that no longer start a process are dropped, or replaced by a spare. The journal
 * records every restart. If this process is killed, the job goes on without it. */
#ifndef SHARDLM_LAUNCH_SUPERVISE_H
#define SHARDLM_LAUNCH_SUPERVISE_H

#include "launch/command_line.h"
#include "launch/restart_options.h"

struct supervision {
    const struct command_line *line;
    int64_t workers;       /* 0: one for each core that this process may use */
    const char *hostfile;  /* mpirun's, or NULL */
    const char *run;       /* folder, or NULL: the job is started once */
    const char *last_step; /* --steps as given, or NULL */
    struct restart_options restart;
    bool stop_on_failure; /* a job that could not write (exit code 74) is not started again */
};

/* Status of the finished job: what rank 0 ended with; its message is empty where rank 0 has printed
 * one. */
MUST_CHECK enum status supervise(const struct supervision *supervision, struct error *error);

#endif
