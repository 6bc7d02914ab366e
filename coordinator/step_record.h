/* What is known of a step, and of an evaluation, once all workers have answered: from their READYs
 * to the journal's lines. Who keeps or shows them is the coordinator's business.
 *
 * Journal: one JSON object a line, appended.
 * {"event":"start"|"resume"|"checkpoint"|"evaluation"|"stop"|"warning"|"end", …} and for each step
 * {"step","loss","rate","norm","tokens","targets","accuracy","seconds","tokens_per_second",
 * "gflops","peak_share","wait_share","exact_share","memory_mb","worker_mb","node_mb","leases","fingerprint"}.
 * Steps and evaluations have "pair_loss","pair_accuracy","pairs" of families that label sequences,
 * and "span_loss","span_accuracy","spans" of SpanBERT. */
#ifndef SHARDLM_COORDINATOR_STEP_RECORD_H
#define SHARDLM_COORDINATOR_STEP_RECORD_H

#include <stdbool.h>

#include "coordinator/head_record.h"

struct step_record {
    int64_t step;
    int64_t last_step; /* where this start of the run ends */
    double loss;       /* nats per predicted token */
    double accuracy;   /* share of the targets predicted */
    struct head_records heads;
    double rate, norm;
    int64_t tokens; /* of this step */
    int64_t targets;
    double seconds;     /* wall clock of the step */
    double flops;       /* useful floating-point operations of the step, all workers */
    double peak_flops;  /* a second: matrix-multiply peak of all workers, measured at their start */
    double wait_share;  /* share of the workers' time that was not compute */
    double exact_share; /* share of the workers' time that went into exact sums */
    double memory_bytes; /* peak resident: private parts of all workers and shared memory once a
                            node */
    double worker_bytes; /* of it the private part of the worker with most */
    double node_bytes;   /* and the shared memory of the node with most */
    bool dynamic;
    int64_t audited;         /* 1 + slot that two workers computed with the same bits; 0: none */
    const char *fingerprint; /* borrowed */
};

struct evaluation_record {
    int64_t step;
    double loss;
    double accuracy;
    int64_t targets;
    struct head_records heads;
};

/* What the first worker's READY says of them: totals of the step. The figures of all workers
 * (seconds and those after it) are the caller's to fill in. Borrows the fingerprint. */
struct step_record step_record_make(int64_t step, const struct message *ready);
struct evaluation_record evaluation_record_make(int64_t step, const struct message *ready);

/* Lines for the journal; the caller releases them. */
json_t *step_record_line(const struct step_record *record);
/* Of a step whose line the job before may not have written: without figures of the machine. */
json_t *step_record_recalled_line(const struct step_record *record);
json_t *evaluation_record_line(const struct evaluation_record *record);

#endif
