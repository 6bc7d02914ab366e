/* The hosts of mpirun's host file. When a job has broken, each host is asked to start a process;
 * one that cannot is dropped, or replaced by a spare. A spare is a comment of the host file:
 *
 *     node1 slots=16
 *     node2 slots=16
 *     # spare node3 slots=16
 *
 * What is left is written to RUN/hosts, from which mpirun reads then. */
#ifndef SHARDLM_LAUNCH_HOST_LIST_H
#define SHARDLM_LAUNCH_HOST_LIST_H

#include "base/file.h"

struct host_list {
    char **lines; /* "node1 slots=16" */
    int64_t count;
    char **spares;
    int64_t spare_count;
    char path[PATH_BYTES]; /* of the file that holds `lines`; empty: no host file */
};

/* `hostfile` NULL: an empty list. STATUS_INPUT or STATUS_IO if it cannot be read. */
MUST_CHECK enum status host_list_open(struct host_list *list, const char *hostfile,
                                      struct error *error);
void host_list_close(struct host_list *list);             /* accepts a zeroed list */
const char *host_list_path(const struct host_list *list); /* for mpirun, or NULL */
/* Asks all hosts and writes RUN/hosts if one was lost; says so on stderr. STATUS_PEER if none is
 * left. */
MUST_CHECK enum status host_list_check(struct host_list *list, const char *run,
                                       struct error *error);

#endif
