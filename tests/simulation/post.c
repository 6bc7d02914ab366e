/* Stands in for coordinator/channel_zmq.c: records travel for a while between the coordinator and
 * its workers. One connection keeps their order, as TCP does; connections do not wait for each
 * other. Some records are lost, as when a connection breaks and is made again. None comes twice:
 * CURVE numbers them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "coordinator/channel.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/mutant.h"
#include "tests/simulation/trouble.h"

enum {
    SERVERS_MAX = 512,
    CLIENTS_MAX = 64,
    TRAVEL_NS = 300000,
};

struct queued {
    struct message message;
    struct queued *next;
};

struct queue {
    struct queued *first, *last;
    int64_t count;
};

struct channel_server {
    int64_t number;
    struct process *process;
    int64_t worker_count;
    int64_t dropped;
    struct queue queue;
    struct channel_client *mains[CLIENTS_MAX]; /* by worker: the newest */
};

struct channel_client {
    struct process *process;
    struct channel_server *server;
    int64_t worker;
    struct queue queue;
    int64_t up_ns, down_ns; /* when the newest record on the way arrives */
};

/* On the way. */
struct record {
    struct message message;
    struct channel_server *server; /* to it */
    struct channel_client *client; /* or to it */
    int64_t from, to;              /* nodes */
};

static struct channel_server *servers[SERVERS_MAX];
static int64_t server_count;

enum status channel_server_open(struct channel_server **server, const char *host,
                                int64_t worker_count, struct channel_address *address,
                                struct error *error)
{
    (void)host;
    (void)error;
    INVARIANT(server_count < SERVERS_MAX && worker_count <= CLIENTS_MAX);
    struct channel_server *const opened = memory_take(1, sizeof *opened, "simulated channel");
    *opened = (struct channel_server){
        .number = server_count, .process = machine_process(), .worker_count = worker_count};
    servers[server_count++] = opened;
    *address = (struct channel_address){0};
    (void)snprintf(address->endpoint, sizeof address->endpoint, "simulated-%" PRId64,
                   opened->number);
    *server = opened;
    return STATUS_OK;
}

void channel_server_operators(const struct channel_server *server, struct channel_address *address)
{
    *address = (struct channel_address){0};
    (void)snprintf(address->endpoint, sizeof address->endpoint, "simulated-%" PRId64,
                   server->number);
}

void channel_server_close(struct channel_server *server)
{
    (void)server; /* records may be on the way to it */
}

static void queue_put(struct queue *queue, const struct message *message, int64_t *dropped)
{
    if (queue->count == CHANNEL_QUEUE_MAX) {
        ++*dropped;
        return;
    }
    struct queued *const queued = memory_take(1, sizeof *queued, "simulated record");
    queued->message = *message;
    if (queue->count++ == 0) {
        queue->first = queued;
    } else {
        queue->last->next = queued;
    }
    queue->last = queued;
}

static bool queue_take(struct queue *queue, struct message *message)
{
    struct queued *const queued = queue->first;
    if (queue->count == 0) {
        return false;
    }
    *message = queued->message;
    queue->first = queued->next;
    queue->count--;
    memory_release(queued);
    return true;
}

static void record_arrive(void *context)
{
    struct record *const record = context;
    int64_t dropped = 0;
    const int64_t cut_ns = cluster_link_end_ns(record->from, record->to);
    if (cut_ns > machine_now_ns()) { /* TCP tries again */
        machine_later(cut_ns - machine_now_ns() + 1, record_arrive, record);
        return;
    }
    if (record->client != NULL) {
        queue_put(&record->client->queue, &record->message, &dropped);
        machine_wake(record->client);
    } else {
        queue_put(&record->server->queue, &record->message, &record->server->dropped);
        machine_wake(record->server);
    }
    memory_release(record);
}

/* `arrival_ns`: of the newest record before this one on the connection. */
static void record_send(const struct record *record, int64_t *arrival_ns)
{
    if (trouble_loses()) {
        machine_note("a record of kind %d is lost", record->message.kind);
        return;
    }
    int64_t due_ns = machine_now_ns() + trouble_travel_ns(TRAVEL_NS);
    due_ns = due_ns > *arrival_ns ? due_ns : *arrival_ns + 1;
    *arrival_ns = due_ns;
    struct record *const sent = memory_take(1, sizeof *sent, "simulated record");
    *sent = *record;
    machine_later(due_ns - machine_now_ns(), record_arrive, sent);
}

