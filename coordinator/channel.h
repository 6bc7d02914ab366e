/* The control plane as its users see it: workers (clients) exchange records with the coordinator
 * (server), and the server publishes telemetry lines to whoever listens. channel_zmq.c is the only
 * file that knows ZeroMQ. Records are encrypted and the server is authenticated with CURVE; the key
 * reaches the workers through the job's own fabric. A channel belongs to one thread. Queues hold at
 * most CHANNEL_QUEUE_MAX records. */
#ifndef SHARDLM_COORDINATOR_CHANNEL_H
#define SHARDLM_COORDINATOR_CHANNEL_H

#include "base/error.h"
#include "coordinator/message.h"

enum { CHANNEL_ENDPOINT_BYTES = 128, CHANNEL_KEY_BYTES = 41, CHANNEL_QUEUE_MAX = 1024 };

/* What a worker needs to know to connect; small and flat, so that it can be broadcast. */
struct channel_address {
    char endpoint[CHANNEL_ENDPOINT_BYTES];  /* "tcp://10.0.0.1:41234" */
    char telemetry[CHANNEL_ENDPOINT_BYTES]; /* loopback: plain PUB socket for tools on the
                                               coordinator's host */
    char key[CHANNEL_KEY_BYTES];            /* the server's public CURVE key, Z85 */
};

struct channel_server;
/* Binds to `host` (an address or interface name that the workers reach; "127.0.0.1" when all share
 * a host). */
MUST_CHECK enum status channel_server_open(struct channel_server **server, const char *host,
                                           int64_t worker_count, struct channel_address *address,
                                           struct error *error);
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

#endif
