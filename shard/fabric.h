/* The data plane between ranks: groups of ranks and the few collectives that the program needs.
 * Only fabric_mpi.c knows MPI. Sums are of 64-bit integers alone: whatever algorithm the library
 * picks, the result is the same. Every call says whether it is collective. Every wait has a limit
 * (fabric_limit_set) and ends in STATUS_TIMEOUT that names the call, the group and how long; a rank
 * that fails alone ends the job through fabric_abort. */
#ifndef SHARDLM_SHARD_FABRIC_H
#define SHARDLM_SHARD_FABRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { FABRIC_HOST_BYTES = 64, FABRIC_REQUEST_BYTES = 16 };

struct fabric;       /* the job as this process sees it */
struct fabric_group; /* an ordered set of ranks; owned by the fabric, released with it */

/* Joins the job that mpirun started (one thread calls in here). One fabric per process. */
MUST_CHECK enum status fabric_open(struct fabric **fabric, struct error *error);
/* Leaves in order. Collective over all ranks. */
void fabric_close(struct fabric *fabric); /* accepts NULL */
/* Ends every process of the job at once. */
__attribute__((noreturn)) void fabric_abort(struct fabric *fabric, int exit_code);
/* How long any wait may take, in seconds. */
void fabric_limit_set(struct fabric *fabric, double limit_seconds);
/* What this process does again and again while it waits for anything, because others may wait for
 * that; it must not wait itself. NULL: nothing. */
struct fabric_duty {
    enum status (*call)(void *context, struct error *error);
    void *context;
};
void fabric_duty_set(struct fabric *fabric, struct fabric_duty duty);
const char *fabric_host(const struct fabric *fabric);
const char *fabric_library(const struct fabric *fabric); /* "Open MPI 4.1.4" */

struct fabric_group *fabric_world(struct fabric *fabric);
int64_t fabric_rank(const struct fabric_group *group);  /* this process in the group, from 0 */
int64_t fabric_count(const struct fabric_group *group); /* ranks in it */

/* Members with equal `colour` (>= 0) form a group, ordered by `order`, then old rank; colour -1
 * gets NULL. Collective over `group`. `name` is borrowed for messages. */
MUST_CHECK enum status fabric_split(struct fabric_group *group, int64_t colour, int64_t order,
                                    const char *name, struct fabric_group **part,
                                    struct error *error);
/* Members that share memory (one host) form a group. Collective. */
MUST_CHECK enum status fabric_split_hosts(struct fabric_group *group, const char *name,
                                          struct fabric_group **part, struct error *error);

/* Makes the lowest failing rank's status and message everybody's. Collective. */
MUST_CHECK enum status fabric_agree(struct fabric_group *group, enum status status,
                                    struct error *error);
MUST_CHECK enum status fabric_barrier(struct fabric_group *group,
                                      struct error *error); /* Collective. */
MUST_CHECK enum status fabric_broadcast(struct fabric_group *group, int64_t root, void *data,
                                        size_t size_bytes, struct error *error); /* Collective. */
/* all[r·size …] = data of rank r. Collective. */
MUST_CHECK enum status fabric_gather_all(struct fabric_group *group, const void *data, void *all,
                                         size_t size_bytes, struct error *error);
/* In place, element by element. Collective. */
MUST_CHECK enum status fabric_sum(struct fabric_group *group, int64_t *values, int64_t count,
                                  struct error *error);
MUST_CHECK enum status fabric_least(struct fabric_group *group, int64_t *values, int64_t count,
                                    struct error *error);
/* In place: rank r contributes values[firsts[r] … firsts[r + 1]); all get all. Collective. */
MUST_CHECK enum status fabric_gather_ranges(struct fabric_group *group, float *values,
                                            const int64_t *firsts /* (ranks + 1) */,
                                            struct error *error);
/* Like it, but only `root` gets all, in `all` (indexed from firsts[0]); others pass their own part.
 * Collective. */
MUST_CHECK enum status fabric_collect_ranges(struct fabric_group *group, int64_t root,
                                             const float *own, float *all, const int64_t *firsts,
                                             struct error *error);

/* Sends to member `other` of the group and receives as many bytes from it. Both call. */
MUST_CHECK enum status fabric_swap(struct fabric_group *group, int64_t other, const void *sent,
                                   void *received, size_t size_bytes, const char *what,
                                   struct error *error);

/* Sums or messages under way while the caller computes. */
struct fabric_request {
    _Alignas(8) unsigned char opaque[FABRIC_REQUEST_BYTES]; /* the library's handle */
    struct fabric_group *group;
    int *counts;     /* owned until complete: the library may read them till then */
    int64_t *pieces; /* owned likewise: what the other ranks send for a scattered sum */
    int64_t *sums;   /* and to what these are added then: (sum_count) */
    int64_t sum_count;
    bool active;
};
/* In place over `count` elements. Collective: every member begins the same sums in the same order.
 */
MUST_CHECK enum status fabric_sum_begin(struct fabric_group *group, int64_t *values, int64_t count,
                                        struct fabric_request *request, struct error *error);
/* Of `values`, indexed from firsts[0], each rank gets its part of the sum, [firsts[rank],
 * firsts[rank + 1]), in place; the rest is of no use any more. Each sends every other its part,
 * once: (ranks - 1) / ranks of the data, where the library's own sum adds all up on one rank first.
 * Collective likewise. */
MUST_CHECK enum status fabric_sum_scatter_begin(struct fabric_group *group, int64_t *values,
                                                const int64_t *firsts,
                                                struct fabric_request *request,
                                                struct error *error);
/* One message between two ranks of a group, of up to INT32_MAX floats; `tag` tells those apart that are under way
 * between the same two. The receiver may expect more than comes. Local. */
MUST_CHECK enum status fabric_send_begin(struct fabric_group *group, int64_t to, int tag,
                                         const float *values, int64_t count,
                                         struct fabric_request *request, struct error *error);
MUST_CHECK enum status fabric_receive_begin(struct fabric_group *group, int64_t from, int tag,
                                            float *values, int64_t count,
                                            struct fabric_request *request, struct error *error);
/* Takes a message of no floats that has come in, if one has: *found. Local. */
MUST_CHECK enum status fabric_signal_take(struct fabric_group *group, int64_t *from, int *tag,
                                          bool *found, struct error *error);
/* Lets the library move data; *done when the request is complete (an inactive one is). Local. */
MUST_CHECK enum status fabric_test(struct fabric_request *request, bool *done, struct error *error);
MUST_CHECK enum status fabric_wait(struct fabric_request *request, const char *what,
                                   struct error *error);
/* For waits that are not the fabric's own: does the duty and lets the library move data. Local. */
MUST_CHECK enum status fabric_poll(struct fabric_group *group, struct error *error);

#endif
