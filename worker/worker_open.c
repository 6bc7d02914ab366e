/* A worker's beginning and end: agrees with the others on kernels, profile and corpus, opens
 * everything, restores or initialises the state; see worker.h. Whatever can fail on one worker
 * alone is agreed by all before the next collective. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "worker/duty.h"
#include "worker/recall.h"

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

/* Products of bf16 where the configuration wants them and every worker's processor has them; else
 * the first that has not says why all compute in fp32. Collective. */
static enum status bf16_agree(struct worker *worker, bool *bf16, struct error *error)
{
    const enum kernels_level level = worker->kernels.level;
    *bf16 = worker->setup->numerics->compute == NUMERICS_COMPUTE_BF16;
    if (!*bf16) {
        return STATUS_OK;
    }
    struct error reason;
    const int64_t rank = fabric_rank(worker->workers);
    const bool able = kernels_use_bf16(&worker->kernels, &reason) == STATUS_OK;
    int64_t first_unable = able ? INT64_MAX : rank;
    TRY(fabric_least(worker->workers, &first_unable, 1, error));
    if (first_unable == rank) {
        log_line(LOG_LEVEL_WARN, "host %s: %s; this job computes in fp32",
                 fabric_host(worker->fabric), reason.message);
    }
    *bf16 = first_unable == INT64_MAX;
    return *bf16 ? STATUS_OK : kernels_open(&worker->kernels, level, error);
}

