/* See worker.h. */
#include "worker/worker.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "worker/trainer.h"
#include "worker/writer.h"

enum { COMMAND_POLL_MS = 1000, FAREWELL_SECONDS = 5 };

struct worker {
    const struct worker_setup *setup;
    struct fabric *fabric;
    struct fabric_group *workers;
    struct kernels kernels;
    char profile[CHECKPOINT_PROFILE_BYTES];
    struct model_options model_options;
    struct data_source *source;
    struct model *model;
    struct topology topology;
    struct partition partition;
    struct node_state node;
    struct accumulator accumulator;
    struct optimizer optimizer;
    struct snapshot snapshot;
    struct writer *writer;
    struct prefetch *prefetch;
    struct channel_client *channel;
    struct heart *heart;
    struct trainer trainer;
    struct digest fingerprint; /* worker 0: of the state as it stands, when fingerprints are on */
    int64_t step;              /* updates done */
    bool profile_changed;      /* since the checkpoint, and accepted */
    int64_t tokens;            /* seen in training */
    double held_out_loss;      /* of the last evaluation; NaN: none */
};

/* The best vector level that every worker has, or the one that the configuration names. Collective.
 */
static enum status level_agree(struct worker *worker, enum kernels_level *level,
                               struct error *error)
{
    int64_t best = (int64_t)kernels_level_best();
    TRY(fabric_least(worker->workers, &best, 1, error));
    const enum numerics_core core = worker->setup->numerics->core;
    *level = core == NUMERICS_CORE_AVX2     ? KERNELS_LEVEL_AVX2
             : core == NUMERICS_CORE_AVX512 ? KERNELS_LEVEL_AVX512
                                            : (enum kernels_level)best;
    if ((int64_t)*level > best) {
        FAIL(error, STATUS_INPUT,
             "numerics.core is %s, but the processors of this job have %s at most",
             kernels_level_name(*level), kernels_level_name((enum kernels_level)best));
    }
    return STATUS_OK;
}

/* Opens the kernels and makes sure that all workers compute with the same profile. Collective. */
static enum status profile_agree(struct worker *worker, struct error *error)
{
    enum kernels_level level;
    TRY(level_agree(worker, &level, error));
    const enum status opened = kernels_open(&worker->kernels, level, error);
    TRY(fabric_agree(worker->workers, opened, error));
    (void)snprintf(worker->profile, sizeof worker->profile,
                   "compute fp32; %s; slot_tokens %" PRId64
                   "; tensor_parts 1; block %d; fraction %d",
                   worker->kernels.profile, worker->setup->step->slot_tokens, PARAMETER_BLOCK,
                   ACCUMULATOR_FRACTION_BITS);
    char first[CHECKPOINT_PROFILE_BYTES];
    memcpy(first, worker->profile, sizeof first);
    TRY(fabric_broadcast(worker->workers, 0, first, sizeof first, error));
    enum status status = STATUS_OK;
    if (strcmp(first, worker->profile) != 0) {
        status = error_set(error, STATUS_INPUT,
                           "numeric profiles differ: host %s has \"%s\", worker 0 has \"%s\"",
                           fabric_host(worker->fabric), worker->profile, first);
    }
    return fabric_agree(worker->workers, status, error);
}

/* All workers read the same corpus, or none begins. Collective. */
static enum status corpus_agree(struct worker *worker, struct error *error)
{
    const struct worker_setup *const setup = worker->setup;
    enum status status = data_source_open(&worker->source, setup->data, setup->step, setup->seed,
                                          setup->model->vocabulary, error);
    TRY(fabric_agree(worker->workers, status, error));
    const struct digest own = data_source_fingerprint(worker->source);
    struct digest first = own;
    TRY(fabric_broadcast(worker->workers, 0, &first, sizeof first, error));
    if (!digest_equal(own, first)) {
        status = error_set(error, STATUS_INPUT, "corpus \"%s\" on host %s differs from worker 0's",
                           setup->data->corpus, fabric_host(worker->fabric));
    }
    TRY(fabric_agree(worker->workers, status, error));
    const int64_t vocabulary = data_source_vocabulary(worker->source);
    worker->model_options = *setup->model;
    if (setup->model->vocabulary != 0 && setup->model->vocabulary < vocabulary) {
        FAIL(error, STATUS_INPUT,
             "model.vocabulary is %" PRId64 ", but the corpus has ids up to %" PRId64,
             setup->model->vocabulary, vocabulary - 1);
    }
    if (setup->model->vocabulary == 0) {
        worker->model_options.vocabulary = vocabulary;
    }
    return STATUS_OK;
}

