/* coordinator/coordinator against workers played by one thread over the real channel: the order of
 * commands, silence, failures, and what the journal holds. */
#include "coordinator/coordinator.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/support/suite.h"

enum { COMMANDS_MAX = 64, WORKERS_MAX = 3 };

/* What the played workers do, and what they saw. */
struct play {
    struct channel_address address;
    int64_t workers;
    int64_t fail_at_step; /* worker 0 reports a failure in it; 0: never */
    bool write_fails;
    int slow_drains; /* so many commands find worker 0 writing still, and nothing written */
    bool replays;    /* every answer is followed by itself, an older one and an older request */
    bool mute;       /* say hello and ready once, then nothing */
    int beats; /* worker 0 sends so many heartbeats, 10 ms apart, while the others are silent */
    char commands[COMMANDS_MAX]; /* one letter each, as worker 0 got them */
    volatile sig_atomic_t stop;
    atomic_bool over;     /* the coordinator has left */
    int64_t stop_at_step; /* worker 0 sets `stop` when it gets this step; 0: never */
};

static void ready_send(struct play *play, struct channel_client *client, int64_t worker,
                       const struct message *command, int64_t written, int64_t published)
{
    struct error error;
    const int64_t step = command->step;
    struct message ready = message_make(MESSAGE_KIND_READY, worker, step);
    ready.order = command->order;
    ready.values[MESSAGE_VALUE_WRITTEN] = written;
    ready.values[MESSAGE_VALUE_PUBLISHED] = published;
    const bool slow = play->slow_drains > 0 && written >= 0;
    if (slow) {
        play->slow_drains -= worker == 0 ? 1 : 0;
        ready.values[MESSAGE_VALUE_WRITTEN] = -1;
        ready.values[MESSAGE_VALUE_WRITING] = 1;
    }
    ready.values[MESSAGE_VALUE_WRITE_FAILED] = play->write_fails ? written : -1;
    ready.values[MESSAGE_VALUE_SLOTS] = 2;
    ready.values[MESSAGE_VALUE_TARGETS] = 10;
    ready.values[MESSAGE_VALUE_TOKENS] = 64;
    ready.reals[MESSAGE_REAL_LOSS] = 2.5;
    (void)snprintf(ready.fingerprint, sizeof ready.fingerprint, "print-%lld", (long long)step);
    CHECK_OK(channel_client_send(client, &ready, &error), error);
    if (play->replays) { /* the same again, which may meet the next command; then an older one */
        CHECK_OK(channel_client_send(client, &ready, &error), error);
        ready.order--;
        CHECK_OK(channel_client_send(client, &ready, &error), error);
    }
    if (play->replays && step > 0) {
        const struct message ask = message_make(MESSAGE_KIND_ASK, worker, step - 1);
        CHECK_OK(channel_client_send(client, &ask, &error), error);
    }
}

/* Worker 0 talks without a pause for up to `count` beats. */
static void chatter(struct channel_client *client, int count)
{
    struct error error;
    for (int i = 0; i < count; i++) {
        const struct message beat = message_make(MESSAGE_KIND_HEARTBEAT, 0, 1);
        CHECK_OK(channel_client_send(client, &beat, &error), error);
        struct message command;
        bool received;
        CHECK_OK(channel_client_receive(client, 10, &command, &received, &error), error);
    }
}

static char command_letter(const struct message *command)
{
    switch (command->kind) {
    case MESSAGE_KIND_STEP:
        return 's';
    case MESSAGE_KIND_EVALUATE:
        return 'e';
    case MESSAGE_KIND_SAVE:
        return 'S';
    case MESSAGE_KIND_DRAIN:
        return command->publish_step >= 0 ? 'P' : 'd';
    case MESSAGE_KIND_END:
        return 'E';
    default:
        return '?';
    }
}

