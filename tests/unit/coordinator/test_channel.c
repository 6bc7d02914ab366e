/* coordinator/channel: who may say what. Strangers, garbage and oversized frames change nothing; an
 * operator is answered. */
#include "coordinator/channel.h"

#include <pthread.h>
#include <string.h>
#include <zmq.h>

#include "base/memory.h"
#include "tests/support/suite.h"

enum { QUIET_MS = 200, HUGE_BYTES = 1 << 20, WORKERS = 2 };

struct stage {
    struct channel_server *server;
    struct channel_address workers;
    struct channel_address operators;
};

static void stage_open(struct stage *stage)
{
    struct error error;
    CHECK_OK(channel_server_open(&stage->server, "127.0.0.1", WORKERS, &stage->workers, &error),
             error);
    channel_server_operators(stage->server, &stage->operators);
}

/* A client of our own making. Keys NULL: no CURVE at all. */
static void *raw_open(void *context, const char *endpoint, const char *server_key,
                      const char *public_key, const char *secret)
{
    void *const socket = zmq_socket(context, ZMQ_DEALER);
    const int linger_ms = 0;
    ck_assert_int_eq(zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms), 0);
    if (server_key != NULL) {
        ck_assert_int_eq(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_key, CHANNEL_KEY_BYTES),
                         0);
        ck_assert_int_eq(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public_key, CHANNEL_KEY_BYTES),
                         0);
        ck_assert_int_eq(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, CHANNEL_KEY_BYTES), 0);
    }
    ck_assert_int_eq(zmq_connect(socket, endpoint), 0);
    return socket;
}

/* A real worker says hello, and it is the only one that is heard. */
static void only_worker_is_heard(struct stage *stage)
{
    struct error error;
    struct channel_client *client;
    CHECK_OK(channel_client_open(&client, &stage->workers, 1, "main", &error), error);
    const struct message hello = message_make(MESSAGE_KIND_HELLO, 1, 7);
    CHECK_OK(channel_client_send(client, &hello, &error), error);
    int heard = 0;
    for (bool received = true; received || heard == 0;) {
        struct message message;
        CHECK_OK(channel_server_receive(stage->server, QUIET_MS, &message, &received, &error),
                 error);
        if (received) {
            ck_assert_int_eq(message.worker, 1);
            ck_assert_int_eq(message.step, 7);
            heard++;
        }
    }
    ck_assert_int_eq(heard, 1);
    channel_client_close(client);
}

START_TEST(test_channel_a_stranger_is_not_heard)
{
    struct stage stage;
    stage_open(&stage);
    void *const context = zmq_ctx_new();
    char public_key[CHANNEL_KEY_BYTES];
    char secret[CHANNEL_KEY_BYTES];
    ck_assert_int_eq(zmq_curve_keypair(public_key, secret), 0);
    /* Without CURVE; with the server's key but one of its own; with the workers' public key alone.
     */
    void *const strangers[] = {
        raw_open(context, stage.workers.endpoint, NULL, NULL, NULL),
        raw_open(context, stage.workers.endpoint, stage.workers.key, public_key, secret),
        raw_open(context, stage.workers.endpoint, stage.workers.key, stage.workers.client_key,
                 secret)};
    const struct message hello = message_make(MESSAGE_KIND_HELLO, 0, 3);
    for (int64_t i = 0; i < ARRAY_LENGTH(strangers); i++) {
        ck_assert_int_ge(zmq_send(strangers[i], &hello, sizeof hello, ZMQ_DONTWAIT), -1);
    }
    only_worker_is_heard(&stage);
    ck_assert_int_eq(channel_server_dropped(stage.server), 0);
    for (int64_t i = 0; i < ARRAY_LENGTH(strangers); i++) {
        (void)zmq_close(strangers[i]);
    }
    (void)zmq_ctx_term(context);
    channel_server_close(stage.server);
}
END_TEST