enum status channel_server_receive(struct channel_server *server, int64_t timeout_ms,
                                   struct message *message, bool *received, struct error *error)
{
    (void)error;
    machine_point("server receive");
    const int64_t end_ns = machine_now_ns() + timeout_ms * 1000000;
    *received = queue_take(&server->queue, message);
    while (!*received && machine_wait(server, end_ns)) {
        *received = queue_take(&server->queue, message);
    }
    if (*received) {
        *received = message_valid(message, sizeof *message, server->worker_count) &&
                    (message_from_worker(message) || message_from_operator(message));
        server->dropped += *received ? 0 : 1;
        machine_note("coordinator hears kind %d of worker %d, step %lld", message->kind,
                     message->worker, (long long)message->step);
    }
    return STATUS_OK;
}

enum status channel_server_send(struct channel_server *server, const struct message *message,
                                struct error *error)
{
    machine_point("server send");
    struct channel_client *const client = server->mains[message->worker];
    if (client == NULL) {
        FAIL(error, STATUS_PEER, "sending to \"worker-%d-main\" failed: host unreachable",
             message->worker);
    }
    const struct record record = {.message = *message,
                                  .client = client,
                                  .from = server->process->node,
                                  .to = client->process->node};
    record_send(&record, &client->down_ns);
    machine_note("coordinator says kind %d to worker %d, step %lld, slot %lld", message->kind,
                 message->worker, (long long)message->step, (long long)message->slot);
    return STATUS_OK;
}

void channel_server_answer(struct channel_server *server, const struct message *request,
                           const char *text)
{
    (void)server;
    machine_note("operator %lld is told %.40s", (long long)request->step, text);
}

void channel_server_publish(struct channel_server *server, const char *line)
{
    (void)server;
    machine_note("journal %.300s", line);
}

int64_t channel_server_dropped(const struct channel_server *server)
{
    return server->dropped;
}

enum status channel_client_open(struct channel_client **client,
                                const struct channel_address *address, int64_t worker,
                                const char *voice, struct error *error)
{
    long long number;
    if (sscanf(address->endpoint, "simulated-%lld", &number) != 1 || number >= server_count) {
        FAIL(error, STATUS_PEER, "connecting to \"%s\" failed", address->endpoint);
    }
    struct channel_client *const opened = memory_take(1, sizeof *opened, "simulated channel");
    *opened = (struct channel_client){
        .process = machine_process(), .server = servers[number], .worker = worker};
    if (strcmp(voice, "main") == 0) {
        servers[number]->mains[worker] = opened;
    }
    *client = opened;
    return STATUS_OK;
}

void channel_client_close(struct channel_client *client)
{
    (void)client; /* records may be on the way to it */
}

enum status channel_client_send(struct channel_client *client, const struct message *message,
                                struct error *error)
{
    (void)error;
    machine_point("client send");
    const struct record record = {.message = mutant_record(message),
                                  .server = client->server,
                                  .from = client->process->node,
                                  .to = client->server->process->node};
    record_send(&record, &client->up_ns);
    return STATUS_OK;
}

enum status channel_client_receive(struct channel_client *client, int64_t timeout_ms,
                                   struct message *message, bool *received, struct error *error)
{
    machine_point("client receive");
    const int64_t end_ns = machine_now_ns() + timeout_ms * 1000000;
    *received = queue_take(&client->queue, message);
    while (!*received && machine_wait(client, end_ns)) {
        *received = queue_take(&client->queue, message);
    }
    if (*received && !message_valid(message, sizeof *message, INT32_MAX)) {
        FAIL(error, STATUS_PEER, "received a record that is no message");
    }
    return STATUS_OK;
}

enum status channel_operator_open(struct channel_client **client,
                                  const struct channel_address *address, struct error *error)
{
    return channel_client_open(client, address, 0, "operator", error);
}

enum status channel_operator_ask(struct channel_client *client, enum message_kind kind,
                                 int64_t value, int64_t timeout_ms, char **answer,
                                 struct error *error)
{
    (void)value;
    (void)timeout_ms;
    const struct message request = message_make(kind, 0, 1);
    *answer = memory_text("{}");
    return channel_client_send(client, &request, error);
}
