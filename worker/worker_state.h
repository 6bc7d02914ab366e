/* What a worker holds; shared by worker_open.c, which makes and restores it, and worker.c, which
 * obeys commands with it. */
#ifndef SHARDLM_WORKER_WORKER_STATE_H
#define SHARDLM_WORKER_WORKER_STATE_H

#include "model/parameter_gate.h"
#include "worker/pipeline.h"
#include "worker/trainer.h"
#include "worker/worker.h"
#include "worker/writer.h"

struct worker {
    const struct worker_setup *setup;
    struct fabric *fabric;
    struct fabric_group *workers;
    struct kernels kernels;
    char profile[CHECKPOINT_PROFILE_BYTES];
    struct model_options model_options;
    struct data_source *source;
    struct model *model;
    struct topology topology;
    struct tensor_group tensor;
    struct parts_exchange exchange;
    struct partition partition;
    struct node_state node;
    struct accumulator accumulator;
    struct weight_gate gate;              /* stage 3 over several nodes; else zeroed */
    struct parameter_gate parameter_gate; /* the model's end of it */
    struct optimizer optimizer;
    struct snapshot snapshot;
    struct writer *writer;
    struct prefetch *prefetch;
    struct pipeline *pipeline; /* NULL: a slot is computed by one worker */
    struct channel_client *channel;
    struct heart *heart;
    struct trainer trainer;
    struct digest fingerprint; /* of the state as it stands; on the first worker of each node */
    int64_t step;              /* updates done */
    int64_t order;             /* of the coordinator's last command; 0: none yet */
    bool recalled;             /* the state was found in memory */
    bool stays;                /* in memory, for the next job */
    bool profile_changed;      /* since the checkpoint, and accepted */
    int64_t tokens;            /* seen in training */
    int64_t loss_mean;         /* as restored; see worker/policy.h */
    int64_t loss_count;
    double held_out_loss; /* of the last evaluation; NaN: none */
};

#endif