/* Everything that comes within QUIET_MS is dropped. */
static void all_is_dropped(struct stage *stage, int64_t count)
{
    struct error error;
    for (int tries = 0; channel_server_dropped(stage->server) < count && tries < 100; tries++) {
        struct message message;
        bool received;
        CHECK_OK(channel_server_receive(stage->server, QUIET_MS, &message, &received, &error),
                 error);
        ck_assert(!received);
    }
    ck_assert_int_eq(channel_server_dropped(stage->server), count);
}

START_TEST(test_channel_garbage_with_a_good_key_is_dropped_and_counted)
{
    struct stage stage;
    stage_open(&stage);
    void *const context = zmq_ctx_new();
    const struct channel_address *const who = &stage.workers;
    void *const socket =
        raw_open(context, who->endpoint, who->key, who->client_key, who->client_secret);
    struct message bad[] = {
        message_make(MESSAGE_KIND_HELLO, 0, 1),  message_make(MESSAGE_KIND_HELLO, 0, 1),
        message_make(MESSAGE_KIND_COUNT, 0, 1),  message_make(MESSAGE_KIND_HELLO, WORKERS, 1),
        message_make(MESSAGE_KIND_HELLO, -1, 1), message_make(MESSAGE_KIND_HELLO, 0, -1),
        message_make(MESSAGE_KIND_STOP, 0, 1), /* an operator's */
        message_make(MESSAGE_KIND_STEP, 0, 1), /* the coordinator's own */
        message_make(MESSAGE_KIND_FAILED, 0, 1),
    };
    bad[0].magic++;
    bad[1].version++;
    memset(bad[8].text, 'x', sizeof bad[8].text); /* no end */
    int64_t sent = 0;
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++, sent++) {
        bad[i].session = who->session;
        bad[i].sequence = 1;
        ck_assert_int_eq(zmq_send(socket, &bad[i], sizeof bad[i], 0), sizeof bad[i]);
    }
    const size_t sizes[] = {0, 1, sizeof bad[0] - 1, sizeof bad[0] + 1, 4000};
    char bytes[4096];
    memset(bytes, 0xa5, sizeof bytes);
    for (int64_t i = 0; i < ARRAY_LENGTH(sizes); i++, sent++) {
        ck_assert_int_eq(zmq_send(socket, bytes, sizes[i], 0), (int)sizes[i]);
    }
    /* A good record in a message of two parts. */
    struct message hello = message_make(MESSAGE_KIND_HELLO, 0, 3);
    hello.session = who->session;
    hello.sequence = 1;
    ck_assert_int_ge(zmq_send(socket, &hello, sizeof hello, ZMQ_SNDMORE), 0);
    ck_assert_int_ge(zmq_send(socket, &hello, sizeof hello, 0), 0);
    all_is_dropped(&stage, sent + 1);
    only_worker_is_heard(&stage);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    channel_server_close(stage.server);
}
END_TEST

START_TEST(test_channel_an_operator_cannot_speak_for_a_worker)
{
    struct stage stage;
    stage_open(&stage);
    void *const context = zmq_ctx_new();
    const struct channel_address *const who = &stage.operators;
    void *const socket =
        raw_open(context, who->endpoint, who->key, who->client_key, who->client_secret);
    struct message ready = message_make(MESSAGE_KIND_READY, 0, 3);
    ready.session = who->session;
    ready.sequence = 1;
    ck_assert_int_ge(zmq_send(socket, &ready, sizeof ready, 0), 0);
    all_is_dropped(&stage, 1);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    channel_server_close(stage.server);
}
END_TEST