static enum status state_open(struct worker *worker, struct error *error)
{
    const struct worker_setup *const setup = worker->setup;
    const struct batch_limits limits = data_source_limits(worker->source);
    const int64_t slots = data_source_slots(worker->source);
    const enum status opened =
        model_open(&worker->model, &worker->kernels, &worker->model_options, &limits, true, error);
    TRY(fabric_agree(worker->workers, opened, error));
    const struct parameter_table *const table = model_table(worker->model);
    TRY(topology_init(&worker->topology, worker->workers, setup->shard->simulate_nodes, error));
    partition_init(&worker->partition, table, &worker->topology, setup->shard->stage);
    const enum status shared = node_state_open(&worker->node, table, worker->topology.node, error);
    TRY(fabric_agree(worker->workers, shared, error)); /* one node may lack the memory */
    TRY(accumulator_init(&worker->accumulator, &worker->kernels, &worker->topology,
                         &worker->partition, &worker->node, slots, setup->lease->wait_seconds,
                         error));
    optimizer_init(&worker->optimizer, &worker->kernels, setup->optimizer, &worker->partition);
    worker->trainer = (struct trainer){
        .kernels = &worker->kernels,
        .topology = &worker->topology,
        .partition = &worker->partition,
        .source = worker->source,
        .model_options = &worker->model_options,
        .model = worker->model,
        .node = &worker->node,
        .accumulator = &worker->accumulator,
        .optimizer = &worker->optimizer,
        .loss_scale = accumulator_loss_scale(limits.target_count * slots),
        .limit_seconds = setup->lease->wait_seconds,
        .fingerprints = setup->fingerprints,
    };
    const enum status prefetching = prefetch_open(&worker->prefetch, worker->source, error);
    TRY(fabric_agree(worker->workers, prefetching, error));
    worker->trainer.prefetch = worker->prefetch;
    return STATUS_OK;
}

/* Refuses a checkpoint that was made with other numerics or from another corpus. */
static enum status checkpoint_fits(struct worker *worker, const struct checkpoint_meta *meta,
                                   struct error *error)
{
    if (strcmp(meta->profile, worker->profile) != 0) {
        if (!worker->setup->accept_profile_change) {
            FAIL(error, STATUS_INPUT,
                 "the numeric profile changed: the checkpoint has \"%s\", this job \"%s\"; results "
                 "would "
                 "differ in the last bits; --accept-profile-change goes on regardless",
                 meta->profile, worker->profile);
        }
        worker->profile_changed = true;
        log_line(LOG_LEVEL_WARN, "profile change accepted: \"%s\" becomes \"%s\"", meta->profile,
                 worker->profile);
    }
    const struct digest none = {0};
    if (!digest_equal(meta->corpus, data_source_fingerprint(worker->source)) &&
        !digest_equal(meta->corpus, none)) {
        FAIL(error, STATUS_INPUT, "corpus \"%s\" is not the one that the checkpoint was trained on",
             worker->setup->data->corpus);
    }
    return STATUS_OK;
}

/* Every driver reads its slices of the weights, every owner its moments. */
static enum status checkpoint_restore(struct worker *worker, struct checkpoint *checkpoint,
                                      struct error *error)
{
    const struct partition *const partition = &worker->partition;
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        const struct partition_range slice = partition->slices[group];
        TRY(checkpoint_read(checkpoint, partition->table, CHECKPOINT_ARRAY_WEIGHTS, slice.first,
                            slice.count, worker->node.weights + slice.first, error));
        const struct partition_range owned = partition->owned[group];
        const int64_t offset = partition->owned_offset[group];
        TRY(checkpoint_read(checkpoint, partition->table, CHECKPOINT_ARRAY_FIRST, owned.first,
                            owned.count, worker->optimizer.first + offset, error));
        TRY(checkpoint_read(checkpoint, partition->table, CHECKPOINT_ARRAY_SECOND, owned.first,
                            owned.count, worker->optimizer.second + offset, error));
    }
    return STATUS_OK;
}

