/* See channel.h. ROUTER and DEALER for records, PUB for telemetry. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/memory.h"
#include "coordinator/channel.h"
#include "coordinator/channel_gate.h"

enum {
    IDENTITY_BYTES = 32,
    LINGER_MS = 1000,
    SEND_LIMIT_MS = 5000,
    HANDSHAKE_LIMIT_MS = 5000,
    RECORD_BYTES_MAX = 4096,
    ANSWER_BYTES_MAX = 16 << 20
};

/* How far the numbers of records have come, each way. A worker's heartbeats and the rest of what it
 * says travel on two connections, so either may overtake the other. */
struct channel_count {
    uint64_t sent;
    uint64_t heard;
    uint64_t beaten;
};

struct channel_server {
    void *context;
    struct channel_gate gate;
    void *router;
    void *publisher;
    struct channel_address operators;
    char asker[IDENTITY_BYTES]; /* routing identity of the last request */
    size_t asker_bytes;
    struct channel_count *counts; /* by worker */
    int64_t worker_count;
    int64_t dropped;
};

struct channel_client {
    void *context;
    void *dealer;
    int64_t requests; /* of an operator: how many it has made */
    uint64_t session;
    struct channel_count count;
};

static enum status zmq_failed(const char *what, const char *endpoint, struct error *error)
{
    FAIL(error, STATUS_PEER, "%s \"%s\" failed: %s", what, endpoint, zmq_strerror(zmq_errno()));
}

static void socket_set(void *socket, int option, int value)
{
    INVARIANT(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

/* A peer that sends a longer frame is disconnected. */
static void socket_limit(void *socket, int64_t largest_bytes)
{
    INVARIANT(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest_bytes, sizeof largest_bytes) == 0);
}

static void *socket_make(void *context, int kind)
{
    void *const socket = zmq_socket(context, kind);
    INVARIANT(socket != NULL);
    socket_set(socket, ZMQ_LINGER, LINGER_MS);
    socket_set(socket, ZMQ_SNDHWM, CHANNEL_QUEUE_MAX);
    socket_set(socket, ZMQ_RCVHWM, CHANNEL_QUEUE_MAX);
    socket_set(socket, ZMQ_SNDTIMEO, SEND_LIMIT_MS);
    socket_set(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_LIMIT_MS);
    socket_limit(socket, RECORD_BYTES_MAX);
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

static void socket_secure(void *socket, const char secret[CHANNEL_KEY_BYTES])
{
    socket_set(socket, ZMQ_CURVE_SERVER, 1);
    INVARIANT(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, CHANNEL_KEY_BYTES) == 0);
    INVARIANT(zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, CHANNEL_GATE_DOMAIN,
                             strlen(CHANNEL_GATE_DOMAIN)) == 0);
}

/* One key for the server, one for its workers, one for operators. */
static enum status server_secure(struct channel_server *server, struct channel_address *workers,
                                 struct error *error)
{
    struct channel_address *const operators = &server->operators;
    char secret[CHANNEL_KEY_BYTES];
    if (zmq_curve_keypair(workers->key, secret) != 0 ||
        zmq_curve_keypair(workers->client_key, workers->client_secret) != 0 ||
        zmq_curve_keypair(operators->client_key, operators->client_secret) != 0) {
        FAIL(error, STATUS_INTERNAL, "could not make a CURVE key: ZeroMQ was built without it");
    }
    if (getrandom(&workers->session, sizeof workers->session, 0) !=
        (ssize_t)sizeof workers->session) {
        FAIL(error, STATUS_INTERNAL, "could not get random bytes: %s", strerror(errno));
    }
    memcpy(operators->key, workers->key, sizeof operators->key);
    socket_secure(server->router, secret);
    socket_secure(server->publisher, secret);
    return channel_gate_open(&server->gate, server->context, workers->client_key,
                             operators->client_key, error);
}

enum status channel_server_open(struct channel_server **server, const char *host,
                                int64_t worker_count, struct channel_address *address,
                                struct error *error)
{
    struct channel_server *const opened = memory_take(1, sizeof *opened, "control channel");
    *address = (struct channel_address){0};
    opened->worker_count = worker_count;
    opened->counts = memory_take((size_t)worker_count, sizeof *opened->counts, "control channel");
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
    opened->operators.session = address->session;
    memcpy(opened->operators.endpoint, address->endpoint, sizeof address->endpoint);
    memcpy(opened->operators.telemetry, address->telemetry, sizeof address->telemetry);
    *server = opened;
    return STATUS_OK;
}

void channel_server_operators(const struct channel_server *server, struct channel_address *address)
{
    *address = server->operators;
}

