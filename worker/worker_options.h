/* Options of the step loop: numeric profile, leases, evaluation. */
#ifndef SHARDLM_WORKER_WORKER_OPTIONS_H
#define SHARDLM_WORKER_WORKER_OPTIONS_H

#include <stdint.h>

#include "base/file.h"
#include "base/hash.h"

/* What a run's weights are before its first step. */
struct start_options {
    char checkpoint[PATH_BYTES]; /* whose weights, with moments of 0; "none": those of the seed */
    char fingerprint[DIGEST_TEXT_BYTES]; /* of that checkpoint's state; "none": not known yet */
};

enum numerics_compute {
    NUMERICS_COMPUTE_FP32,
    NUMERICS_COMPUTE_BF16, /* matrix products only; sums, weights and optimizer stay fp32 */
};

enum numerics_products {
    NUMERICS_PRODUCTS_SHARDLM,  /* ours: one set of bits on all processors */
    NUMERICS_PRODUCTS_OPENBLAS, /* the library's, pinned; fp32 */
};

enum numerics_core {                     /* vector level of the kernels */
                     NUMERICS_CORE_AUTO, /* the best that all workers have */
                     NUMERICS_CORE_AVX2,
                     NUMERICS_CORE_AVX512,
};

/* What becomes of a step with a slot that is not finite, or with a loss spike. */
enum numerics_policy {
    NUMERICS_POLICY_STOP,     /* end the job; the weights are those before the step */
    NUMERICS_POLICY_SKIP,     /* keep the weights, go on with the next step */
    NUMERICS_POLICY_ROLLBACK, /* back to a checkpoint, and on with data behind this step's */
    NUMERICS_POLICY_GO_ON,    /* update regardless; not for bad slots */
};

struct numerics_options {
    enum numerics_compute compute;
    enum numerics_products products;
    enum numerics_core core;
    int64_t tensor_parts; /* into which heads, feed-forward and vocabulary are cut (model/parts.h) */
    enum numerics_policy on_bad_slot;
    enum numerics_policy on_loss_spike;
    double spike_nats;      /* so far above the mean is a spike */
    int64_t rollback_steps; /* at least */
    int64_t audit_steps;    /* one slot is computed twice every so many steps; 0: never */
};

enum lease_mode {
    LEASE_MODE_AUTO, /* static; dynamic from the step on in which workers differ in speed */
    LEASE_MODE_STATIC,
    LEASE_MODE_DYNAMIC,
};

struct lease_options {
    enum lease_mode mode;
    double heartbeat_seconds; /* a worker tells that it lives this often */
    double silence_seconds;   /* one not heard of for so long ends the job with its name */
    double wait_seconds;      /* longest wait of a worker for others or for the coordinator */
};

struct evaluation_options {
    int64_t every_steps; /* 0: never during training */
    int64_t tokens;      /* token budget of one evaluation, rounded up to whole slots */
};

#endif
