/* What becomes of a step whose numbers are bad. A pure function of the step's exact totals and of
 * what is kept of the steps before, so every worker judges alike, on any number of workers, and a
 * resumed run judges as one that never stopped.
 *
 * Bad slot: its gradient or loss is not finite or beyond the range of exact sums.
 * Loss spike: the step's loss is more than numerics.spike_nats above the mean of the steps before,
 * an integer mean in units of 2^-32 nats: m := m + (loss - m) / min(n, POLICY_WINDOW), of steps
 * that were not skipped; nothing is judged before it has POLICY_STEPS_MIN of them.
 *
 * A skipped step counts: its number is used up, learning rate, bias correction and data go on, and
 * weights and moments stay as they were. */
#ifndef SHARDLM_WORKER_POLICY_H
#define SHARDLM_WORKER_POLICY_H

#include "shard/node_state.h"
#include "worker/worker_options.h"

enum { POLICY_WINDOW = 64, POLICY_STEPS_MIN = 16 };

enum policy_verdict {
    POLICY_VERDICT_UPDATE,
    POLICY_VERDICT_SKIP,
    POLICY_VERDICT_ROLLBACK,
    POLICY_VERDICT_STOP,
};

enum policy_verdict policy_judge(const struct numerics_options *options,
                                 const struct node_record *former,
                                 const int64_t totals[NODE_TOTAL_COUNT]);
/* The mean and its count after an updated step. */
void policy_note(const struct node_record *former, const int64_t totals[NODE_TOTAL_COUNT],
                 struct node_record *record);
/* "the gradient of slot 3 is not finite …" or "the loss of 12.3 is 5.1 above …", cut to
 * size_bytes. */
void policy_text(const struct node_record *former, const int64_t totals[NODE_TOTAL_COUNT],
                 int64_t slot, char *text, size_t size_bytes);

#endif