/* Opens the kernels and makes sure that all workers compute with the same profile. Collective. */
static enum status profile_agree(struct worker *worker, struct error *error)
{
    enum kernels_level level;
    bool bf16;
    TRY(level_agree(worker, &level, error));
    TRY(fabric_agree(worker->workers, kernels_open(&worker->kernels, level, error), error));
    TRY(bf16_agree(worker, &bf16, error));
    enum status opened = STATUS_OK;
    if (worker->setup->numerics->products == NUMERICS_PRODUCTS_OPENBLAS) {
        opened = kernels_use_openblas(&worker->kernels, error);
    }
    TRY(fabric_agree(worker->workers, opened, error));
    (void)snprintf(
        worker->profile, sizeof worker->profile,
        "compute %s; %s; slot_tokens %" PRId64 "; tensor_parts %" PRId64 "; block %d; fraction %d",
        bf16 ? "bf16" : "fp32", worker->kernels.profile, worker->setup->step->slot_tokens,
        worker->setup->numerics->tensor_parts, PARAMETER_BLOCK, ACCUMULATOR_FRACTION_BITS);
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

/* All workers read the same corpus, or none begins. Those of a node share the checking. Collective.
 */
static enum status corpus_agree(struct worker *worker, struct error *error)
{
    const struct worker_setup *const setup = worker->setup;
    struct data_options data = *setup->data;
    enum status status = data_source_check(&data, worker->topology.local_index,
                                           worker->topology.local_count, &data.checked, error);
    TRY(fabric_agree(worker->workers, status, error));
    status = data_source_open(&worker->source, &data, setup->step, setup->seed,
                              setup->model->vocabulary, error);
    TRY(fabric_agree(worker->workers, status, error));
    data_source_skip(worker->source, &setup->skips);
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

/* The most that a slot's losses can weigh together, in predicted tokens: each head adds its own. */
static int64_t loss_units(const struct worker *worker)
{
    const struct batch_limits limits = data_source_limits(worker->source);
    const double labels = data_source_label_weight(worker->source) * (double)limits.sequence_count;
    const bool spans = worker->model_options.family == MODEL_FAMILY_SPANBERT;
    return limits.target_count * (spans ? 2 : 1) + (int64_t)ceil(labels);
}

/* A fresh window. Collective: one node may lack the memory. */
static enum status memory_open(struct worker *worker, struct error *error)
{
    const enum status status =
        node_state_open(&worker->node, &worker->partition, &worker->topology, error);
    return fabric_agree(worker->workers, status, error);
}

static void exchange_sum(void *context, float *values, int64_t count)
{
    tensor_group_sum(context, values, count);
}

static void exchange_gather(void *context, void *all, size_t size_bytes)
{
    tensor_group_gather(context, all, size_bytes);
}

static enum status exchange_check(void *context, struct error *error)
{
    return tensor_group_check(context, error);
}

/* The network, or what this worker has of it. Collective. */
static enum status network_open(struct worker *worker, const struct batch_limits *limits,
                                struct error *error)
{
    const struct worker_setup *const setup = worker->setup;
    const struct topology *const topology = &worker->topology;
    TRY(tensor_group_init(&worker->tensor, topology, setup->lease->wait_seconds, error));
    worker->exchange =
        (struct parts_exchange){exchange_sum, exchange_gather, exchange_check, &worker->tensor};
    const struct model_role role = {.trains = true,
                                    .tensor_parts = setup->numerics->tensor_parts,
                                    .tensor_member = topology->tensor_member,
                                    .tensor_count = topology->tensor_count,
                                    .exchange = &worker->exchange,
                                    .recompute = setup->shard->activation_recompute,
                                    .section = topology->section_index,
                                    .section_count = topology->section_count};
    const enum status opened =
        model_open(&worker->model, &worker->kernels, &worker->model_options, limits, &role, error);
    return fabric_agree(worker->workers, opened, error);
}

static enum status state_open(struct worker *worker, struct error *error)
{
    const struct worker_setup *const setup = worker->setup;
    const struct batch_limits limits = data_source_limits(worker->source);
    const int64_t slots = data_source_slots(worker->source);
    TRY(topology_team(&worker->topology, setup->shard->pipeline, setup->shard->tensor, error));
    TRY(network_open(worker, &limits, error));
    const struct parameter_table *const table = model_table(worker->model);
    partition_init(&worker->partition, table, &worker->topology, setup->shard->stage);
    worker->trainer.loss_scale = accumulator_loss_scale(loss_units(worker) * slots);
    bool found;
    TRY(recall_find(worker, &found, error));
    if (!found) {
        TRY(memory_open(worker, error));
    }
    worker->recalled = found;
    TRY(duty_open(worker, slots, error));
    optimizer_init(&worker->optimizer, &worker->kernels, setup->optimizer, &worker->partition);
    worker->trainer = (struct trainer){
        .topology = &worker->topology,
        .partition = &worker->partition,
        .source = worker->source,
        .model_options = &worker->model_options,
        .model = worker->model,
        .tensor = &worker->tensor,
        .node = &worker->node,
        .accumulator = &worker->accumulator,
        .gate = &worker->gate,
        .optimizer = &worker->optimizer,
        .loss_scale = worker->trainer.loss_scale,
        .limit_seconds = setup->lease->wait_seconds,
        .numerics = setup->numerics,
        .number_fault = setup->number_fault,
        .fault = setup->fault != NULL && setup->fault->worker == worker->topology.worker_index
                     ? setup->fault
                     : NULL,
    };
    const enum status prefetching =
        prefetch_open(&worker->prefetch, worker->source,
                      section_slots_in_flight(model_section(worker->model)), error);
    TRY(fabric_agree(worker->workers, prefetching, error));
    TRY(pipeline_open(&worker->pipeline, &worker->topology, fabric_host(worker->fabric),
                      worker->model, error));
    worker->trainer.pipeline = worker->pipeline;
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

/* What this worker brings into its node of the weights. */
static struct partition_range weights_kept(const struct partition *partition, int64_t group)
{
    return partition_divides_weights(partition) ? partition->owned[group]
                                                : partition->slices[group];
}

/* Every driver reads its slices of the weights, every owner its moments. */
static enum status checkpoint_restore(struct worker *worker, struct checkpoint *checkpoint,
                                      struct error *error)
{
    const struct partition *const partition = &worker->partition;
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        const struct partition_range kept = weights_kept(partition, group);
        TRY(checkpoint_read(checkpoint, partition->table, CHECKPOINT_ARRAY_WEIGHTS, kept.first,
                            kept.count, worker->node.weights + kept.first, error));
        const struct partition_range owned = partition->owned[group];
        TRY(checkpoint_read(checkpoint, partition->table, CHECKPOINT_ARRAY_FIRST, owned.first,
                            owned.count, worker->node.first + owned.first, error));
        TRY(checkpoint_read(checkpoint, partition->table, CHECKPOINT_ARRAY_SECOND, owned.first,
                            owned.count, worker->node.second + owned.first, error));
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
        worker->loss_mean = meta->loss_mean;
        worker->loss_count = meta->loss_count;
        status = checkpoint_fits(worker, meta, error);
    }
    if (status == STATUS_OK) {
        status = checkpoint_restore(worker, checkpoint, error);
    }
    checkpoint_close(checkpoint);
    return status;
}

/* The weights of another run's checkpoint, still the one that this run was planned with; counters
 * and moments begin at 0. */
static enum status state_adopt(struct worker *worker, struct error *error)
{
    const struct start_options *const start = worker->setup->start;
    const struct partition *const partition = &worker->partition;
    struct checkpoint *checkpoint = NULL;
    enum status status = checkpoint_open(&checkpoint, start->checkpoint, false, error);
    if (status == STATUS_OK) {
        char fingerprint[DIGEST_TEXT_BYTES];
        digest_text(checkpoint_meta(checkpoint)->fingerprint, fingerprint);
        if (strcmp(fingerprint, start->fingerprint) != 0) {
            status = error_set(error, STATUS_INPUT,
                               "start.checkpoint \"%.400s\" has fingerprint %s, but the run was "
                               "planned with %s",
                               start->checkpoint, fingerprint, start->fingerprint);
        }
    }
    for (int64_t group = 0; status == STATUS_OK && group < partition->table->group_count; group++) {
        const struct partition_range slice = partition->slices[group];
        status =
            checkpoint_read(checkpoint, partition->table, CHECKPOINT_ARRAY_WEIGHTS, slice.first,
                            slice.count, worker->node.weights + slice.first, error);
    }
    checkpoint_close(checkpoint);
    return status;
}

static void state_initialise(struct worker *worker)
{
    for (int64_t group = 0; group < worker->partition.table->group_count; group++) {
        const struct partition_range kept = weights_kept(&worker->partition, group);
        parameter_fill(worker->partition.table, worker->model_options.init_range,
                       worker->setup->seed, kept.first, kept.count,
                       worker->node.weights + kept.first);
    }
}

/* The state of the checkpoint, which must have the fingerprint that it names, or a new one.
 * Collective. */
static enum status state_make(struct worker *worker, struct error *error)
{
    struct digest expected = {0};
    enum status status = STATUS_OK;
    if (worker->setup->resume_path != NULL) {
        status = state_restore(worker, &expected, error);
    } else if (strcmp(worker->setup->start->checkpoint, "none") != 0) {
        status = state_adopt(worker, error);
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
    TRY(fabric_agree(worker->workers, status, error));
    if (worker->topology.local_index == 0) {
        const struct node_record record = {.step = worker->step,
                                           .tokens = worker->tokens,
                                           .held_out_loss = worker->held_out_loss,
                                           .loss_mean = worker->loss_mean,
                                           .loss_count = worker->loss_count,
                                           .fingerprint = worker->fingerprint};
        commit_begin(&worker->node, &worker->partition, recall_identity(worker), &record);
    }
    return STATUS_OK;
}

/* The state to begin from: the one in memory if it is whole. Collective. */
static enum status state_begin(struct worker *worker, struct error *error)
{
    if (worker->recalled) {
        struct error reason;
        const enum status status = recall_take(worker, &reason);
        if (status == STATUS_OK) {
            return STATUS_OK;
        }
        if (!recall_refuses(status)) {
            FAIL(error, status, "%s", reason.message);
        }
        if (worker->topology.worker_index == 0) {
            log_line(LOG_LEVEL_WARN, "the state in memory is not used: %s", reason.message);
        }
        worker->recalled = false;
        node_state_close(&worker->node);
        (void)window_remove(worker->setup->memory);
        TRY(memory_open(worker, error));
    }
    return state_make(worker, error);
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
        .fault = worker->trainer.fault,
    };
    const enum status status = writer_open(&worker->writer, &options, error);
    return fabric_agree(worker->workers, status, error);
}

enum status worker_open(struct worker **worker, const struct worker_setup *setup,
                        struct fabric *fabric, struct fabric_group *workers,
                        struct worker_start *start, struct error *error)
{
    struct worker *const opened = memory_take(1, sizeof *opened, "worker");
    *worker = opened;
    opened->setup = setup;
    opened->fabric = fabric;
    opened->workers = workers;
    opened->held_out_loss = (double)NAN;
    fabric_limit_set(fabric, setup->lease->wait_seconds);
    TRY(profile_agree(opened, error));
    TRY(topology_init(&opened->topology, workers, setup->shard->simulate_nodes, error));
    TRY(corpus_agree(opened, error));
    TRY(state_open(opened, error));
    TRY(state_begin(opened, error));
    TRY(writing_open(opened, error));
    *start = (struct worker_start){.step = opened->step, .recalled = opened->recalled};
    return STATUS_OK;
}

enum status worker_keep(struct worker *worker, struct error *error)
{
    return recall_keep(worker, error);
}

void worker_forget(struct worker *worker)
{
    if (!worker->stays) {
        recall_forget(worker);
    }
}

void worker_close(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    writer_close(worker->writer);
    heart_close(worker->heart);
    channel_client_close(worker->channel);
    pipeline_close(worker->pipeline);
    prefetch_close(worker->prefetch);
    snapshot_close(&worker->snapshot);
    optimizer_deinit(&worker->optimizer);
    duty_close(worker);
    node_state_close(&worker->node);
    partition_deinit(&worker->partition);
    model_close(worker->model);
    tensor_group_deinit(&worker->tensor);
    data_source_close(worker->source);
    memory_release(worker);
}