START_TEST(test_channel_a_record_counts_once_and_in_its_own_session)
{
    struct error error;
    struct stage stage;
    stage_open(&stage);
    void *const context = zmq_ctx_new();
    const struct channel_address *const who = &stage.workers;
    void *const socket =
        raw_open(context, who->endpoint, who->key, who->client_key, who->client_secret);
    /* Numbers rise, but not always by one; a heartbeat has its own. */
    static const uint64_t numbers[] = {3, 5, 5, 4, 3, 6};
    static const bool heard[] = {true, true, false, false, false, true};
    int64_t dropped = 0;
    for (int64_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        struct message ready = message_make(MESSAGE_KIND_READY, 0, i);
        ready.session = who->session;
        ready.sequence = numbers[i];
        ck_assert_int_ge(zmq_send(socket, &ready, sizeof ready, 0), 0);
        if (heard[i]) {
            struct message message;
            for (bool received = false; !received;) {
                CHECK_OK(
                    channel_server_receive(stage.server, QUIET_MS, &message, &received, &error),
                    error);
            }
            ck_assert_int_eq(message.step, i);
        } else {
            all_is_dropped(&stage, ++dropped);
        }
    }
    struct message beat = message_make(MESSAGE_KIND_HEARTBEAT, 0, 1);
    beat.session = who->session;
    beat.sequence = 1;
    struct message other = message_make(MESSAGE_KIND_READY, 0, 9);
    other.session = who->session + 1;
    other.sequence = 7;
    ck_assert_int_ge(zmq_send(socket, &other, sizeof other, 0), 0);
    all_is_dropped(&stage, ++dropped);
    ck_assert_int_ge(zmq_send(socket, &beat, sizeof beat, 0), 0);
    ck_assert_int_ge(zmq_send(socket, &beat, sizeof beat, 0), 0);
    int beats = 0;
    for (int tries = 0; channel_server_dropped(stage.server) == dropped && tries < 100; tries++) {
        struct message message;
        bool received;
        CHECK_OK(channel_server_receive(stage.server, QUIET_MS, &message, &received, &error),
                 error);
        beats += received ? 1 : 0;
    }
    ck_assert_int_eq(beats, 1);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    channel_server_close(stage.server);
}
END_TEST

START_TEST(test_channel_an_oversized_frame_ends_its_connection_only)
{
    struct stage stage;
    stage_open(&stage);
    void *const context = zmq_ctx_new();
    const struct channel_address *const who = &stage.workers;
    void *const socket =
        raw_open(context, who->endpoint, who->key, who->client_key, who->client_secret);
    char *const huge = memory_take(HUGE_BYTES, 1, "oversized frame");
    ck_assert_int_eq(zmq_send(socket, huge, HUGE_BYTES, 0), HUGE_BYTES);
    only_worker_is_heard(&stage);
    memory_release(huge);
    (void)zmq_close(socket);
    (void)zmq_ctx_term(context);
    channel_server_close(stage.server);
}
END_TEST

struct asking {
    struct channel_address operators;
    char *answer;
};

static void *asking_main(void *context)
{
    struct asking *const asking = context;
    struct error error;
    struct channel_client *client;
    CHECK_OK(channel_operator_open(&client, &asking->operators, &error), error);
    CHECK_OK(channel_operator_ask(client, MESSAGE_KIND_STATUS, 0, 20000, &asking->answer, &error),
             error);
    channel_client_close(client);
    return NULL;
}

START_TEST(test_channel_an_operator_is_answered)
{
    struct error error;
    struct stage stage;
    stage_open(&stage);
    struct asking asking = {.operators = stage.operators};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, asking_main, &asking), 0);
    struct message request;
    for (bool received = false; !received;) {
        CHECK_OK(channel_server_receive(stage.server, QUIET_MS, &request, &received, &error),
                 error);
    }
    ck_assert_int_eq(request.kind, MESSAGE_KIND_STATUS);
    channel_server_answer(stage.server, &request, "{\"well\":true}");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_str_eq(asking.answer, "{\"well\":true}");
    memory_release(asking.answer);
    channel_server_close(stage.server);
}
END_TEST

int main(void)
{
    return suite_run("channel",
                     (const TTest *[]){test_channel_a_stranger_is_not_heard,
                                       test_channel_garbage_with_a_good_key_is_dropped_and_counted,
                                       test_channel_an_operator_cannot_speak_for_a_worker,
                                       test_channel_a_record_counts_once_and_in_its_own_session,
                                       test_channel_an_oversized_frame_ends_its_connection_only,
                                       test_channel_an_operator_is_answered, NULL});
}
