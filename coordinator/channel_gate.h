/* Who may connect to the control plane: ZeroMQ's authentication requests (ZAP, RFC 27), answered in
 * the thread of the channel's owner. A client is let in if it holds one of two keys, and its
 * messages carry which. Used by channel_zmq.c alone. */
#ifndef SHARDLM_COORDINATOR_CHANNEL_GATE_H
#define SHARDLM_COORDINATOR_CHANNEL_GATE_H

#include "base/error.h"
#include "coordinator/channel.h"

#define CHANNEL_GATE_DOMAIN "shardlm"
/* "User-Id" of a message: */
#define CHANNEL_GATE_WORKER   "worker"
#define CHANNEL_GATE_OPERATOR "operator"

struct channel_gate {
    void *socket;
    char worker_key[CHANNEL_KEY_BYTES]; /* public, Z85 */
    char operator_key[CHANNEL_KEY_BYTES];
    int64_t refused; /* connections */
};

/* Before the secured sockets of the context are bound. */
MUST_CHECK enum status channel_gate_open(struct channel_gate *gate, void *context,
                                         const char *worker_key, const char *operator_key,
                                         struct error *error);
void channel_gate_close(struct channel_gate *gate);  /* accepts a zeroed gate */
void channel_gate_answer(struct channel_gate *gate); /* one request that waits */

#endif
