/* See coordinator.h. */
#include "coordinator/coordinator.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/chronicle.h"
#include "coordinator/control.h"
#include "coordinator/roster.h"

enum { POLL_MS = 200 };
static const double pause_seconds = 1.0;

struct coordinator {
    const struct coordinator_options *options;
    struct channel_server *server;
    struct chronicle chronicle;
    struct lease_book leases;
    struct roster roster;
    struct control control;
    int64_t step;           /* updates done */
    int64_t order;          /* of the command in hand: what READY answers */
    int64_t evaluated_step; /* -1: none */
    int64_t saved_step;     /* a snapshot was taken; -1: none */
    int64_t asked_step;     /* publication was asked for; -1: none */
    int64_t published_step; /* -1: none */
    bool write_failed;      /* of saved_step */
    bool write_slow;        /* of saved_step: it was waited for once, in vain */
    int64_t command_ns;     /* when the command in hand was sent */
};

/* A request of another step is an old one. */
static enum status lease_answer(struct coordinator *coordinator, const struct message *ask,
                                struct error *error)
{
    if (ask->step != coordinator->step + 1) {
        return STATUS_OK;
    }
    struct message answer = message_make(MESSAGE_KIND_LEASE, ask->worker, ask->step);
    answer.slot = lease_book_give(&coordinator->leases);
    return channel_server_send(coordinator->server, &answer, error);
}

static void ready_take(struct coordinator *coordinator, struct member *member,
                       const struct message *message)
{
    member->state = MEMBER_STATE_READY;
    member->ready = *message;
    if (message->values[MESSAGE_VALUE_WRITTEN] > member->written_step) {
        member->written_step = message->values[MESSAGE_VALUE_WRITTEN];
    }
    const int64_t failed = message->values[MESSAGE_VALUE_WRITE_FAILED];
    if (failed >= 0 && failed == coordinator->saved_step && !coordinator->write_failed) {
        coordinator->write_failed = true;
        char text[CHRONICLE_TEXT_BYTES];
        (void)snprintf(text, sizeof text, "checkpoint of step %" PRId64 " was not written: %s",
                       failed, message->text);
        chronicle_fail(&coordinator->chronicle, text);
        log_line(LOG_LEVEL_ERROR, "%s; older checkpoints stay", text);
        chronicle_event(&coordinator->chronicle, coordinator->step, "warning", text);
        chronicle_tell(&coordinator->chronicle, text);
    }
    const int64_t published = message->values[MESSAGE_VALUE_PUBLISHED];
    if (message->worker == 0 && published > coordinator->published_step) {
        coordinator->published_step = published;
        char text[CHRONICLE_TEXT_BYTES];
        (void)snprintf(text, sizeof text, "checkpoint of step %" PRId64 " is written", published);
        chronicle_note(&coordinator->chronicle, json_pack("{s:s, s:I}", "event", "checkpoint",
                                                          "step", (json_int_t)published));
        chronicle_tell(&coordinator->chronicle, text);
    }
}

/* An operator's: noted for the next step boundary, and said in the journal if it asks for more than
 * the status. */
static void request_take(struct coordinator *coordinator, const struct message *request)
{
    static const char *const names[] = {"status", "checkpoint", "pause",
                                        "resume", "stop",       "workers"};
    const struct control_view view = {.step = coordinator->step,
                                      .last_step = coordinator->options->last_step,
                                      .saved_step = coordinator->saved_step,
                                      .published_step = coordinator->published_step,
                                      .write_failed = coordinator->write_failed,
                                      .members = coordinator->roster.members,
                                      .worker_count = coordinator->options->worker_count,
                                      .workers_least = coordinator->options->workers_least,
                                      .team_size = coordinator->options->team_size,
                                      .workers_most = coordinator->options->workers_most};
    const bool taken = control_take(&coordinator->control, &view, coordinator->server, request);
    if (taken && request->kind != MESSAGE_KIND_STATUS) {
        chronicle_event(&coordinator->chronicle, coordinator->step, "control",
                        names[request->kind - MESSAGE_KIND_STATUS]);
    }
}

