/* See policy.h. */
#include "worker/policy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static enum policy_verdict verdict_of(enum numerics_policy policy)
{
    switch (policy) {
    case NUMERICS_POLICY_SKIP:
        return POLICY_VERDICT_SKIP;
    case NUMERICS_POLICY_ROLLBACK:
        return POLICY_VERDICT_ROLLBACK;
    case NUMERICS_POLICY_STOP:
        return POLICY_VERDICT_STOP;
    case NUMERICS_POLICY_GO_ON:
        break;
    }
    return POLICY_VERDICT_UPDATE;
}

/* Mean loss in units of 2^-NODE_STATE_LOSS_BITS nats. */
static int64_t loss_of(const int64_t totals[NODE_TOTAL_COUNT])
{
    const int64_t targets = totals[NODE_TOTAL_TARGETS];
    return targets > 0 ? totals[NODE_TOTAL_LOSS] / targets : 0;
}

static double nats(int64_t units)
{
    return (double)units * ldexp(1.0, -NODE_STATE_LOSS_BITS);
}

enum policy_verdict policy_judge(const struct numerics_options *options,
                                 const struct node_record *former,
                                 const int64_t totals[NODE_TOTAL_COUNT])
{
    if (totals[NODE_TOTAL_BAD_SLOTS] > 0) {
        return verdict_of(options->on_bad_slot);
    }
    const bool known = former->loss_count >= POLICY_STEPS_MIN && totals[NODE_TOTAL_TARGETS] > 0;
    if (known && nats(loss_of(totals) - former->loss_mean) > options->spike_nats) {
        return verdict_of(options->on_loss_spike);
    }
    return POLICY_VERDICT_UPDATE;
}

void policy_note(const struct node_record *former, const int64_t totals[NODE_TOTAL_COUNT],
                 struct node_record *record)
{
    record->loss_mean = former->loss_mean;
    record->loss_count = former->loss_count;
    if (totals[NODE_TOTAL_TARGETS] > 0) {
        record->loss_count += former->loss_count < POLICY_WINDOW ? 1 : 0;
        record->loss_mean += (loss_of(totals) - former->loss_mean) / record->loss_count;
    }
}

void policy_text(const struct node_record *former, const int64_t totals[NODE_TOTAL_COUNT],
                 int64_t slot, char *text, size_t size_bytes)
{
    if (totals[NODE_TOTAL_BAD_SLOTS] > 0) {
        (void)snprintf(text, size_bytes,
                       "the gradient or loss of slot %" PRId64
                       " is not finite or beyond the range of exact sums (%" PRId64
                       " such parts in the step)",
                       slot, totals[NODE_TOTAL_BAD_SLOTS]);
        return;
    }
    const int64_t loss = loss_of(totals);
    (void)snprintf(text, size_bytes,
                   "the loss of %.4f is %.4f above the mean of the steps before, slot %" PRId64
                   " has the largest",
                   nats(loss), nats(loss - former->loss_mean), slot);
}
