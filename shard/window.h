/* Memory that all workers of a node share, and a barrier in it that costs no busy core. A window is
 * a file of /dev/shm (mode 0600) without a name: nothing is left behind whatever kills the
 * processes. One that is to survive them is given a name (window_keep); a later job adopts it by
 * that name. Every process that maps a window holds a shared lock on its file, so nobody adopts
 * one that a process still writes. */
#ifndef SHARDLM_SHARD_WINDOW_H
#define SHARDLM_SHARD_WINDOW_H

#include <stdatomic.h>

#include "shard/topology.h"

enum { WINDOW_NAME_BYTES = 64 };

struct window {
    unsigned char *data; /* zeroed at open, large page aligned */
    size_t size_bytes;
    int descriptor; /* while data != NULL */
    bool large;     /* window_reserve takes large pages where it can: for ranges that are new */
};

/* A new one, zeroed; its pages are taken by window_reserve or when they are touched. Collective
 * over the node. */
MUST_CHECK enum status window_open(struct window *window, struct fabric_group *node,
                                   size_t size_bytes, const char *purpose, struct error *error);
/* The window that an earlier job kept as `name`, as that job left it; *found is false if there is
 * none, if it has another size or if processes of the earlier job still hold it after
 * limit_seconds. Collective over the node. */
MUST_CHECK enum status window_adopt(struct window *window, struct fabric_group *node,
                                    const char *name, size_t size_bytes, double limit_seconds,
                                    bool *found, struct error *error);
/* Takes pages now, so that a lack of memory is an error here and not a SIGBUS later: STATUS_IO with
 * the sizes. Local. */
MUST_CHECK enum status window_reserve(const struct window *window, size_t first_byte,
                                      size_t size_bytes, const char *purpose, struct error *error);
/* Gives pages back: the bytes are zero from now on, and take memory again when they are touched or
 * reserved. Local. */
MUST_CHECK enum status window_vacate(const struct window *window, size_t first_byte,
                                     size_t size_bytes, struct error *error);
/* Gives the window a name under which it survives. Local, by one worker of the node. */
MUST_CHECK enum status window_keep(const struct window *window, const char *name,
                                   struct error *error);
/* Memory that the system has given for it so far; 0 for a zeroed one. Local. */
int64_t window_taken_bytes(const struct window *window);
void window_close(struct window *window); /* Local; accepts a zeroed window. */
/* Removes all names of this host that begin with `prefix`; returns how many there were. */
int64_t window_remove(const char *prefix);

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
