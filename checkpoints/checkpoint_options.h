/* When checkpoints are written and which stay. */
#ifndef SHARDLM_CHECKPOINTS_CHECKPOINT_OPTIONS_H
#define SHARDLM_CHECKPOINTS_CHECKPOINT_OPTIONS_H

#include <stdint.h>

struct checkpoint_options {
    int64_t every_steps; /* 0: only at the end and on a stop */
    int64_t keep;        /* the newest so many stay */
    int64_t keep_every;  /* steps divisible by this stay for ever; 0: none */
};

#endif
