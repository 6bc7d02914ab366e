/* Starts a job under mpirun from an ordinary shell and waits for it: the same program, the same
 * words, as ranks. Passes Ctrl-C and SIGTERM on as a request to write a checkpoint and stop; a
 * second one ends the job at once. */
#ifndef SHARDLM_LAUNCH_SUPERVISE_H
#define SHARDLM_LAUNCH_SUPERVISE_H

#include "launch/command_line.h"

/* Runs the command of `line` again under mpirun with `workers` workers (0: one for each core that
 * this process may use) and one coordinator. `hostfile`: mpirun's, or NULL. Status of the finished
 * job: what rank 0 ended with; its message is empty where rank 0 has printed one. `advice` (or
 * NULL) is added when the job broke. */
MUST_CHECK enum status supervise_again(const struct command_line *line, int64_t workers,
                                       const char *hostfile, const char *advice,
                                       struct error *error);

#endif