static void *play_main(void *context)
{
    struct play *const play = context;
    struct error error;
    struct channel_client *clients[WORKERS_MAX];
    for (int64_t w = 0; w < play->workers; w++) {
        CHECK_OK(channel_client_open(&clients[w], &play->address, w, "main", &error), error);
        struct message hello = message_make(MESSAGE_KIND_HELLO, w, 0);
        (void)snprintf(hello.text, sizeof hello.text, "host-%lld", (long long)w);
        CHECK_OK(channel_client_send(clients[w], &hello, &error), error);
        const struct message none = {0};
        ready_send(play, clients[w], w, &none, -1, -1);
    }
    if (play->beats > 0) {
        chatter(clients[0], play->beats);
    }
    int64_t written = -1;
    int64_t published = -1;
    int count = 0;
    for (bool on = true; on;) {
        for (int64_t w = 0; w < play->workers; w++) {
            struct message command;
            bool received = false;
            for (bool last = false; !received && !last;) {
                last = play->over;
                CHECK_OK(channel_client_receive(clients[w], 200, &command, &received, &error),
                         error);
            }
            on = on && received && command.kind != MESSAGE_KIND_END && !play->mute;
            if (!received) {
                continue;
            }
            if (w == 0 && count < COMMANDS_MAX - 1) {
                play->commands[count++] = command_letter(&command);
            }
            if (play->stop_at_step != 0 && command.step >= play->stop_at_step) {
                play->stop = 1;
            }
            if (w == 0 && play->fail_at_step != 0 && command.step == play->fail_at_step) {
                struct message failed = message_make(MESSAGE_KIND_FAILED, 0, command.step);
                failed.values[0] = STATUS_NUMERIC;
                (void)snprintf(failed.text, sizeof failed.text, "the sky fell");
                CHECK_OK(channel_client_send(clients[0], &failed, &error), error);
                on = false;
                continue;
            }
            written = command.kind == MESSAGE_KIND_SAVE ? command.step : written;
            published = command.publish_step >= 0 ? command.publish_step : published;
            if (on) {
                ready_send(play, clients[w], w, &command, written, w == 0 ? published : -1);
            }
        }
    }
    for (int64_t w = 0; w < play->workers; w++) {
        channel_client_close(clients[w]);
    }
    return NULL;
}

static enum status play_run(struct play *play, struct coordinator_options *options,
                            struct coordinator_result *result, struct error *error)
{
    struct channel_server *server;
    CHECK_OK(
        channel_server_open(&server, "127.0.0.1", options->worker_count, &play->address, error),
        *error);
    play->workers = options->worker_count;
    options->stop = &play->stop;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, play_main, play), 0);
    const enum status status = coordinator_run(server, options, result, error);
    play->over = true;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    channel_server_close(server);
    return status;
}

static struct coordinator_options options_make(int64_t workers, int64_t steps)
{
    return (struct coordinator_options){.worker_count = workers,
                                        .slots = 4,
                                        .last_step = steps,
                                        .checkpoint_at_end = true,
                                        .silence_seconds = 20,
                                        .wait_seconds = 600};
}

START_TEST(test_coordinator_leads_steps_then_saves_drains_and_ends)
{
    struct error error;
    struct play play = {0};
    struct coordinator_options options = options_make(2, 3);
    struct coordinator_result result;
    CHECK_OK(play_run(&play, &options, &result, &error), error);
    ck_assert_str_eq(play.commands, "sssSPE");
    ck_assert_int_eq(result.step, 3);
    ck_assert_int_eq(result.published_step, 3);
    ck_assert(!result.stopped);
}
END_TEST

START_TEST(test_coordinator_publishes_along_with_the_next_step_and_evaluates_when_due)
{
    struct error error;
    struct play play = {0};
    struct coordinator_options options = options_make(3, 4);
    options.checkpoint_every = 2;
    options.evaluate_every = 2;
    struct coordinator_result result;
    CHECK_OK(play_run(&play, &options, &result, &error), error);
    ck_assert_str_eq(play.commands, "sseSsseSPE");
    ck_assert_int_eq(result.published_step, 4);
}
END_TEST

START_TEST(test_coordinator_stops_at_the_step_boundary_with_a_checkpoint)
{
    struct error error;
    struct play play = {.stop_at_step = 2};
    struct coordinator_options options = options_make(2, 50);
    struct coordinator_result result;
    CHECK_OK(play_run(&play, &options, &result, &error), error);
    ck_assert_str_eq(play.commands, "ssSPE");
    ck_assert(result.stopped);
    ck_assert_int_eq(result.step, 2);
}
END_TEST

START_TEST(test_coordinator_names_the_worker_that_failed)
{
    struct error error;
    struct play play = {.fail_at_step = 2};
    struct coordinator_options options = options_make(2, 5);
    struct coordinator_result result;
    CHECK_FAILS(play_run(&play, &options, &result, &error), STATUS_NUMERIC);
    ck_assert_ptr_nonnull(strstr(error.message, "worker 0 on host host-0: the sky fell"));
}
END_TEST

