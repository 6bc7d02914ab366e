/* Options of the step loop: numeric profile, leases, evaluation. */
#ifndef SHARDLM_WORKER_WORKER_OPTIONS_H
#define SHARDLM_WORKER_WORKER_OPTIONS_H

#include <stdint.h>

enum numerics_compute {
    NUMERICS_COMPUTE_FP32,
};

enum numerics_core {                     /* kernel family of BLAS and of our vector code */
                     NUMERICS_CORE_AUTO, /* the best that all workers have, recorded at the first
                                            start */
                     NUMERICS_CORE_AVX2,
                     NUMERICS_CORE_AVX512,
};

struct numerics_options {
    enum numerics_compute compute;
    enum numerics_core core;
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
