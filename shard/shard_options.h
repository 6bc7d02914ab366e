/* Who holds and computes what; none of it can change a bit of the result. */
#ifndef SHARDLM_SHARD_SHARD_OPTIONS_H
#define SHARDLM_SHARD_SHARD_OPTIONS_H

#include <stdint.h>

#include "model/model_role.h"

struct shard_options {
    int64_t stage; /* what nodes keep only their part of: 0 nothing, 1 the optimizer's state, 2 also
                      the gradient sums, 3 also the weights */
    int64_t tensor; /* workers that compute a slot together, each some of numerics.tensor_parts */
    int64_t simulate_nodes; /* treat this machine as so many nodes: separate memory, only MPI
                               between; 0: real */
    int64_t pipeline; /* consecutive parts of the network, each on a worker of its own; 1: whole */
    enum model_recompute activation_recompute; /* what forward does not keep for backward */
};

#endif
