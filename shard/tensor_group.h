/* The workers that compute the same slots, each some of the tensor parts (model/parts.h): sums and
 * records go between them by recursive doubling. In round r a member meets the one whose index
 * differs in bit r; both add what they have, so that after log2(count) rounds all have the same
 * sum, added as (0 + 1) + (2 + 3), …: the tree in which a single worker adds.
 *
 * Calls do not return a status, since they stand deep inside a network: the first failure is kept,
 * later calls do nothing, and tensor_group_check tells. Every wait has the fabric's limit. */
#ifndef SHARDLM_SHARD_TENSOR_GROUP_H
#define SHARDLM_SHARD_TENSOR_GROUP_H

#include "shard/topology.h"

struct tensor_group {
    struct fabric_group *group;
    int64_t member, count; /* a power of two */
    int64_t first_worker;  /* member 0 */
    unsigned char *received;
    size_t received_bytes;
    struct error failure; /* status STATUS_OK: none */
};

/* `most_bytes`: of the largest sum. */
void tensor_group_init(struct tensor_group *tensor, const struct topology *topology,
                       size_t most_bytes);
void tensor_group_deinit(struct tensor_group *tensor); /* accepts a zeroed one */

/* In place: the sum over all members. Collective over the group. */
void tensor_group_sum(struct tensor_group *tensor, float *values, int64_t count);
/* all[m · size_bytes …] = data of member m; one's own is there. Collective over the group. */
void tensor_group_gather(struct tensor_group *tensor, void *all, size_t size_bytes);
/* The first failure since the last check. Local. */
MUST_CHECK enum status tensor_group_check(struct tensor_group *tensor, struct error *error);

#endif
