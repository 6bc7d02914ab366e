/* See channel.h. ROUTER and DEALER for records, PUB for telemetry. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "base/memory.h"
#include "coordinator/channel.h"

enum { IDENTITY_BYTES = 32, LINGER_MS = 1000, SEND_LIMIT_MS = 5000, RECORD_BYTES_MAX = 4096 };

struct channel_server {
    void *context;
    void *router;
    void *publisher;
    int64_t worker_count;
    int64_t dropped;
};

struct channel_client {
    void *context;
    void *dealer;
};

static enum status zmq_failed(const char *what, const char *endpoint, struct error *error)
{
    FAIL(error, STATUS_PEER, "%s \"%s\" failed: %s", what, endpoint, zmq_strerror(zmq_errno()));
}

static void socket_set(void *socket, int option, int value)
{
    INVARIANT(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static void *socket_make(void *context, int kind)
{
    void *const socket = zmq_socket(context, kind);
    INVARIANT(socket != NULL);
    socket_set(socket, ZMQ_LINGER, LINGER_MS);
    socket_set(socket, ZMQ_SNDHWM, CHANNEL_QUEUE_MAX);
    socket_set(socket, ZMQ_RCVHWM, CHANNEL_QUEUE_MAX);
    socket_set(socket, ZMQ_SNDTIMEO, SEND_LIMIT_MS);
    const int64_t largest = RECORD_BYTES_MAX;
    INVARIANT(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest) == 0);
    return socket;
}

static void identity_make(char identity[IDENTITY_BYTES], int64_t worker, const char *voice)
{
    (void)snprintf(identity, IDENTITY_BYTES, "worker-%lld-%s", (long long)worker, voice);
}

/* Binds to a free port and reads back the full endpoint. */
static enum status socket_bind(void *socket, const char *host,
                               char endpoint[CHANNEL_ENDPOINT_BYTES], struct error *error)
{
    char wanted[CHANNEL_ENDPOINT_BYTES];
    (void)snprintf(wanted, sizeof wanted, "tcp://%.100s:*", host);
    if (zmq_bind(socket, wanted) != 0) {
        return zmq_failed("listening on", wanted, error);
    }
    size_t length = CHANNEL_ENDPOINT_BYTES;
    INVARIANT(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &length) == 0);
    return STATUS_OK;
}

static enum status server_secure(struct channel_server *server, struct channel_address *address,
                                 struct error *error)
{
    char secret[CHANNEL_KEY_BYTES];
    if (zmq_curve_keypair(address->key, secret) != 0) {
        FAIL(error, STATUS_INTERNAL, "could not make a CURVE key: ZeroMQ was built without it");
    }
    socket_set(server->router, ZMQ_CURVE_SERVER, 1);
    INVARIANT(zmq_setsockopt(server->router, ZMQ_CURVE_SECRETKEY, secret, CHANNEL_KEY_BYTES) == 0);
    return STATUS_OK;
}

enum status channel_server_open(struct channel_server **server, const char *host,
                                int64_t worker_count, struct channel_address *address,
                                struct error *error)
{
    struct channel_server *const opened = memory_take(1, sizeof *opened, "control channel");
    *address = (struct channel_address){0};
    opened->worker_count = worker_count;
    opened->context = zmq_ctx_new();
    INVARIANT(opened->context != NULL);
    opened->router = socket_make(opened->context, ZMQ_ROUTER);
    opened->publisher = socket_make(opened->context, ZMQ_PUB);
    socket_set(opened->router, ZMQ_ROUTER_MANDATORY, 1);
    socket_set(opened->router, ZMQ_ROUTER_HANDOVER, 1);
    enum status status = server_secure(opened, address, error);
    if (status == STATUS_OK) {
        status = socket_bind(opened->router, host, address->endpoint, error);
    }
    if (status == STATUS_OK) {
        status = socket_bind(opened->publisher, "127.0.0.1", address->telemetry, error);
    }
    if (status != STATUS_OK) {
        channel_server_close(opened);
        return status;
    }
    *server = opened;
    return STATUS_OK;
}

void channel_server_close(struct channel_server *server)
{
    if (server == NULL) {
        return;
    }
    (void)zmq_close(server->router);
    (void)zmq_close(server->publisher);
    (void)zmq_ctx_term(server->context);
    memory_release(server);
}

/* Reads one frame into `data`; returns its true size (may exceed the capacity), or -1 with errno.
 */
static int frame_receive(void *socket, void *data, size_t capacity, bool *more)
{
    const int size = zmq_recv(socket, data, capacity, 0);
    int flag = 0;
    size_t length = sizeof flag;
    INVARIANT(zmq_getsockopt(socket, ZMQ_RCVMORE, &flag, &length) == 0);
    *more = flag != 0;
    return size;
}

/* Waits for a record. A signal ends the wait early: the caller looks at its flags and comes back.
 */
