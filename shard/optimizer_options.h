/* Options of the optimizer and of the learning-rate schedule. */
#ifndef SHARDLM_SHARD_OPTIMIZER_OPTIONS_H
#define SHARDLM_SHARD_OPTIMIZER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum optimizer_name {
    OPTIMIZER_NAME_ADAMW,
    OPTIMIZER_NAME_LAMB, /* a tensor's step in proportion to its norm; biases and LayerNorm as AdamW
                          */
};

enum schedule_name {
    SCHEDULE_NAME_LINEAR,
    SCHEDULE_NAME_COSINE,
    SCHEDULE_NAME_INVERSE_SQUARE_ROOT,
    SCHEDULE_NAME_CONSTANT,
};

struct optimizer_options {
    enum optimizer_name name;
    enum schedule_name schedule;
    double peak_rate;
    int64_t warmup_steps;
    int64_t total_steps;
    double betas[2];
    double epsilon;
    double weight_decay;
    bool bias_correction; /* of the moments */
    double clip_norm; /* 0: no clipping */
};

#endif
