/* Memory that all workers of a node share, and a barrier in it that costs no busy core. A window is
 * a POSIX shared-memory segment; its name is removed as soon as all have it mapped, so nothing is
 * left behind whatever kills the processes. */
#ifndef SHARDLM_SHARD_WINDOW_H
#define SHARDLM_SHARD_WINDOW_H

#include <stdatomic.h>

#include "shard/topology.h"

struct window {
    unsigned char *data; /* zeroed at open, page aligned */
    size_t size_bytes;
};

/* STATUS_IO with the sizes if the node has not enough shared memory. Collective over the node. */
MUST_CHECK enum status window_open(struct window *window, struct fabric_group *node,
                                   size_t size_bytes, const char *purpose, struct error *error);
void window_close(struct window *window); /* Local; accepts a zeroed window. */

/* Lives in a window, zeroed at first. */
struct window_barrier {
    _Atomic uint32_t arrived;
    _Atomic uint32_t generation;
};

/* Waits until `count` workers are here; sleeps in the kernel. STATUS_TIMEOUT after limit_seconds,
 * naming `what` and how many came. Collective over the node. */
MUST_CHECK enum status window_barrier_wait(struct window_barrier *barrier, int64_t count,
                                           double limit_seconds, const char *what,
                                           struct error *error);

#endif
