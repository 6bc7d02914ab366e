/* See member.h. */
#include "coordinator/member.h"

#include <stdio.h>

double member_slot_seconds(const struct member *member)
{
    const int64_t slots = member->ready.values[MESSAGE_VALUE_SLOTS];
    return slots > 0 ? member->ready.reals[MESSAGE_REAL_COMPUTE] / (double)slots : 0.0;
}

void member_text(const struct member *member, int64_t index, int64_t now_ns, char *text,
                 size_t size_bytes)
{
    const double silent = (double)(now_ns - member->heard_ns) * 1e-9;
    if (member->state == MEMBER_STATE_ABSENT) {
        (void)snprintf(text, size_bytes, "worker %lld: not heard of yet", (long long)index);
        return;
    }
    (void)snprintf(
        text, size_bytes,
        "worker %lld (host %s, process %lld): %s, step %lld, slot %lld, silent for %.0f s",
        (long long)index, member->host, (long long)member->process,
        message_phase_name(member->phase), (long long)member->step, (long long)member->slot,
        silent);
}