static enum status message_take(struct coordinator *coordinator, const struct message *message,
                                struct error *error)
{
    if (message_from_operator(message)) {
        request_take(coordinator, message);
        return STATUS_OK;
    }
    struct member *const member = &coordinator->roster.members[message->worker];
    member->heard_ns = clock_now_ns();
    switch ((enum message_kind)message->kind) {
    case MESSAGE_KIND_HELLO:
        (void)snprintf(member->host, sizeof member->host, "%.63s", message->text);
        member->process = message->values[0];
        member->peak_flops = message->reals[0];
        if (message->worker == 0 && message->values[1] == 1) {
            chronicle_event(
                &coordinator->chronicle, coordinator->step, "warning",
                "the numeric profile changed and was accepted: from here on the bits are "
                "those of another profile");
        }
        if (member->state == MEMBER_STATE_ABSENT) {
            member->state = MEMBER_STATE_BUSY;
        }
        return STATUS_OK;
    case MESSAGE_KIND_HEARTBEAT:
        if (member->phase != message->phase || member->step != message->step ||
            member->slot != message->slot) {
            member->moved_ns = member->heard_ns;
        }
        member->phase = message->phase;
        member->step = message->step;
        member->slot = message->slot;
        return STATUS_OK;
    case MESSAGE_KIND_ASK:
        return lease_answer(coordinator, message, error);
    case MESSAGE_KIND_READY:
        if (member->state == MEMBER_STATE_BUSY && message->order == coordinator->order) {
            ready_take(coordinator, member, message);
        } /* else an old one */
        return STATUS_OK;
    case MESSAGE_KIND_FAILED: {
        const int64_t status = message->values[0];
        const bool known = status > STATUS_OK && status <= STATUS_INTERNAL;
        FAIL(error, known ? (enum status)status : STATUS_PEER, "worker %d on host %s: %s",
             message->worker, member->host, message->text);
    }
    case MESSAGE_KIND_STEP:
    case MESSAGE_KIND_LEASE:
    case MESSAGE_KIND_EVALUATE:
    case MESSAGE_KIND_SAVE:
    case MESSAGE_KIND_DRAIN:
    case MESSAGE_KIND_END:
    case MESSAGE_KIND_STATUS:
    case MESSAGE_KIND_CHECKPOINT:
    case MESSAGE_KIND_PAUSE:
    case MESSAGE_KIND_RESUME:
    case MESSAGE_KIND_STOP:
    case MESSAGE_KIND_WORKERS:
    case MESSAGE_KIND_ANSWER:
    case MESSAGE_KIND_COUNT:
        break; /* not for us: dropped */
    }
    return STATUS_OK;
}

/* Takes a message, if one comes soon, and looks now and then who is silent. */
static enum status moment_pass(struct coordinator *coordinator, int64_t *checked_ns,
                               struct error *error)
{
    struct message message;
    bool received;
    const int64_t poll_ns = clock_now_ns();
    TRY(channel_server_receive(coordinator->server, POLL_MS, &message, &received, error));
    roster_forgive(&coordinator->roster, clock_now_ns() - poll_ns);
    if (received) {
        TRY(message_take(coordinator, &message, error));
    }
    /* When a process of the job has died, mpirun sends SIGCONT, a second later SIGTERM: a signal
     * ends the wait. A worker that fails speaks before it goes, and is heard first. */
    if (!received && coordinator->options->host != NULL) {
        TRY(roster_check_deaths(&coordinator->roster, coordinator->options->host, error));
    }
    /* By the clock, not when nothing comes: the others' heartbeats never pause. */
    if (clock_now_ns() - *checked_ns > (int64_t)POLL_MS * 1000000) {
        TRY(roster_check_silence(&coordinator->roster, error));
        *checked_ns = clock_now_ns();
    }
    return STATUS_OK;
}

