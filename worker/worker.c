/* See worker.h: the commands of the coordinator, one at a time, each answered with READY. Opening:
 * worker_open.c. */
#include "worker/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"
#include "worker/rollback.h"
#include "worker/worker_state.h"

enum { COMMAND_POLL_MS = 1000, FAREWELL_SECONDS = 5 };

static struct message ready_message(struct worker *worker)
{
    struct message ready =
        message_make(MESSAGE_KIND_READY, worker->topology.worker_index, worker->step);
    ready.order = worker->order;
    const struct process_memory memory = process_memory();
    /* Pages that come and go are in the peak and not in what is shared now. */
    ready.values[MESSAGE_VALUE_PRIVATE] =
        partition_divides_sums(&worker->partition)
            ? (worker->trainer.private_bytes > memory.private_bytes ? worker->trainer.private_bytes
                                                                    : memory.private_bytes)
            : memory.peak_bytes - memory.shared_bytes;
    ready.values[MESSAGE_VALUE_SHARED] =
        worker->topology.local_index > 0
            ? 0
            : node_state_peak(&worker->node) + window_taken_bytes(&worker->snapshot.window);
    if (worker->writer != NULL) {
        const struct writer_report report = writer_report(worker->writer);
        ready.values[MESSAGE_VALUE_WRITTEN] = report.written_step;
        ready.values[MESSAGE_VALUE_PUBLISHED] = report.published_step;
        ready.values[MESSAGE_VALUE_WRITE_FAILED] = report.failed_step;
        ready.values[MESSAGE_VALUE_WRITING] = report.busy ? 1 : 0;
        (void)snprintf(ready.text, sizeof ready.text, "%.500s", report.message);
    }
    return ready;
}

static void report_put(const struct trainer_report *report, struct message *ready)
{
    ready->values[MESSAGE_VALUE_SLOTS] = report->slots;
    ready->values[MESSAGE_VALUE_SKIPPED] = report->verdict == POLICY_VERDICT_SKIP ? 1 : 0;
    ready->values[MESSAGE_VALUE_AUDITED] = report->audited_slot + 1;
    ready->values[MESSAGE_VALUE_TARGETS] = report->totals[NODE_TOTAL_TARGETS];
    ready->values[MESSAGE_VALUE_CORRECT] = report->totals[NODE_TOTAL_CORRECT];
    ready->values[MESSAGE_VALUE_TOKENS] = report->totals[NODE_TOTAL_TOKENS];
    ready->values[MESSAGE_VALUE_PAIRS] = report->totals[NODE_TOTAL_PAIRS];
    ready->values[MESSAGE_VALUE_PAIRS_CORRECT] = report->totals[NODE_TOTAL_PAIRS_CORRECT];
    ready->values[MESSAGE_VALUE_SPANS] = report->totals[NODE_TOTAL_SPANS];
    ready->values[MESSAGE_VALUE_SPANS_CORRECT] = report->totals[NODE_TOTAL_SPANS_CORRECT];
    ready->reals[MESSAGE_REAL_LOSS] = report->loss;
    ready->reals[MESSAGE_REAL_PAIR_LOSS] = report->pair_loss;
    ready->reals[MESSAGE_REAL_SPAN_LOSS] = report->span_loss;
    ready->reals[MESSAGE_REAL_RATE] = report->rate;
    ready->reals[MESSAGE_REAL_NORM] = report->norm;
    ready->reals[MESSAGE_REAL_COMPUTE] = report->compute_seconds;
    ready->reals[MESSAGE_REAL_FLOPS] = report->flops;
    ready->reals[MESSAGE_REAL_EXACT] = report->exact_seconds;
}

static void fingerprint_put(struct digest fingerprint, struct message *ready)
{
    char text[DIGEST_TEXT_BYTES];
    digest_text(fingerprint, text);
    (void)snprintf(ready->fingerprint, sizeof ready->fingerprint, "%s", text);
}

static enum status command_step(struct worker *worker, const struct message *command,
                                struct error *error)
{
    struct trainer_report report;
    TRY(trainer_step(&worker->trainer, command->step, command->values[0] != 0, &report, error));
    if (report.verdict == POLICY_VERDICT_ROLLBACK) {
        return rollback_run(worker, command->step, report.text, error);
    }
    worker->step = command->step;
    worker->tokens += report.totals[NODE_TOTAL_TOKENS];
    worker->fingerprint = report.fingerprint;
    struct message ready = ready_message(worker);
    report_put(&report, &ready);
    fingerprint_put(report.fingerprint, &ready);
    if (report.verdict == POLICY_VERDICT_SKIP) {
        (void)snprintf(ready.text, sizeof ready.text, "%s", report.text);
    }
    TRY(channel_client_send(worker->channel, &ready, error));
    fault_reach(worker->trainer.fault, FAULT_POINT_STEP_TOLD, worker->step);
    return STATUS_OK;
}

