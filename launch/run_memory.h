/* Under which name a run's state survives the processes in shared memory (worker/recall.h).
 * RUN/memory holds it: a random name and the folder's inode number, one line. A start renews it
 * unless it goes on from memory, and a copied folder has another number: so memory that another
 * start has overtaken, or of the run that a folder was copied from, is never taken for the run's.
 */
#ifndef SHARDLM_LAUNCH_RUN_MEMORY_H
#define SHARDLM_LAUNCH_RUN_MEMORY_H

#include "base/error.h"
#include "base/file.h"

enum { RUN_MEMORY_BYTES = 48 };

struct run_memory {
    char former[RUN_MEMORY_BYTES]; /* of the job before; empty: none */
    char next[RUN_MEMORY_BYTES];   /* of this job, if it does not go on with the former */
};

/* `run` need not exist yet. */
MUST_CHECK enum status run_memory_choose(struct run_memory *memory, const char *run,
                                         struct error *error);
/* Stores that `next` is this run's. Before any window is kept under that name. */
MUST_CHECK enum status run_memory_renew(const struct run_memory *memory, const char *run,
                                        struct error *error);

#endif
