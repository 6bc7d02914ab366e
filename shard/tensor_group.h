/* The workers that compute the same slots, each some of the tensor parts (model/parts.h): sums and
 * records go between them by recursive doubling. In round r a member meets the one whose index
 * differs in bit r; both add what they have, so that after log2(count) rounds all have the same
 * sum, added as (0 + 1) + (2 + 3), …: the tree in which a single worker adds.
 *
 * Members of one node meet in memory that they share: each copies what it has there, says so, and
 * reads the other's. Those of several nodes send messages. Either way a piece at a time, so that
 * neither takes memory in proportion to what is summed.
 *
 * Calls do not return a status, since they stand deep inside a network: the first failure is kept,
 * later calls do nothing, and tensor_group_check tells. Every wait has a limit. */
#ifndef SHARDLM_SHARD_TENSOR_GROUP_H
#define SHARDLM_SHARD_TENSOR_GROUP_H

#include "shard/topology.h"
#include "shard/window.h"

struct tensor_place; /* of a member in the shared memory */

struct tensor_group {
    struct fabric_group *group;
    int64_t member, count;   /* a power of two */
    int64_t first_worker;    /* member 0 */
    double limit_seconds;    /* of any wait */
    struct window window;    /* (count places); empty between nodes */
    int64_t meetings;        /* so far */
    int64_t last_met;        /* member of the last one */
    unsigned char *received; /* between nodes: what the other sent */
    struct error failure;    /* status STATUS_OK: none */
};

/* Collective over the group. */
MUST_CHECK enum status tensor_group_init(struct tensor_group *tensor,
                                         const struct topology *topology, double limit_seconds,
                                         struct error *error);
void tensor_group_deinit(struct tensor_group *tensor); /* accepts a zeroed one */

/* In place: the sum over all members. Collective over the group. */
void tensor_group_sum(struct tensor_group *tensor, float *values, int64_t count);
/* all[m · size_bytes …] = data of member m; one's own is there. Collective over the group. */
void tensor_group_gather(struct tensor_group *tensor, void *all, size_t size_bytes);
/* The first failure since the last check. Local. */
MUST_CHECK enum status tensor_group_check(struct tensor_group *tensor, struct error *error);

#endif