static enum status ready_wait(struct coordinator *coordinator, struct error *error)
{
    int64_t checked_ns = clock_now_ns();
    while (!roster_ready(&coordinator->roster)) {
        TRY(moment_pass(coordinator, &checked_ns, error));
    }
    return STATUS_OK;
}

static bool stop_asked(const struct coordinator *coordinator)
{
    const volatile sig_atomic_t *const stop = coordinator->options->stop;
    return coordinator->control.stopping || coordinator->control.workers_asked > 0 ||
           (stop != NULL && *stop != 0);
}

static bool pausing(const struct coordinator *coordinator)
{
    return coordinator->control.paused && !stop_asked(coordinator);
}

/* While an operator has paused the job, workers get a command every moment (DRAIN, which keeps
 * checkpoints going too), so that none takes the pause for the coordinator's death. */
static enum status pause_wait(struct coordinator *coordinator, struct error *error)
{
    const int64_t start_ns = clock_now_ns();
    int64_t checked_ns = start_ns;
    while (pausing(coordinator) && clock_seconds_since(start_ns) < pause_seconds) {
        TRY(moment_pass(coordinator, &checked_ns, error));
    }
    return STATUS_OK;
}

/* The step of a checkpoint whose parts are all written and that nobody publishes yet, or -1. */
static int64_t publish_due(struct coordinator *coordinator)
{
    const int64_t step = coordinator->saved_step;
    if (step < 0 || coordinator->asked_step == step || coordinator->write_failed ||
        !roster_written(&coordinator->roster, step)) {
        return -1;
    }
    coordinator->asked_step = step;
    return step;
}

/* A checkpoint is under way. */
static bool write_pending(const struct coordinator *coordinator)
{
    return coordinator->saved_step > coordinator->published_step && !coordinator->write_failed;
}

static enum message_kind command_decide(const struct coordinator *coordinator)
{
    const struct coordinator_options *const options = coordinator->options;
    const int64_t step = coordinator->step;
    const bool stopping = step >= options->last_step || stop_asked(coordinator);
    const bool worked = step > options->first_step || options->recalled;
    if (worked && options->evaluate_every > 0 && coordinator->evaluated_step != step &&
        (step % options->evaluate_every == 0 || step >= options->last_step)) {
        return MESSAGE_KIND_EVALUATE;
    }
    const bool due = coordinator->control.checkpoint_asked ||
                     (options->checkpoint_every > 0 && step % options->checkpoint_every == 0);
    const bool last = stopping && options->checkpoint_at_end;
    const bool busy = write_pending(coordinator);
    if (worked && coordinator->saved_step != step &&
        (last || (due && !(busy && coordinator->write_slow)))) {
        /* A snapshot overwrites the buffer of the one being written: that one is drained and
         * published first. */
        return busy ? MESSAGE_KIND_DRAIN : MESSAGE_KIND_SAVE;
    }
    if (!stopping) {
        return pausing(coordinator) ? MESSAGE_KIND_DRAIN : MESSAGE_KIND_STEP;
    }
    return busy ? MESSAGE_KIND_DRAIN : MESSAGE_KIND_END;
}

/* With how many workers the job is to be started again when it ends here; 0: not at all. */
static int64_t workers_next(const struct coordinator *coordinator)
{
    const volatile sig_atomic_t *const stop = coordinator->options->stop;
    const bool over = coordinator->step >= coordinator->options->last_step ||
                      coordinator->control.stopping || (stop != NULL && *stop != 0);
    return over ? 0 : coordinator->control.workers_asked;
}