START_TEST(test_coordinator_names_a_silent_worker_within_the_limit)
{
    struct error error;
    struct play play = {.mute = true};
    struct coordinator_options options = options_make(1, 5);
    options.silence_seconds = 0.3;
    struct coordinator_result result;
    CHECK_FAILS(play_run(&play, &options, &result, &error), STATUS_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(error.message, "worker 0 (host host-0"));
}
END_TEST

START_TEST(test_coordinator_notices_a_silent_worker_among_talking_ones)
{
    struct error error;
    struct play play = {.mute = true, .beats = 150};
    struct coordinator_options options = options_make(2, 5);
    options.silence_seconds = 0.5;
    struct coordinator_result result;
    CHECK_FAILS(play_run(&play, &options, &result, &error), STATUS_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(error.message, "worker 1 (host host-1"));
}
END_TEST

START_TEST(test_coordinator_names_a_worker_that_lives_but_does_not_get_on)
{
    struct error error;
    struct play play = {.mute = true, .beats = 150};
    struct coordinator_options options = options_make(1, 5);
    options.silence_seconds = 0.4;
    options.wait_seconds = 0.1;
    struct coordinator_result result;
    CHECK_FAILS(play_run(&play, &options, &result, &error), STATUS_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(error.message, "alive but no progress"));
    ck_assert_ptr_nonnull(strstr(error.message, "worker 0 (host host-0"));
}
END_TEST

START_TEST(test_coordinator_goes_on_and_fails_at_the_end_when_checkpoints_cannot_be_written)
{
    struct error error;
    struct play play = {.write_fails = true};
    struct coordinator_options options = options_make(1, 4);
    options.checkpoint_every = 2;
    struct coordinator_result result;
    CHECK_FAILS(play_run(&play, &options, &result, &error), STATUS_IO);
    ck_assert_int_eq(result.step, 4);
    ck_assert_int_eq(result.published_step, -1);
}
END_TEST

START_TEST(test_coordinator_stops_at_the_first_failed_write_if_told_so)
{
    struct error error;
    struct play play = {.write_fails = true};
    struct coordinator_options options = options_make(1, 9);
    options.checkpoint_every = 2;
    options.stop_on_failure = true;
    struct coordinator_result result;
    CHECK_FAILS(play_run(&play, &options, &result, &error), STATUS_IO);
    ck_assert_int_eq(result.step, 2);
    ck_assert_ptr_nonnull(strstr(error.message, "checkpoint of step 2 was not written"));
}
END_TEST

START_TEST(test_coordinator_does_not_wait_twice_for_a_slow_disk)
{
    struct error error;
    struct play play = {.slow_drains = 5};
    struct coordinator_options options = options_make(1, 8);
    options.checkpoint_every = 2;
    struct coordinator_result result;
    CHECK_OK(play_run(&play, &options, &result, &error), error);
    /* The save of step 2, steps 3 and 4 and a drain find it writing: the checkpoint of step 4 is
     * put off. Step 6 finds all written, step 7 publishes it, and then the one that is due is
     * saved. */
    ck_assert_str_eq(play.commands, "ssSssdsssSsSPE");
    ck_assert_int_eq(result.published_step, 8);
}
END_TEST

START_TEST(test_coordinator_does_not_end_before_a_slow_disk_has_the_last_checkpoint)
{
    struct error error;
    struct play play = {.slow_drains = 100};
    struct coordinator_options options = options_make(1, 3);
    struct coordinator_result result;
    CHECK_FAILS(play_run(&play, &options, &result, &error), STATUS_IO);
    ck_assert_str_eq(play.commands, "sssSd");
    ck_assert_ptr_nonnull(strstr(error.message, "step 3 is still being written"));
}
END_TEST

START_TEST(test_coordinator_is_not_moved_by_old_records)
{
    struct error error;
    struct play play = {.replays = true};
    struct coordinator_options options = options_make(2, 3);
    struct coordinator_result result;
    CHECK_OK(play_run(&play, &options, &result, &error), error);
    ck_assert_str_eq(play.commands, "sssSPE");
}
END_TEST

/* A person at another shell. */
struct person {
    struct channel_address address;
    struct channel_client *client;
};

static int64_t asked(struct person *person, enum message_kind kind, const char *key)
{
    struct error error;
    char *text;
    json_t *answer;
    int64_t value;
    CHECK_OK(channel_operator_ask(person->client, kind, 0, 20000, &text, &error), error);
    CHECK_OK(json_read_text("answer", text, strlen(text), &answer, &error), error);
    CHECK_OK(json_member_integer(answer, key, "answer", &value, &error), error);
    json_decref(answer);
    memory_release(text);
    return value;
}