static enum status command_evaluate(struct worker *worker, struct error *error)
{
    const int64_t slot_tokens = worker->setup->step->slot_tokens;
    const int64_t wanted = (worker->setup->evaluation->tokens + slot_tokens - 1) / slot_tokens;
    const int64_t all = data_source_held_out_slots(worker->source);
    struct trainer_report report;
    TRY(trainer_evaluate(&worker->trainer, wanted < all ? wanted : all, &report, error));
    worker->held_out_loss = report.loss;
    struct message ready = ready_message(worker);
    report_put(&report, &ready);
    return channel_client_send(worker->channel, &ready, error);
}

/* Worker 0 begins the folder, all take the snapshot, then each writes its parts in the background.
 * A folder that cannot be begun is reported and training goes on. */
static enum status command_save(struct worker *worker, struct error *error)
{
    heart_phase(worker->heart, MESSAGE_PHASE_SNAPSHOT, worker->step, -1);
    TRY(writer_wait(worker->writer, worker->setup->lease->wait_seconds, error));
    char partial[PATH_BYTES] = {0};
    if (worker->topology.worker_index == 0) {
        struct error refused;
        if (checkpoint_begin(worker->setup->checkpoint_root, worker->step, partial, &refused) !=
            STATUS_OK) {
            partial[0] = '\0';
            writer_refuse(worker->writer, worker->step, refused.message);
        }
    }
    fault_reach(worker->trainer.fault, FAULT_POINT_SAVE_BEGIN, worker->step);
    TRY(fabric_broadcast(worker->workers, 0, partial, sizeof partial, error));
    if (partial[0] != '\0') {
        struct checkpoint_meta meta = {.step = worker->step,
                                       .tokens = worker->tokens,
                                       .seed = worker->setup->seed,
                                       .fingerprint = worker->fingerprint,
                                       .corpus = data_source_fingerprint(worker->source),
                                       .held_out_loss = worker->held_out_loss,
                                       .loss_mean = commit_record(&worker->node)->loss_mean,
                                       .loss_count = commit_record(&worker->node)->loss_count};
        memcpy(meta.profile, worker->profile, sizeof meta.profile);
        TRY(snapshot_take(&worker->snapshot, &worker->node, worker->setup->lease->wait_seconds,
                          error));
        fault_reach(worker->trainer.fault, FAULT_POINT_SAVE_TAKEN, worker->step);
        writer_begin(worker->writer, partial, &meta);
    }
    const struct message ready = ready_message(worker);
    return channel_client_send(worker->channel, &ready, error);
}

static enum status command_drain(struct worker *worker, struct error *error)
{
    heart_phase(worker->heart, MESSAGE_PHASE_DRAIN, worker->step, -1);
    struct error slow; /* a slow disk: READY says so, and the coordinator decides */
    (void)!writer_wait(worker->writer, worker->setup->lease->wait_seconds, &slow);
    const struct message ready = ready_message(worker);
    return channel_client_send(worker->channel, &ready, error);
}

static enum status command_obey(struct worker *worker, const struct message *command,
                                struct error *error)
{
    if (command->kind != MESSAGE_KIND_LEASE) { /* one of a step that is over */
        worker->order = command->order;
    }
    if (command->publish_step >= 0 && worker->topology.worker_index == 0) {
        writer_publish(worker->writer);
    }
    switch ((enum message_kind)command->kind) {
    case MESSAGE_KIND_STEP:
        return command_step(worker, command, error);
    case MESSAGE_KIND_EVALUATE:
        return command_evaluate(worker, error);
    case MESSAGE_KIND_SAVE:
        return command_save(worker, error);
    case MESSAGE_KIND_DRAIN:
        return command_drain(worker, error);
    case MESSAGE_KIND_LEASE:
        return STATUS_OK; /* of a step that is over */
    case MESSAGE_KIND_END:
    case MESSAGE_KIND_HELLO:
    case MESSAGE_KIND_HEARTBEAT:
    case MESSAGE_KIND_ASK:
    case MESSAGE_KIND_READY:
    case MESSAGE_KIND_FAILED:
    case MESSAGE_KIND_STATUS:
    case MESSAGE_KIND_CHECKPOINT:
    case MESSAGE_KIND_PAUSE:
    case MESSAGE_KIND_RESUME:
    case MESSAGE_KIND_STOP:
    case MESSAGE_KIND_WORKERS:
    case MESSAGE_KIND_ANSWER:
    case MESSAGE_KIND_COUNT:
        break;
    }
    FAIL(error, STATUS_PEER, "the coordinator sent a message of kind %d, which is no command",
         command->kind);
}