static enum status state_restore(struct worker *worker, struct digest *expected,
                                 struct error *error)
{
    struct checkpoint *checkpoint = NULL;
    enum status status = checkpoint_open(&checkpoint, worker->setup->resume_path, false, error);
    if (status == STATUS_OK) {
        const struct checkpoint_meta *const meta = checkpoint_meta(checkpoint);
        *expected = meta->fingerprint;
        worker->step = meta->step;
        worker->tokens = meta->tokens;
        worker->held_out_loss = meta->held_out_loss;
        status = checkpoint_fits(worker, meta, error);
    }
    if (status == STATUS_OK) {
        status = checkpoint_restore(worker, checkpoint, error);
    }
    checkpoint_close(checkpoint);
    return status;
}

static void state_initialise(struct worker *worker)
{
    for (int64_t group = 0; group < worker->partition.table->group_count; group++) {
        const struct partition_range slice = worker->partition.slices[group];
        parameter_fill(worker->partition.table, worker->model_options.init_range,
                       worker->setup->seed, slice.first, slice.count,
                       worker->node.weights + slice.first);
    }
}

/* The state to begin from; a restored one must have the fingerprint that its checkpoint names.
 * Collective. */
static enum status state_begin(struct worker *worker, struct error *error)
{
    struct digest expected = {0};
    enum status status = STATUS_OK;
    if (worker->setup->resume_path != NULL) {
        status = state_restore(worker, &expected, error);
    } else {
        state_initialise(worker);
    }
    TRY(fabric_agree(worker->workers, status, error));
    TRY(trainer_fingerprint(&worker->trainer, worker->step, &worker->fingerprint, error));
    if (worker->topology.worker_index == 0 && worker->setup->resume_path != NULL &&
        !digest_equal(expected, worker->fingerprint)) {
        status = error_set(error, STATUS_FORMAT,
                           "checkpoint \"%s\": the state read back does not have its fingerprint",
                           worker->setup->resume_path);
    }
    return fabric_agree(worker->workers, status, error);
}

static enum status writing_open(struct worker *worker, struct error *error)
{
    if (worker->setup->checkpoint_root == NULL) {
        return STATUS_OK;
    }
    const enum status opened =
        snapshot_open(&worker->snapshot, &worker->topology, &worker->partition, error);
    TRY(fabric_agree(worker->workers, opened, error));
    const struct writer_options options = {
        .snapshot = &worker->snapshot,
        .table = worker->partition.table,
        .root = worker->setup->checkpoint_root,
        .config_text = worker->setup->config_text,
        .tokenizer_folder = data_source_tokenizer(worker->source),
        .retention = *worker->setup->checkpoint,
    };
    const enum status status = writer_open(&worker->writer, &options, error);
    return fabric_agree(worker->workers, status, error);
}

enum status worker_open(struct worker **worker, const struct worker_setup *setup,
                        struct fabric *fabric, struct fabric_group *workers, int64_t *first_step,
                        struct error *error)
{
    struct worker *const opened = memory_take(1, sizeof *opened, "worker");
    *worker = opened;
    opened->setup = setup;
    opened->fabric = fabric;
    opened->workers = workers;
    opened->held_out_loss = (double)NAN;
    fabric_limit_set(fabric, setup->lease->wait_seconds);
    TRY(profile_agree(opened, error));
    TRY(corpus_agree(opened, error));
    TRY(state_open(opened, error));
    TRY(state_begin(opened, error));
    TRY(writing_open(opened, error));
    *first_step = opened->step;
    return STATUS_OK;
}

void worker_close(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    writer_close(worker->writer);
    heart_close(worker->heart);
    channel_client_close(worker->channel);
    prefetch_close(worker->prefetch);
    snapshot_close(&worker->snapshot);
    optimizer_deinit(&worker->optimizer);
    accumulator_deinit(&worker->accumulator);
    node_state_close(&worker->node);
    partition_deinit(&worker->partition);
    model_close(worker->model);
    data_source_close(worker->source);
    memory_release(worker);
}

static struct message ready_message(struct worker *worker)
{
    struct message ready =
        message_make(MESSAGE_KIND_READY, worker->topology.worker_index, worker->step);
    const struct process_memory memory = process_memory();
    ready.values[MESSAGE_VALUE_PRIVATE] = memory.peak_bytes - memory.shared_bytes;
    ready.values[MESSAGE_VALUE_SHARED] = memory.shared_bytes;
    if (worker->writer != NULL) {
        const struct writer_report report = writer_report(worker->writer);
        ready.values[MESSAGE_VALUE_WRITTEN] = report.written_step;
        ready.values[MESSAGE_VALUE_PUBLISHED] = report.published_step;
        ready.values[MESSAGE_VALUE_WRITE_FAILED] = report.failed_step;
        (void)snprintf(ready.text, sizeof ready.text, "%.500s", report.message);
    }
    return ready;
}

