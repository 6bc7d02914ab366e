/* See lease.h. */
#include "worker/lease.h"

#include <inttypes.h>

#include "base/clock.h"

enum { LEASE_POLL_MS = 1000 };

/* The answer to an ASK. */
static enum status lease_receive(const struct trainer *trainer, int64_t step, int64_t *slot,
                                 struct error *error)
{
    const int64_t start_ns = clock_now_ns();
    for (;;) {
        struct message message;
        bool received;
        TRY(channel_client_receive(trainer->channel, LEASE_POLL_MS, &message, &received, error));
        if (received && message.kind == MESSAGE_KIND_LEASE && message.step == step) {
            *slot = message.slot;
            return STATUS_OK;
        }
        if (clock_seconds_since(start_ns) > trainer->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for the coordinator's lease of step %" PRId64,
                 clock_seconds_since(start_ns), step);
        }
    }
}

enum status lease_ask(const struct trainer *trainer, int64_t step, int64_t *slot,
                      struct error *error)
{
    const struct topology *const topology = trainer->topology;
    if (topology->tensor_member == 0) {
        const struct message ask = message_make(MESSAGE_KIND_ASK, topology->worker_index, step);
        TRY(channel_client_send(trainer->channel, &ask, error));
        TRY(lease_receive(trainer, step, slot, error));
    }
    if (topology->tensor_count == 1) {
        return STATUS_OK;
    }
    const enum status status = fabric_broadcast(topology->tensor, 0, slot, sizeof *slot, error);
    return error_context(error, status, "no lease came from worker %" PRId64,
                         topology->worker_index - topology->tensor_member);
}
