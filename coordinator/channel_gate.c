/* See channel_gate.h. A request has the frames version, number, domain, address, identity,
 * mechanism, credentials (CURVE: the client's public key, 32 bytes). */
#include "coordinator/channel_gate.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum { FRAMES = 7, FRAME_BYTES = 256, KEY_BYTES = 32 };
enum frame { FRAME_VERSION, FRAME_NUMBER, FRAME_MECHANISM = 5, FRAME_KEY = 6 };

enum status channel_gate_open(struct channel_gate *gate, void *context, const char *worker_key,
                              const char *operator_key, struct error *error)
{
    (void)snprintf(gate->worker_key, sizeof gate->worker_key, "%s", worker_key);
    (void)snprintf(gate->operator_key, sizeof gate->operator_key, "%s", operator_key);
    gate->socket = zmq_socket(context, ZMQ_REP);
    if (gate->socket == NULL || zmq_bind(gate->socket, "inproc://zeromq.zap.01") != 0) {
        FAIL(error, STATUS_INTERNAL, "could not set up the authentication of clients: %s",
             zmq_strerror(zmq_errno()));
    }
    return STATUS_OK;
}

void channel_gate_close(struct channel_gate *gate)
{
    if (gate->socket != NULL) {
        (void)zmq_close(gate->socket);
    }
    *gate = (struct channel_gate){0};
}

/* CHANNEL_GATE_WORKER, CHANNEL_GATE_OPERATOR or NULL. */
static const char *client_name(const struct channel_gate *gate, const unsigned char *key)
{
    char text[CHANNEL_KEY_BYTES];
    INVARIANT(zmq_z85_encode(text, key, KEY_BYTES) != NULL);
    if (strcmp(text, gate->worker_key) == 0) {
        return CHANNEL_GATE_WORKER;
    }
    return strcmp(text, gate->operator_key) == 0 ? CHANNEL_GATE_OPERATOR : NULL;
}

static void part_send(void *socket, const void *data, size_t size_bytes, bool more)
{
    (void)zmq_send(socket, data, size_bytes, more ? ZMQ_SNDMORE : 0);
}

void channel_gate_answer(struct channel_gate *gate)
{
    unsigned char frames[FRAMES][FRAME_BYTES];
    int sizes[FRAMES] = {0};
    int more = 1;
    int count = 0;
    for (; more != 0; count++) {
        const int place = count < FRAMES ? count : FRAMES - 1;
        sizes[place] = zmq_recv(gate->socket, frames[place], FRAME_BYTES, 0);
        size_t length = sizeof more;
        INVARIANT(zmq_getsockopt(gate->socket, ZMQ_RCVMORE, &more, &length) == 0);
    }
    const bool curve = count == FRAMES && sizes[FRAME_MECHANISM] == 5 &&
                       memcmp(frames[FRAME_MECHANISM], "CURVE", 5) == 0 &&
                       sizes[FRAME_KEY] == KEY_BYTES;
    const char *const name = curve ? client_name(gate, frames[FRAME_KEY]) : NULL;
    gate->refused += name == NULL ? 1 : 0;
    const int number_bytes = sizes[FRAME_NUMBER] < FRAME_BYTES ? sizes[FRAME_NUMBER] : FRAME_BYTES;
    part_send(gate->socket, "1.0", 3, true);
    part_send(gate->socket, frames[FRAME_NUMBER], number_bytes > 0 ? (size_t)number_bytes : 0,
              true);
    part_send(gate->socket, name != NULL ? "200" : "400", 3, true);
    part_send(gate->socket, "", 0, true);
    part_send(gate->socket, name != NULL ? name : "", name != NULL ? strlen(name) : 0, true);
    part_send(gate->socket, "", 0, false);
}