static enum status command_send(struct coordinator *coordinator, enum message_kind kind,
                                struct error *error)
{
    if (kind == MESSAGE_KIND_STEP) {
        const int64_t team_size = coordinator->roster.count / coordinator->leases.worker_count;
        lease_book_begin(&coordinator->leases, roster_slowness(&coordinator->roster, team_size));
    }
    const int64_t publish_step = publish_due(coordinator);
    const int64_t step = kind == MESSAGE_KIND_STEP ? coordinator->step + 1 : coordinator->step;
    coordinator->command_ns = clock_now_ns();
    coordinator->order++;
    for (int64_t i = 0; i < coordinator->options->worker_count; i++) {
        struct message command = message_make(kind, i, step);
        command.publish_step = publish_step;
        command.order = coordinator->order;
        command.values[0] = kind == MESSAGE_KIND_END ? (workers_next(coordinator) > 0 ? 1 : 0)
                                                     : (coordinator->leases.dynamic ? 1 : 0);
        coordinator->roster.members[i].state = MEMBER_STATE_BUSY;
        coordinator->roster.members[i].moved_ns = coordinator->command_ns;
        TRY(channel_server_send(coordinator->server, &command, error));
    }
    return STATUS_OK;
}

static void step_account(struct coordinator *coordinator)
{
    const struct message *const first = &coordinator->roster.members[0].ready;
    struct step_record record = step_record_make(++coordinator->step, first);
    record.last_step = coordinator->options->last_step;
    record.seconds = clock_seconds_since(coordinator->command_ns);
    record.dynamic = coordinator->leases.dynamic;
    roster_total(&coordinator->roster, &record);
    chronicle_note(&coordinator->chronicle, step_record_line(&record));
    if (first->values[MESSAGE_VALUE_SKIPPED] != 0) {
        chronicle_event(&coordinator->chronicle, coordinator->step, "skip", first->text);
        chronicle_tell(&coordinator->chronicle, first->text);
    }
    control_step(&coordinator->control, &record);
    const struct coordinator_listener *const listener = &coordinator->options->listener;
    if (listener->step != NULL) {
        listener->step(listener->context, &record);
    }
}

/* The job before may have died between a step and its line: what is known of it. */
static void recalled_account(struct coordinator *coordinator)
{
    if (coordinator->options->recalled && coordinator->step > 0) {
        const struct step_record record =
            step_record_make(coordinator->step, &coordinator->roster.members[0].ready);
        chronicle_note(&coordinator->chronicle, step_record_recalled_line(&record));
    }
}

static void evaluation_account(struct coordinator *coordinator)
{
    const struct evaluation_record record =
        evaluation_record_make(coordinator->step, &coordinator->roster.members[0].ready);
    coordinator->evaluated_step = coordinator->step;
    chronicle_note(&coordinator->chronicle, evaluation_record_line(&record));
    const struct coordinator_listener *const listener = &coordinator->options->listener;
    if (listener->evaluation != NULL) {
        listener->evaluation(listener->context, &record);
    }
}

static void save_account(struct coordinator *coordinator)
{
    coordinator->saved_step = coordinator->step;
    coordinator->write_failed = false;
    coordinator->write_slow = false;
    coordinator->control.checkpoint_asked = false;
}

/* Which host has which workers: a list of host names by worker. */
static void hosts_note(struct coordinator *coordinator)
{
    json_t *const hosts = json_array();
    for (int64_t i = 0; i < coordinator->roster.count; i++) {
        (void)json_array_append_new(hosts, json_string(coordinator->roster.members[i].host));
    }
    chronicle_note(&coordinator->chronicle,
                   json_pack("{s:s, s:I, s:o}", "event", "workers", "step",
                             (json_int_t)coordinator->step, "hosts", hosts));
}

/* The disk was waited for as long as is allowed. Training need not wait longer, but its end must.
 */
