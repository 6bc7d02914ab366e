/* One slot of a step on one worker: data, forward, backward, exact accumulation. */
#ifndef SHARDLM_WORKER_SLOT_H
#define SHARDLM_WORKER_SLOT_H

#include "worker/trainer.h"

/* The slot that the prefetch thread delivers next, into the sums and totals of the node. */
MUST_CHECK enum status slot_compute(struct trainer *trainer, struct trainer_report *report,
                                    struct error *error);
/* Computes a slot once more and adds it nowhere; `slot` is the one that is audited in this step:
 * its digest is kept (trainer->slot_digest). What was being prepared is forgotten. Collective over
 * the team. */
MUST_CHECK enum status slot_repeat(struct trainer *trainer, int64_t step, int64_t slot,
                                   struct error *error);
/* A slot in one section of a pipeline, as model_section_backward wants it. */
struct slot_section {
    int64_t set;
    float *words;
    bool adds;             /* into the sums; else only for its digest */
    int64_t element_count; /* out */
};
/* The section's backward of a slot, into the sums and the report; of groups that other sections
 * have, that there is nothing to wait for here. The last section adds the totals. */
MUST_CHECK enum status slot_section_compute(struct trainer *trainer, int64_t step, int64_t slot,
                                            const struct batch *batch, struct slot_section *at,
                                            struct trainer_report *report, struct error *error);
/* Adds a slot's result to the node's totals; a loss that is no number marks the slot bad. */
void slot_totals(struct node_state *node, int64_t slot, const struct model_result *result,
                 int64_t tokens);

/* The same, once for all who computed the slot together. */
void slot_count(struct trainer *trainer, int64_t slot, const struct model_result *result,
                const struct batch *batch);

#endif
