/* What a job will take on a cluster of a given shape, from the sizes of its parts and a short
 * measurement: memory, traffic, time, disk. Arithmetic only; command_plan.c measures and prints.
 * Memory in bytes, time in seconds. Nodes are alike; workers are spread evenly over them.
 *
 * Shared once a node: weights 4P, exact sums 8P, moments 8P of what is owned there, snapshot 12P /
 * nodes (P: elements of the flat parameter space), and each owner's redo record.
 * Each worker: activations and gradient scratch (model_work_bytes), and what every process of the
 * job holds (libraries, MPI, HDF5, data), which is measured.
 * In a pipeline of p workers each holds other layers and other numbers of slots: work_bytes is
 * their mean, which is right for a node with whole pipelines, and work_bytes_most the largest. Its
 * step lasts (m + p - 1) / p slots where one with its own workers would last m: the ends are
 * filled. Stage 2 divides the sums by nodes and stage 3 the weights too; what comes and goes beside
 * it is at most the embeddings' group and one other, and a worker's piece of the sums under way.
 * Step: slots are dealt out one by one, so it lasts as long as the worker with most of them:
 * ceil(slots / workers) slots, then the update of its share of the parameters. Between nodes each
 * element moves as 8 bytes of sum and, under stage 1, comes back as 4 bytes of
 * weight; the sums of all but the lowest group are hidden behind the last slot's backward where
 * that takes longer. From stage 2 on sums move in every round of slots, and under stage 3 the
 * weights of all layers twice and of the embeddings three times. */
#ifndef SHARDLM_LAUNCH_FORECAST_H
#define SHARDLM_LAUNCH_FORECAST_H

#include "base/error.h"
#include "launch/config.h"
#include "model/parameters.h"

/* Private memory that writing checkpoints with HDF5 adds to each worker, and to the first, which
 * also publishes them; measured with models of 1 to 54 M parameters. The measurement before a plan
 * writes none. */
enum {
    FORECAST_WRITER_BYTES = 4500000,
    FORECAST_PUBLISHER_BYTES = 6000000,
    FORECAST_STAGE_MAX = 3
};

/* Who computes and holds; none of it changes a bit of the result. */
struct forecast_shape {
    int64_t workers; /* in all */
    int64_t nodes;
    int64_t stage;
    int64_t pipeline; /* 0 or 1: none; divides the workers */
};

/* What is known beforehand. */
struct forecast_inputs {
    int64_t elements;        /* of the flat parameter space */
    int64_t blocks;          /* of it */
    int64_t table_elements;  /* of the embeddings' group */
    int64_t layer_elements;  /* of the largest other group */
    int64_t work_bytes;      /* of one worker's model, mean */
    int64_t work_bytes_most; /* and the largest */
    int64_t state_bytes;     /* that a slot sends from section to section, once */
    int64_t slots;           /* in a step */
    int64_t steps;           /* in the run */
    int64_t kept;            /* checkpoints on disk at once */
    double slot_flops;       /* useful, forward and backward */
    double process_bytes;    /* measured: private memory of a worker besides its model */
    double worker_flops;     /* measured: useful, a second, with all of a node's workers busy */
    double element_seconds;  /* measured: update of one element, one worker */
    double node_bytes;       /* memory of a node */
    double network_bytes;    /* a second, each way, of a node */
};

struct forecast_figures {
    double weights, sums, moments, records, snapshot; /* bytes, shared, a node */
    double shared;                                    /* their sum */
    double worker;                                    /* bytes, private, a worker */
    double coordinator;                               /* bytes, on the first node */
    double all_workers;                               /* bytes, all nodes without the coordinator */
    double node;                                      /* bytes, the first node, all processes */
    double traffic;                  /* bytes that a node sends in a step; 0 on one node */
    double compute, update, network; /* seconds of a step: slots, update, what nothing hides */
    double step;                     /* seconds */
    double run;                      /* seconds, all steps */
    double checkpoint;               /* bytes on disk, one */
    bool fits;                       /* node <= node_bytes */
};

struct forecast_figures forecast_figure(const struct forecast_inputs *inputs,
                                        const struct forecast_shape *shape);

/* The shape that fits and is nearest: same nodes with the next stages, then fewer workers a node,
 * then more nodes of as many workers, up to `nodes_max`. Returns false if none of them fits. */
bool forecast_nearest(const struct forecast_inputs *inputs, const struct forecast_shape *wanted,
                      int64_t nodes_max, struct forecast_shape *nearest);

#endif