static void report_put(const struct trainer_report *report, struct message *ready)
{
    ready->values[MESSAGE_VALUE_SLOTS] = report->slots;
    ready->values[MESSAGE_VALUE_TARGETS] = report->totals[NODE_TOTAL_TARGETS];
    ready->values[MESSAGE_VALUE_CORRECT] = report->totals[NODE_TOTAL_CORRECT];
    ready->values[MESSAGE_VALUE_TOKENS] = report->totals[NODE_TOTAL_TOKENS];
    ready->reals[MESSAGE_REAL_LOSS] = report->loss;
    ready->reals[MESSAGE_REAL_RATE] = report->rate;
    ready->reals[MESSAGE_REAL_NORM] = report->norm;
    ready->reals[MESSAGE_REAL_COMPUTE] = report->compute_seconds;
    ready->reals[MESSAGE_REAL_FLOPS] = report->flops;
    ready->reals[MESSAGE_REAL_EXACT] = report->exact_seconds;
}

static enum status command_step(struct worker *worker, const struct message *command,
                                struct error *error)
{
    struct trainer_report report;
    TRY(trainer_step(&worker->trainer, command->step, command->values[0] != 0, &report, error));
    worker->step = command->step;
    worker->tokens += report.totals[NODE_TOTAL_TOKENS];
    worker->fingerprint = report.fingerprint;
    struct message ready = ready_message(worker);
    report_put(&report, &ready);
    if (worker->setup->fingerprints && worker->topology.worker_index == 0) {
        char text[DIGEST_TEXT_BYTES];
        digest_text(report.fingerprint, text);
        (void)snprintf(ready.fingerprint, sizeof ready.fingerprint, "%s", text);
    }
    return channel_client_send(worker->channel, &ready, error);
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
    if (!worker->setup->fingerprints) {
        TRY(trainer_fingerprint(&worker->trainer, worker->step, &worker->fingerprint, error));
    }
    TRY(fabric_broadcast(worker->workers, 0, partial, sizeof partial, error));
    if (partial[0] != '\0') {
        struct checkpoint_meta meta = {.step = worker->step,
                                       .tokens = worker->tokens,
                                       .seed = worker->setup->seed,
                                       .fingerprint = worker->fingerprint,
                                       .corpus = data_source_fingerprint(worker->source),
                                       .held_out_loss = worker->held_out_loss};
        memcpy(meta.profile, worker->profile, sizeof meta.profile);
        TRY(snapshot_take(&worker->snapshot, &worker->node, &worker->optimizer,
                          worker->setup->lease->wait_seconds, error));
        writer_begin(worker->writer, partial, &meta);
    }
    const struct message ready = ready_message(worker);
    return channel_client_send(worker->channel, &ready, error);
}

static enum status command_drain(struct worker *worker, struct error *error)
{
    heart_phase(worker->heart, MESSAGE_PHASE_DRAIN, worker->step, -1);
    TRY(writer_wait(worker->writer, worker->setup->lease->wait_seconds, error));
    const struct message ready = ready_message(worker);
    return channel_client_send(worker->channel, &ready, error);
}

static enum status command_obey(struct worker *worker, const struct message *command,
                                struct error *error)
{
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
        kernels->matmul(false, true, SIDE, SIDE, SIDE, 1.0F, square, SIDE, square + SIDE * SIDE,
                        SIDE, 0.0F, square + 2 * SIDE * SIDE, SIDE);
        const int64_t taken_ns = clock_now_ns() - start_ns;
        best_ns = taken_ns < best_ns ? taken_ns : best_ns;
    }
    memory_release(square);
    return 2.0 * SIDE * SIDE * SIDE / ((double)best_ns * 1e-9);
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
    const struct message ready = ready_message(worker);
    TRY(channel_client_send(worker->channel, &ready, error));
    for (;;) {
        struct message command;
        TRY(command_wait(worker, &command, error));
        if (command.kind == MESSAGE_KIND_END) {
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
