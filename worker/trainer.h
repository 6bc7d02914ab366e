/* One worker's part of the step, from lease to new weights: the only file that names the whole
 * chain, in order. */
#ifndef SHARDLM_WORKER_TRAINER_H
#define SHARDLM_WORKER_TRAINER_H

#include "coordinator/channel.h"
#include "coordinator/lease_book.h"
#include "data_pipeline/prefetch.h"
#include "model/model.h"
#include "shard/accumulator.h"
#include "shard/commit.h"
#include "shard/tensor_group.h"
#include "shard/weight_gate.h"
#include "worker/heart.h"
#include "worker/number_fault.h"
#include "worker/policy.h"

/* Everything that a step needs; borrowed from worker.c, which opens and closes it. */
struct pipeline; /* pipeline.h */
struct trainer {
    const struct topology *topology;
    const struct partition *partition;
    const struct data_source *source;
    const struct model_options *model_options;
    struct model *model;
    struct tensor_group *tensor; /* with whom slots are computed */
    struct pipeline *pipeline;   /* NULL: a slot is computed by one worker */
    struct prefetch *prefetch;
    struct node_state *node;
    struct accumulator *accumulator;
    struct weight_gate *gate;
    struct optimizer *optimizer;
    struct channel_client *channel;
    struct heart *heart;
    double loss_scale;
    double limit_seconds;  /* of any wait */
    double exact_seconds;  /* of the step in hand */
    int64_t private_bytes; /* where nodes divide the sums: most private memory seen while they were
                              under way */
    const struct numerics_options *numerics;
    struct digest slot_digest; /* of the audited slot: what was formed here of its gradient */
    int64_t digest_step;       /* in which it was; 0: none */
    struct number_fault number_fault; /* what a test has spoiled */
    const struct fault *fault;        /* where a test wants this process killed, or NULL */
    struct optimizer_step recalled;   /* of an update that a former job had begun: rate and norm */
    int64_t prepared_step; /* step whose first slot the prefetch thread already prepares; 0: none */
};

/* What a step did, for the journal; totals are of the whole job. */
struct trainer_report {
    int64_t totals[NODE_TOTAL_COUNT];
    double loss;                 /* mean, nats per predicted token */
    double pair_loss, span_loss; /* mean over their own counts; 0 where the family has none */
    double rate, norm;
    int64_t slots;             /* computed here */
    double compute_seconds;    /* in forward and backward here */
    double exact_seconds;      /* of exact sums here: adding slots, norms of the sums, clearing */
    double flops;              /* useful, here */
    struct digest fingerprint; /* on the first worker of each node */
    enum policy_verdict verdict;
    int64_t audited_slot; /* computed twice, with the same bits; -1: none */
    char text[480];       /* why it is no UPDATE */
};

/* Fills in the totals and the mean losses that follow from them. */
void trainer_report_totals(struct trainer_report *report, const int64_t totals[NODE_TOTAL_COUNT]);
/* One optimizer step. With a verdict of SKIP the step is done and weights and moments are as they
 * were; with ROLLBACK nothing was changed and the job must end; STOP is STATUS_NUMERIC, an audit
 * that finds a difference STATUS_PEER. Collective over workers. */
MUST_CHECK enum status trainer_step(struct trainer *trainer, int64_t step, bool dynamic_leases,
                                    struct trainer_report *report, struct error *error);
/* Mean losses over the first `slots` held-out slots, shared out by index. Collective over workers.
 */
MUST_CHECK enum status trainer_evaluate(struct trainer *trainer, int64_t slots,
                                        struct trainer_report *report, struct error *error);
/* Digests of the state as it stands; the fingerprint goes to the first worker of each node.
 * Collective over workers. */
MUST_CHECK enum status trainer_fingerprint(struct trainer *trainer, int64_t step,
                                           struct digest *fingerprint, struct error *error);
/* Weights of other nodes' owners come in, unless nodes divide them. Collective over the slice. */
MUST_CHECK enum status trainer_gather(struct trainer *trainer, struct error *error);

#endif
