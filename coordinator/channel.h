/* The control plane as its users see it: workers (clients) exchange records with the coordinator
 * (server), operators (people at another shell) ask it and are answered, and it publishes telemetry
 * lines to operators who listen. channel_zmq*.c are the only files that know ZeroMQ.
 *
 * CURVE encrypts everything and authenticates both ends. There are two client keys a job: the
 * workers' reaches them through the job's own fabric, the operators' through a file that only the
 * run's owner can read. A connection with another key is refused before it can say anything, and a
 * record that its sender's key may not send is dropped and counted, as is one of another session of
 * the job or, between worker and coordinator, one that was received before. A channel belongs to
 * one thread. Queues hold at most CHANNEL_QUEUE_MAX records. */
#ifndef SHARDLM_COORDINATOR_CHANNEL_H
#define SHARDLM_COORDINATOR_CHANNEL_H

#include "base/error.h"
#include "coordinator/message.h"

enum { CHANNEL_ENDPOINT_BYTES = 128, CHANNEL_KEY_BYTES = 41, CHANNEL_QUEUE_MAX = 1024 };

/* What a client needs to know to connect; small and flat, so that it can be broadcast. Keys are
 * CURVE's, in Z85. */
struct channel_address {
    char endpoint[CHANNEL_ENDPOINT_BYTES];  /* "tcp://10.0.0.1:41234" */
    char telemetry[CHANNEL_ENDPOINT_BYTES]; /* published lines, on loopback: operators only */
    char key[CHANNEL_KEY_BYTES];            /* the server's public key */
    char client_key[CHANNEL_KEY_BYTES];     /* public key of this kind of client */
    char client_secret[CHANNEL_KEY_BYTES];
    uint64_t session; /* see message.h */
};

struct channel_server;
/* Binds to `host` (an address or interface name that the workers reach; "127.0.0.1" when all share
 * a host). */
MUST_CHECK enum status channel_server_open(struct channel_server **server, const char *host,
                                           int64_t worker_count, struct channel_address *address,
                                           struct error *error);
/* The address for operators. */
void channel_server_operators(const struct channel_server *server, struct channel_address *address);
void channel_server_close(
    struct channel_server *server); /* accepts NULL; sends what is queued for up to 1 s */
/* One record, or *received false when timeout_ms passed. Invalid records are dropped and counted.
 */
MUST_CHECK enum status channel_server_receive(struct channel_server *server, int64_t timeout_ms,
                                              struct message *message, bool *received,
                                              struct error *error);
/* To the worker's main channel; `message->worker` says which. */
MUST_CHECK enum status channel_server_send(struct channel_server *server,
                                           const struct message *message, struct error *error);
/* To the operator whose request was received last: an ANSWER to `request` with this text, which is
 * dropped if the operator has left. */
void channel_server_answer(struct channel_server *server, const struct message *request,
                           const char *text);
void channel_server_publish(struct channel_server *server, const char *line);
int64_t channel_server_dropped(const struct channel_server *server);

struct channel_client;
/* `voice` tells a worker's channels apart ("main", "heart"); only "main" is sent to. */
MUST_CHECK enum status channel_client_open(struct channel_client **client,
                                           const struct channel_address *address, int64_t worker,
                                           const char *voice, struct error *error);
void channel_client_close(struct channel_client *client); /* accepts NULL */
MUST_CHECK enum status channel_client_send(struct channel_client *client,
                                           const struct message *message, struct error *error);
MUST_CHECK enum status channel_client_receive(struct channel_client *client, int64_t timeout_ms,
                                              struct message *message, bool *received,
                                              struct error *error);

/* An operator's end: a client without a name that only asks. */
MUST_CHECK enum status channel_operator_open(struct channel_client **client,
                                             const struct channel_address *address,
                                             struct error *error);
/* Asks and waits for the answer's text (memory_release). STATUS_TIMEOUT after timeout_ms; an answer
 * that comes later is passed over by the next call. */
MUST_CHECK enum status channel_operator_ask(struct channel_client *client, enum message_kind kind,
                                            int64_t value, int64_t timeout_ms, char **answer,
                                            struct error *error);

#endif
