/* When checkpoints are written and which stay. */
#ifndef SHARDLM_CHECKPOINTS_CHECKPOINT_OPTIONS_H
#define SHARDLM_CHECKPOINTS_CHECKPOINT_OPTIONS_H

#include <stdint.h>

/* What becomes of the training when a checkpoint or a line of the journal cannot be written. */
enum checkpoint_failure {
    CHECKPOINT_FAILURE_GO_ON, /* it goes on; the checkpoints there are stay */
    CHECKPOINT_FAILURE_STOP,  /* the job ends, the state stays in memory */
};

struct checkpoint_options {
    int64_t every_steps; /* 0: only at the end and on a stop */
    int64_t keep;        /* the newest so many stay */
    int64_t keep_every;  /* steps divisible by this stay for ever; 0: none */
    enum checkpoint_failure on_failure;
};

#endif
