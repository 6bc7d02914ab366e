/* Who owns which part of the flat parameter space. Each group is cut at block boundaries into one
 * slice per driver; under stage 1 and above each slice is cut again into one piece per node. Owning
 * means: holding the optimizer state and computing the update; under stage 2 also the sums, which
 * other nodes hold only until they are sent; under stage 3 also the weights, which other nodes hold
 * only while they compute with them. Cuts are pure arithmetic; they move work, never results. */
#ifndef SHARDLM_SHARD_PARTITION_H
#define SHARDLM_SHARD_PARTITION_H

#include "model/parameters.h"
#include "shard/topology.h"

struct partition_range { /* elements of the flat space */
    int64_t first;
    int64_t count;
};

struct partition {
    const struct parameter_table *table; /* kept */
    int64_t stage;
    int64_t driver_count, node_count;
    int64_t driver, node;           /* this worker; driver == -1: owns nothing */
    struct partition_range *slices; /* (groups) this driver's slice of each group */
    struct partition_range *owned;  /* (groups) what this worker owns of it */
};

/* Whether this job's nodes keep only what they own of the sums, and of the weights. */
bool partition_divides_sums(const struct partition *partition);
bool partition_divides_weights(const struct partition *partition);

void partition_init(struct partition *partition, const struct parameter_table *table,
                    const struct topology *topology, int64_t stage);
void partition_deinit(struct partition *partition);

/* Slice of driver `driver`, and the pieces of it by node: firsts (node_count + 1), absolute
 * elements. */
struct partition_range partition_slice(const struct partition *partition, int64_t group,
                                       int64_t driver);
/* What driver `driver` of this node owns of a group. */
struct partition_range partition_owned(const struct partition *partition, int64_t group,
                                       int64_t driver);
void partition_pieces(const struct partition *partition, int64_t group, int64_t driver,
                      int64_t *firsts);

#endif