static void *person_main(void *context)
{
    struct person *const person = context;
    struct error error;
    CHECK_OK(channel_operator_open(&person->client, &person->address, &error), error);
    const int64_t paused = asked(person, MESSAGE_KIND_PAUSE, "step");
    for (int i = 0; i < 50; i++) { /* the step in hand is finished, no other is begun */
        ck_assert_int_le(asked(person, MESSAGE_KIND_STATUS, "step"), paused + 1);
    }
    int64_t step = asked(person, MESSAGE_KIND_RESUME, "step");
    while (asked(person, MESSAGE_KIND_STATUS, "step") < step + 10) {
    }
    step = asked(person, MESSAGE_KIND_CHECKPOINT, "step");
    while (asked(person, MESSAGE_KIND_STATUS, "published_step") < step) {
    }
    (void)asked(person, MESSAGE_KIND_STOP, "step");
    channel_client_close(person->client);
    return NULL;
}

START_TEST(test_coordinator_obeys_an_operator)
{
    struct error error;
    struct play play = {.workers = 2};
    struct person person = {0};
    struct channel_server *server;
    CHECK_OK(channel_server_open(&server, "127.0.0.1", 2, &play.address, &error), error);
    channel_server_operators(server, &person.address);
    struct coordinator_options options = options_make(2, INT64_MAX / 2);
    struct coordinator_result result;
    pthread_t workers;
    pthread_t shell;
    ck_assert_int_eq(pthread_create(&workers, NULL, play_main, &play), 0);
    ck_assert_int_eq(pthread_create(&shell, NULL, person_main, &person), 0);
    CHECK_OK(coordinator_run(server, &options, &result, &error), error);
    ck_assert_int_eq(pthread_join(shell, NULL), 0);
    ck_assert_int_eq(pthread_join(workers, NULL), 0);
    channel_server_close(server);
    ck_assert(result.stopped);
    ck_assert_int_eq(result.published_step, result.step);
}
END_TEST

START_TEST(test_coordinator_journal_has_a_line_a_step)
{
    struct error error;
    char path[PATH_BYTES];
    CHECK_OK(path_join(path, suite_scratch(), "journal.jsonl", &error), error);
    struct play play = {0};
    struct coordinator_options options = options_make(2, 3);
    options.journal = path;
    struct coordinator_result result;
    CHECK_OK(play_run(&play, &options, &result, &error), error);
    char *text;
    size_t size;
    CHECK_OK(file_read(path, 1 << 20, &text, &size, &error), error);
    int64_t steps = 0;
    for (char *line = text; *line != '\0';) {
        char *const end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        json_t *object;
        CHECK_OK(json_read_text("journal", line, (size_t)(end - line), &object, &error), error);
        if (json_object_get(object, "loss") != NULL) {
            steps++;
            int64_t step;
            CHECK_OK(json_member_integer(object, "step", "journal", &step, &error), error);
            ck_assert_int_eq(step, steps);
            char expected[32];
            (void)snprintf(expected, sizeof expected, "print-%lld", (long long)step);
            ck_assert_str_eq(json_string_value(json_object_get(object, "fingerprint")), expected);
        }
        json_decref(object);
        line = end + 1;
    }
    ck_assert_int_eq(steps, 3);
    memory_release(text);
}
END_TEST

int main(void)
{
    return suite_run(
        "coordinator",
        (const TTest *[]){
            test_coordinator_leads_steps_then_saves_drains_and_ends,
            test_coordinator_publishes_along_with_the_next_step_and_evaluates_when_due,
            test_coordinator_stops_at_the_step_boundary_with_a_checkpoint,
            test_coordinator_names_the_worker_that_failed,
            test_coordinator_names_a_silent_worker_within_the_limit,
            test_coordinator_notices_a_silent_worker_among_talking_ones,
            test_coordinator_names_a_worker_that_lives_but_does_not_get_on,
            test_coordinator_goes_on_and_fails_at_the_end_when_checkpoints_cannot_be_written,
            test_coordinator_stops_at_the_first_failed_write_if_told_so,
            test_coordinator_does_not_wait_twice_for_a_slow_disk,
            test_coordinator_does_not_end_before_a_slow_disk_has_the_last_checkpoint,
            test_coordinator_is_not_moved_by_old_records, test_coordinator_obeys_an_operator,
            test_coordinator_journal_has_a_line_a_step, NULL});
}