static enum status socket_wait(void *socket, int64_t timeout_ms, bool *readable,
                               struct error *error)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    const int count = zmq_poll(&item, 1, (long)timeout_ms);
    if (count < 0 && zmq_errno() != EINTR) {
        return zmq_failed("waiting on", "control channel", error);
    }
    *readable = count > 0;
    return STATUS_OK;
}

enum status channel_server_receive(struct channel_server *server, int64_t timeout_ms,
                                   struct message *message, bool *received, struct error *error)
{
    *received = false;
    bool readable;
    TRY(socket_wait(server->router, timeout_ms, &readable, error));
    if (!readable) {
        return STATUS_OK;
    }
    char identity[IDENTITY_BYTES];
    unsigned char record[RECORD_BYTES_MAX];
    bool more = false;
    int size = frame_receive(server->router, identity, sizeof identity, &more);
    int frames = 1;
    while (size >= 0 && more) {
        size = frame_receive(server->router, record, sizeof record, &more);
        frames++;
    }
    if (size < 0) {
        return zmq_errno() == EINTR ? STATUS_OK
                                    : zmq_failed("receiving on", "control channel", error);
    }
    if (frames != 2 || !message_valid(record, (size_t)size, server->worker_count)) {
        server->dropped++;
        return STATUS_OK;
    }
    memcpy(message, record, sizeof *message);
    *received = true;
    return STATUS_OK;
}

enum status channel_server_send(struct channel_server *server, const struct message *message,
                                struct error *error)
{
    char identity[IDENTITY_BYTES];
    identity_make(identity, message->worker, "main");
    if (zmq_send(server->router, identity, strlen(identity), ZMQ_SNDMORE) < 0 ||
        zmq_send(server->router, message, sizeof *message, 0) < 0) {
        return zmq_failed("sending to", identity, error);
    }
    return STATUS_OK;
}

void channel_server_publish(struct channel_server *server, const char *line)
{
    (void)zmq_send(server->publisher, line, strlen(line), ZMQ_DONTWAIT);
}

int64_t channel_server_dropped(const struct channel_server *server)
{
    return server->dropped;
}

enum status channel_client_open(struct channel_client **client,
                                const struct channel_address *address, int64_t worker,
                                const char *voice, struct error *error)
{
    struct channel_client *const opened = memory_take(1, sizeof *opened, "control channel");
    char public_key[CHANNEL_KEY_BYTES];
    char secret[CHANNEL_KEY_BYTES];
    if (zmq_curve_keypair(public_key, secret) != 0) {
        memory_release(opened);
        FAIL(error, STATUS_INTERNAL, "could not make a CURVE key: ZeroMQ was built without it");
    }
    opened->context = zmq_ctx_new();
    INVARIANT(opened->context != NULL);
    opened->dealer = socket_make(opened->context, ZMQ_DEALER);
    char identity[IDENTITY_BYTES];
    identity_make(identity, worker, voice);
    void *const dealer = opened->dealer;
    INVARIANT(zmq_setsockopt(dealer, ZMQ_ROUTING_ID, identity, strlen(identity)) == 0);
    INVARIANT(zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, address->key, CHANNEL_KEY_BYTES) == 0);
    INVARIANT(zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, public_key, CHANNEL_KEY_BYTES) == 0);
    INVARIANT(zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, secret, CHANNEL_KEY_BYTES) == 0);
    if (zmq_connect(dealer, address->endpoint) != 0) {
        const enum status status = zmq_failed("connecting to", address->endpoint, error);
        channel_client_close(opened);
        return status;
    }
    *client = opened;
    return STATUS_OK;
}

void channel_client_close(struct channel_client *client)
{
    if (client == NULL) {
        return;
    }
    (void)zmq_close(client->dealer);
    (void)zmq_ctx_term(client->context);
    memory_release(client);
}

enum status channel_client_send(struct channel_client *client, const struct message *message,
                                struct error *error)
{
    if (zmq_send(client->dealer, message, sizeof *message, 0) < 0) {
        return zmq_failed("sending to", "coordinator", error);
    }
    return STATUS_OK;
}

enum status channel_client_receive(struct channel_client *client, int64_t timeout_ms,
                                   struct message *message, bool *received, struct error *error)
{
    *received = false;
    bool readable;
    TRY(socket_wait(client->dealer, timeout_ms, &readable, error));
    if (!readable) {
        return STATUS_OK;
    }
    unsigned char record[RECORD_BYTES_MAX];
    bool more;
    const int size = frame_receive(client->dealer, record, sizeof record, &more);
    if (size < 0) {
        return zmq_errno() == EINTR ? STATUS_OK
                                    : zmq_failed("receiving from", "coordinator", error);
    }
    if (more || !message_valid(record, (size_t)size, INT32_MAX)) {
        FAIL(error, STATUS_PEER, "received a record of %d bytes that is no message of version %d",
             size, MESSAGE_VERSION);
    }
    memcpy(message, record, sizeof *message);
    *received = true;
    return STATUS_OK;
}
