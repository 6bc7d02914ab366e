/* Who holds and computes what; none of it can change a bit of the result. */
#ifndef SHARDLM_SHARD_SHARD_OPTIONS_H
#define SHARDLM_SHARD_SHARD_OPTIONS_H

#include <stdint.h>

#include "model/model_role.h"

struct shard_options {
    int64_t
        stage; /* 0: every node updates all parameters; 1: each owner updates and keeps its part */
    int64_t simulate_nodes; /* treat this machine as so many nodes: separate memory, only MPI
                               between; 0: real */
    enum model_recompute activation_recompute; /* what forward does not keep for backward */
};

#endif
