/* What a job will take on a cluster of a given shape, from the sizes of its parts and a short
 * measurement: memory, traffic, time, disk. Arithmetic only; command_plan.c measures and prints.
 * Memory in bytes, time in seconds. Nodes are alike; workers are spread evenly over them.
 *
 * Shared once a node: weights 4P, exact sums 8P, moments 8P of what is owned there, snapshot 12P /
 * nodes (P: elements of the flat parameter space), and each owner's redo record. Stage 2 divides
 * the sums by nodes and stage 3 the weights too; what comes and goes beside it is at most the
 * embeddings' group and one other, or, of each section of a pipeline, three.
 * Each worker: activations and gradient scratch (model_work_bytes), what every process of the job
 * holds (libraries, MPI, HDF5, data), which is measured, and between nodes the sums under way. In a
 * pipeline each section holds other layers and other numbers of slots: forecast_work has their
 * mean, which is right for a node with whole pipelines, and the largest.
 *
 * A team of p · t workers (p sections, each of t tensor members) computes a slot. Slots are dealt
 * out one by one, so a step lasts as long as the team with most of them, m = ceil(slots / teams):
 * (m + p - 1) / p slots, since the ends of a pipeline are filled. The work of a slot is divided by
 * t, and an exchange added: each layer sends four arrays of N · C floats in every round of
 * doubling, through memory on one node, else over its network, which all members that cross share.
 * Then the update of a worker's share of the parameters.
 *
 * Between nodes each element moves as 8 bytes of sum and, under stage 1, comes back as 4 bytes of
 * weight; the sums of all but the lowest group are hidden behind the last slot's backward where
 * that takes longer. From stage 2 on sums move in every round of slots, and under stage 3 the
 * weights of all layers twice and of the embeddings three times. A slot's states and their
 * gradients move where neighbouring sections are on different nodes. */
#ifndef SHARDLM_LAUNCH_FORECAST_H
#define SHARDLM_LAUNCH_FORECAST_H

#include "base/error.h"
#include "model/model_role.h"

/* Private memory that writing checkpoints with HDF5 adds to each worker, and to the first, which
 * also publishes them; measured with models of 1 to 54 M parameters. The measurement before a plan
 * writes none. */
enum {
    FORECAST_WRITER_BYTES = 4500000,
    FORECAST_PUBLISHER_BYTES = 6000000,
    FORECAST_STAGE_MAX = 3,
    FORECAST_CUTS_MAX = 8,
};

/* Who computes and holds; none of it changes a bit of the result. */
struct forecast_shape {
    int64_t workers; /* in all */
    int64_t nodes;
    int64_t stage;
    int64_t pipeline; /* 0 or 1: none */
    int64_t tensor;   /* 0 or 1: none; workers are a multiple of the product */
    enum model_recompute recompute;
};

/* Work memory of a worker's model. 0: the network cannot be cut so. */
struct forecast_work {
    int64_t mean;
    int64_t most;
};

/* What is known beforehand. */
struct forecast_inputs {
    int64_t elements;                     /* of the flat parameter space */
    int64_t blocks;                       /* of it */
    int64_t table_elements;               /* of the embeddings' group */
    int64_t layer_elements;               /* of the largest other group */
    int64_t pipelines[FORECAST_CUTS_MAX]; /* ascending; 0: no more */
    int64_t tensors[FORECAST_CUTS_MAX];
    struct forecast_work works[MODEL_RECOMPUTES][FORECAST_CUTS_MAX][FORECAST_CUTS_MAX];
    int64_t state_bytes; /* that a slot sends from section to section, once */
    /* What a tensor member sends in a slot and round of doubling, by recompute. */
    int64_t exchange_bytes[MODEL_RECOMPUTES];
    int64_t slots;        /* in a step */
    int64_t steps;        /* in the run */
    int64_t kept;         /* checkpoints on disk at once */
    double slot_flops;    /* useful, forward and backward */
    double process_bytes; /* measured: private memory of a worker besides its model */
    double worker_flops; /* measured: useful, a second, nothing computed again, with all of a node's
                            workers busy */
    double element_seconds;  /* measured: update of one element, one worker */
    double exchange_seconds; /* measured: a byte from member to member of one node */
    double node_bytes;       /* memory of a node */
    double network_bytes;    /* a second, each way, of a node */
};

struct forecast_figures {
    double weights, sums, moments, records, snapshot; /* bytes, shared, a node */
    double shared;                                    /* their sum */
    double worker;                                    /* bytes, private, a worker */
    double received;                                  /* of it: sums between nodes */
    double coordinator;                               /* bytes, on the first node */
    double all_workers;                               /* bytes, all nodes without the coordinator */
    double node;                                      /* bytes, the first node, all processes */
    double traffic;                  /* bytes that a node sends in a step; 0 on one node */
    double compute, update, network; /* seconds of a step: slots, update, what nothing hides */
    double exchange;                 /* of `compute`: between tensor members */
    double bubble;                   /* share of `compute` in which a section has no slot */
    double step;                     /* seconds */
    double run;                      /* seconds, all steps */
    double checkpoint;               /* bytes on disk, one */
    bool fits;                       /* node <= node_bytes */
};

/* The network must be one that can be cut so (forecast_work_of). */
struct forecast_figures forecast_figure(const struct forecast_inputs *inputs,
                                        const struct forecast_shape *shape);
struct forecast_work forecast_work_of(const struct forecast_inputs *inputs,
                                      const struct forecast_shape *shape);
/* Operations that are done against those without computing again. */
double forecast_again(enum model_recompute recompute);
/* Seconds of a slot's exchanges between tensor members. */
double forecast_exchange(const struct forecast_inputs *inputs, const struct forecast_shape *shape);

/* The shape that fits and is nearest. With the same workers and nodes: the next stages, then
 * computing again, then more tensor members, then a longer pipeline, whichever is enough first;
 * else fewer workers a node; else more nodes of as many workers, up to `nodes_max`. Returns false
 * if none of them fits. */
bool forecast_nearest(const struct forecast_inputs *inputs, const struct forecast_shape *wanted,
                      int64_t nodes_max, struct forecast_shape *nearest);

#endif