static enum status command_wait(struct worker *worker, struct message *command, struct error *error)
{
    heart_phase(worker->heart, MESSAGE_PHASE_IDLE, worker->step, -1);
    const int64_t start_ns = clock_now_ns();
    for (bool received = false; !received;) {
        TRY(channel_client_receive(worker->channel, COMMAND_POLL_MS, command, &received, error));
        if (!received && clock_seconds_since(start_ns) > worker->setup->lease->wait_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for a command of the coordinator after step %" PRId64,
                 clock_seconds_since(start_ns), worker->step);
        }
    }
    return STATUS_OK;
}

/* What this core reaches in matrix products beside its neighbours, who measure at the same time:
 * flop/s. */
static double matmul_peak(const struct kernels *kernels)
{
    enum { SIDE = 512, ROUNDS = 12 };
    float *const square = memory_take(3 * (size_t)SIDE * SIDE, sizeof *square, "peak measurement");
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        const int64_t start_ns = clock_now_ns();
        kernels->matmul(SIDE, SIDE, SIDE, 1.0F, matrix_of(square, SIDE),
                        matrix_transposed(square + SIDE * SIDE, SIDE), 0.0F,
                        square + 2 * SIDE * SIDE, SIDE);
        const int64_t taken_ns = clock_now_ns() - start_ns;
        best_ns = taken_ns < best_ns ? taken_ns : best_ns;
    }
    memory_release(square);
    return 2.0 * SIDE * SIDE * SIDE / ((double)best_ns * 1e-9);
}

/* The step in memory may be one that the journal has not got. */
static void recall_put(const struct worker *worker, struct message *ready)
{
    if (worker->recalled && worker->topology.worker_index == 0) {
        const struct node_record *const record = commit_record(&worker->node);
        struct trainer_report report = {.rate = record->rate, .norm = record->norm};
        trainer_report_totals(&report, record->totals);
        report_put(&report, ready);
        fingerprint_put(record->fingerprint, ready);
    }
}

static enum status commands_obey(struct worker *worker, struct error *error)
{
    struct message hello =
        message_make(MESSAGE_KIND_HELLO, worker->topology.worker_index, worker->step);
    hello.values[0] = getpid();
    hello.values[1] = worker->profile_changed ? 1 : 0;
    hello.reals[0] = matmul_peak(&worker->kernels);
    (void)snprintf(hello.text, sizeof hello.text, "%s", fabric_host(worker->fabric));
    TRY(channel_client_send(worker->channel, &hello, error));
    struct message ready = ready_message(worker);
    recall_put(worker, &ready);
    TRY(channel_client_send(worker->channel, &ready, error));
    for (;;) {
        struct message command;
        TRY(command_wait(worker, &command, error));
        if (command.kind == MESSAGE_KIND_END) {
            worker->stays = command.values[0] == 1;
            return STATUS_OK;
        }
        TRY(command_obey(worker, &command, error));
    }
}

/* The coordinator ends the job when it hears of a failure; this gives it the time. */
static void failure_tell(struct worker *worker, enum status status, const struct error *error)
{
    struct message failed =
        message_make(MESSAGE_KIND_FAILED, worker->topology.worker_index, worker->step);
    failed.values[0] = (int64_t)status;
    (void)snprintf(failed.text, sizeof failed.text, "%.500s", error->message);
    struct error ignored;
    if (channel_client_send(worker->channel, &failed, &ignored) == STATUS_OK) {
        struct message answer;
        bool received;
        (void)!channel_client_receive(worker->channel, FAREWELL_SECONDS * 1000, &answer, &received,
                                      &ignored);
    }
}

enum status worker_run(struct worker *worker, const struct channel_address *address,
                       struct error *error)
{
    const int64_t index = worker->topology.worker_index;
    TRY(channel_client_open(&worker->channel, address, index, "main", error));
    TRY(heart_open(&worker->heart, address, index, worker->setup->lease->heartbeat_seconds, error));
    worker->trainer.channel = worker->channel;
    worker->trainer.heart = worker->heart;
    const enum status status = commands_obey(worker, error);
    if (status != STATUS_OK) {
        failure_tell(worker, status, error);
    }
    return status;
}