static enum status drain_account(struct coordinator *coordinator, struct error *error)
{
    bool writing = false;
    for (int64_t i = 0; i < coordinator->roster.count; i++) {
        writing =
            writing || coordinator->roster.members[i].ready.values[MESSAGE_VALUE_WRITING] != 0;
    }
    if (!writing) {
        return STATUS_OK;
    }
    char text[CHRONICLE_TEXT_BYTES];
    (void)snprintf(text, sizeof text,
                   "checkpoint of step %" PRId64 " is still being written after %.0f s",
                   coordinator->saved_step, coordinator->options->wait_seconds);
    if (coordinator->step >= coordinator->options->last_step || stop_asked(coordinator)) {
        FAIL(error, STATUS_IO, "%s", text);
    }
    if (!coordinator->write_slow) {
        coordinator->write_slow = true;
        coordinator->control.checkpoint_asked = true; /* once it is done */
        log_line(LOG_LEVEL_ERROR, "%s: training goes on, the next one is written later", text);
        chronicle_event(&coordinator->chronicle, coordinator->step, "warning", text);
        chronicle_tell(&coordinator->chronicle, text);
    }
    return STATUS_OK;
}

/* May the job go on, or end, with what could not be written? Ended so, the state stays in memory.
 */
static enum status failure_check(const struct coordinator *coordinator, enum message_kind next,
                                 struct error *error)
{
    const bool unsaved = next == MESSAGE_KIND_END && coordinator->write_failed &&
                         coordinator->saved_step == coordinator->step;
    if (coordinator->chronicle.failure[0] != '\0' &&
        (unsaved || coordinator->options->stop_on_failure)) {
        FAIL(error, STATUS_IO, "%s%s", coordinator->chronicle.failure,
             unsaved ? "; it was the last one: the state is kept in memory" : "");
    }
    return STATUS_OK;
}

/* The loop of the drawing in coordinator.h. */
static enum status coordinator_lead(struct coordinator *coordinator, struct error *error)
{
    TRY(ready_wait(coordinator, error));
    hosts_note(coordinator);
    recalled_account(coordinator);
    for (;;) {
        TRY(pause_wait(coordinator, error));
        const enum message_kind command = command_decide(coordinator);
        TRY(failure_check(coordinator, command, error));
        TRY(command_send(coordinator, command, error));
        if (command == MESSAGE_KIND_END) {
            return STATUS_OK;
        }
        if (command == MESSAGE_KIND_STEP) {
            fault_reach(coordinator->options->fault, FAULT_POINT_STEP_COMMANDED,
                        coordinator->step + 1);
        } else if (command == MESSAGE_KIND_SAVE) {
            save_account(coordinator);
        }
        TRY(ready_wait(coordinator, error));
        if (command == MESSAGE_KIND_STEP) {
            step_account(coordinator);
            fault_reach(coordinator->options->fault, FAULT_POINT_STEP_JOURNALED, coordinator->step);
        } else if (command == MESSAGE_KIND_EVALUATE) {
            evaluation_account(coordinator);
        } else if (command == MESSAGE_KIND_DRAIN) {
            TRY(drain_account(coordinator, error));
        }
    }
}

enum status coordinator_run(struct channel_server *server,
                            const struct coordinator_options *options,
                            struct coordinator_result *result, struct error *error)
{
    const int64_t saved = options->checkpoint_step > 0 ? options->checkpoint_step : -1;
    struct coordinator coordinator = {.options = options,
                                      .server = server,
                                      .step = options->first_step,
                                      .evaluated_step = -1,
                                      .saved_step = saved,
                                      .asked_step = saved,
                                      .published_step = saved};
    TRY(chronicle_open(&coordinator.chronicle, server, options, error));
    roster_init(&coordinator.roster, options->worker_count, options->silence_seconds,
                options->wait_seconds);
    const int64_t team_size = options->team_size > 0 ? options->team_size : 1;
    lease_book_init(&coordinator.leases, options->lease_policy, options->worker_count / team_size,
                    options->slots);
    chronicle_begin(&coordinator.chronicle);
    const enum status status = coordinator_lead(&coordinator, error);
    *result = (struct coordinator_result){.step = coordinator.step,
                                          .published_step = coordinator.published_step,
                                          .stopped = coordinator.step < options->last_step,
                                          .workers_next = workers_next(&coordinator)};
    chronicle_end(&coordinator.chronicle, result, status, error);
    roster_deinit(&coordinator.roster);
    chronicle_close(&coordinator.chronicle);
    return status;
}