void channel_server_close(struct channel_server *server)
{
    if (server == NULL) {
        return;
    }
    (void)zmq_close(server->router);
    (void)zmq_close(server->publisher);
    channel_gate_close(&server->gate);
    (void)zmq_ctx_term(server->context);
    memory_release(server->counts);
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

/* The same on the server, where clients that connect are let in or refused meanwhile. */
static enum status server_wait(struct channel_server *server, int64_t timeout_ms, bool *readable,
                               struct error *error)
{
    const int64_t end_ns = clock_now_ns() + timeout_ms * 1000000;
    *readable = false;
    for (;;) {
        zmq_pollitem_t items[2] = {{.socket = server->gate.socket, .events = ZMQ_POLLIN},
                                   {.socket = server->router, .events = ZMQ_POLLIN}};
        const int64_t left_ns = end_ns - clock_now_ns();
        const int count =
            zmq_poll(items, 2, left_ns > 0 ? (long)((left_ns + 999999) / 1000000) : 0);
        if (count < 0) {
            return zmq_errno() == EINTR ? STATUS_OK
                                        : zmq_failed("waiting on", "control channel", error);
        }
        if (items[0].revents != 0) {
            channel_gate_answer(&server->gate);
        }
        *readable = items[1].revents != 0;
        if (*readable || clock_now_ns() >= end_ns) {
            return STATUS_OK;
        }
    }
}

/* Has this record of a worker not been heard before? Notes that it has now. */
static bool record_new(struct channel_server *server, const struct message *message)
{
    struct channel_count *const count = &server->counts[message->worker];
    uint64_t *const last = message->kind == MESSAGE_KIND_HEARTBEAT ? &count->beaten : &count->heard;
    if (message->sequence <= *last) {
        return false;
    }
    *last = message->sequence;
    return true;
}

/* May a client with this key say this, now? Notes who asked. */
static bool record_allowed(struct channel_server *server, const struct message *message,
                           const char *who, const char *identity, size_t identity_bytes)
{
    if (message->session != server->operators.session) {
        return false;
    }
    if (message_from_operator(message) && strcmp(who, CHANNEL_GATE_OPERATOR) == 0) {
        memcpy(server->asker, identity, identity_bytes);
        server->asker_bytes = identity_bytes;
        return true;
    }
    return message_from_worker(message) && strcmp(who, CHANNEL_GATE_WORKER) == 0 &&
           record_new(server, message);
}

/* Takes all frames of what has come: an identity and a record, or it is dropped. */
static enum status server_take(struct channel_server *server, struct message *message,
                               bool *received, struct error *error)
{
    char identity[IDENTITY_BYTES];
    bool more = false;
    const int identity_bytes = frame_receive(server->router, identity, sizeof identity, &more);
    if (identity_bytes < 0) {
        return zmq_errno() == EINTR ? STATUS_OK
                                    : zmq_failed("receiving on", "control channel", error);
    }
    for (int frames = 0; more; frames++) {
        zmq_msg_t frame;
        INVARIANT(zmq_msg_init(&frame) == 0);
        if (zmq_msg_recv(&frame, server->router, 0) < 0) { /* parts of one message come together */
            (void)zmq_msg_close(&frame);
            return zmq_failed("receiving on", "control channel", error);
        }
        more = zmq_msg_more(&frame) != 0;
        const char *const who = zmq_msg_gets(&frame, "User-Id");
        *received = frames == 0 && !more && who != NULL && identity_bytes <= (int)sizeof identity &&
                    message_valid(zmq_msg_data(&frame), zmq_msg_size(&frame), server->worker_count);
        if (*received) {
            memcpy(message, zmq_msg_data(&frame), sizeof *message);
            *received = record_allowed(server, message, who, identity, (size_t)identity_bytes);
        }
        (void)zmq_msg_close(&frame);
    }
    server->dropped += *received ? 0 : 1;
    return STATUS_OK;
}

enum status channel_server_receive(struct channel_server *server, int64_t timeout_ms,
                                   struct message *message, bool *received, struct error *error)
{
    *received = false;
    bool readable;
    TRY(server_wait(server, timeout_ms, &readable, error));
    return readable ? server_take(server, message, received, error) : STATUS_OK;
}

void channel_server_answer(struct channel_server *server, const struct message *request,
                           const char *text)
{
    const struct message answer = message_make(MESSAGE_KIND_ANSWER, 0, request->step);
    if (zmq_send(server->router, server->asker, server->asker_bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT) >=
            0 &&
        zmq_send(server->router, &answer, sizeof answer, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0) {
        (void)zmq_send(server->router, text, strlen(text), ZMQ_DONTWAIT);
    }
}

enum status channel_server_send(struct channel_server *server, const struct message *message,
                                struct error *error)
{
    char identity[IDENTITY_BYTES];
    identity_make(identity, message->worker, "main");
    struct message numbered = *message;
    numbered.session = server->operators.session;
    numbered.sequence = ++server->counts[message->worker].sent;
    if (zmq_send(server->router, identity, strlen(identity), ZMQ_SNDMORE) < 0 ||
        zmq_send(server->router, &numbered, sizeof numbered, 0) < 0) {
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

/* `identity` NULL: the server gives one. */
static enum status client_open(struct channel_client **client,
                               const struct channel_address *address, const char *identity,
                               struct error *error)
{
    struct channel_client *const opened = memory_take(1, sizeof *opened, "control channel");
    opened->context = zmq_ctx_new();
    INVARIANT(opened->context != NULL);
    void *const dealer = socket_make(opened->context, ZMQ_DEALER);
    opened->dealer = dealer;
    opened->session = address->session;
    if (identity != NULL) {
        INVARIANT(zmq_setsockopt(dealer, ZMQ_ROUTING_ID, identity, strlen(identity)) == 0);
    }
    const bool keys_good =
        zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, address->key, CHANNEL_KEY_BYTES) == 0 &&
        zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, address->client_key, CHANNEL_KEY_BYTES) == 0 &&
        zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, address->client_secret, CHANNEL_KEY_BYTES) == 0;
    if (!keys_good || zmq_connect(dealer, address->endpoint) != 0) {
        const enum status status = zmq_failed("connecting to", address->endpoint, error);
        channel_client_close(opened);
        return status;
    }
    *client = opened;
    return STATUS_OK;
}

enum status channel_client_open(struct channel_client **client,
                                const struct channel_address *address, int64_t worker,
                                const char *voice, struct error *error)
{
    char identity[IDENTITY_BYTES];
    identity_make(identity, worker, voice);
    return client_open(client, address, identity, error);
}

enum status channel_operator_open(struct channel_client **client,
                                  const struct channel_address *address, struct error *error)
{
    TRY(client_open(client, address, NULL, error));
    socket_limit((*client)->dealer, ANSWER_BYTES_MAX);
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
    struct message numbered = *message;
    numbered.session = client->session;
    numbered.sequence = ++client->count.sent;
    if (zmq_send(client->dealer, &numbered, sizeof numbered, 0) < 0) {
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
    *received = message->session == client->session && message->sequence > client->count.heard;
    client->count.heard = *received ? message->sequence : client->count.heard;
    return STATUS_OK;
}

/* An answer's two frames, if they are the answer to request `number`. */
static void answer_take(struct channel_client *client, int64_t number, char **answer)
{
    struct message header = {0};
    bool more = false;
    const int size = frame_receive(client->dealer, &header, sizeof header, &more);
    const bool ours = size >= 0 && message_valid(&header, (size_t)size, 1) &&
                      header.kind == MESSAGE_KIND_ANSWER && header.step == number;
    for (bool first = true; more; first = false) {
        zmq_msg_t frame;
        INVARIANT(zmq_msg_init(&frame) == 0);
        if (zmq_msg_recv(&frame, client->dealer, 0) < 0) {
            (void)zmq_msg_close(&frame);
            return;
        }
        more = zmq_msg_more(&frame) != 0;
        if (first && ours && *answer == NULL) {
            *answer = memory_take(zmq_msg_size(&frame) + 1, 1, "answer");
            memcpy(*answer, zmq_msg_data(&frame), zmq_msg_size(&frame));
        }
        (void)zmq_msg_close(&frame);
    }
}

enum status channel_operator_ask(struct channel_client *client, enum message_kind kind,
                                 int64_t value, int64_t timeout_ms, char **answer,
                                 struct error *error)
{
    struct message request = message_make(kind, 0, ++client->requests);
    request.values[0] = value;
    TRY(channel_client_send(client, &request, error));
    const int64_t end_ns = clock_now_ns() + timeout_ms * 1000000;
    *answer = NULL;
    while (*answer == NULL) {
        const int64_t left_ms = (end_ns - clock_now_ns()) / 1000000;
        if (left_ms <= 0) {
            FAIL(error, STATUS_TIMEOUT, "no answer within %.1f s", (double)timeout_ms * 1e-3);
        }
        bool readable;
        TRY(socket_wait(client->dealer, left_ms, &readable, error));
        if (readable) {
            answer_take(client, request.step, answer);
        }
    }
    return STATUS_OK;
}
