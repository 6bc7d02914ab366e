/* See recall.h. */
#include "worker/recall.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* The processes of a job that broke are gone within moments; see window_adopt. */
static const double former_job_seconds = 10;

static void window_name(const struct worker *worker, const char *memory,
                        char name[WINDOW_NAME_BYTES])
{
    (void)snprintf(name, WINDOW_NAME_BYTES, "%.40s-%" PRId64, memory, worker->topology.node_index);
}

struct digest recall_identity(const struct worker *worker)
{
    const struct parameter_table *const table = worker->partition.table;
    const struct digest corpus = data_source_fingerprint(worker->source);
    struct digest_stream stream;
    const int64_t format = NODE_STATE_FORMAT;
    digest_stream_init(&stream);
    digest_stream_add(&stream, &format, sizeof format);
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        digest_stream_add(&stream, row->name, strlen(row->name));
        digest_stream_add(&stream, &row->offset, sizeof row->offset);
        digest_stream_add(&stream, &row->count, sizeof row->count);
    }
    const enum optimizer_name rule = worker->setup->optimizer->name; /* of a half-done update */
    digest_stream_add(&stream, &rule, sizeof rule);
    digest_stream_add(&stream, &worker->setup->seed, sizeof worker->setup->seed);
    digest_stream_add(&stream, &corpus, sizeof corpus);
    digest_stream_add(&stream, &worker->setup->skips, sizeof worker->setup->skips);
    digest_stream_add(&stream, worker->profile, strlen(worker->profile));
    digest_stream_add(&stream, &worker->trainer.loss_scale, sizeof worker->trainer.loss_scale);
    const struct digest identity = digest_stream_value(&stream);
    digest_stream_deinit(&stream);
    return identity;
}

/* The update that is to be complete before training goes on, as all nodes' ledgers say; below 0 if
 * they contradict each other. Collective. */
static enum status target_agree(struct worker *worker, int64_t *target, struct error *error)
{
    const struct node_ledger *const ledger = worker->node.ledger;
    int64_t least[] = {atomic_load(&ledger->ready_step), atomic_load(&ledger->done_step),
                       -atomic_load(&ledger->done_step)};
    TRY(fabric_least(worker->workers, least, ARRAY_LENGTH(least), error));
    const int64_t ready = least[0];
    const int64_t done_first = least[1];
    const int64_t done_last = -least[2];
    *target = done_last <= ready && ready <= done_first + 1 ? ready : -1;
    return STATUS_OK;
}

/* Could this node's window serve? Local. */
static enum status ledger_fits(const struct worker *worker, struct error *error)
{
    const struct node_ledger *const ledger = worker->node.ledger;
    const struct partition *const partition = &worker->partition;
    if (!digest_equal(ledger->identity, recall_identity(worker))) {
        FAIL(error, STATUS_FORMAT, "it is of another model, corpus, seed or numeric profile");
    }
    const bool whole = ledger->node_count == 1 || ledger->stage == 0;
    const bool same =
        ledger->node_count == partition->node_count && ledger->node_index == partition->node &&
        ledger->driver_count == partition->driver_count && ledger->stage == partition->stage;
    if (!same && !(whole && (partition->node_count == 1 || partition->stage == 0))) {
        FAIL(error, STATUS_FORMAT,
             "it is divided among %" PRId64 " nodes of %" PRId64 " owners, not %" PRId64
             " of %" PRId64,
             ledger->node_count, ledger->driver_count, partition->node_count,
             partition->driver_count);
    }
    if (ledger->done_step < worker->setup->checkpoint_step) {
        FAIL(error, STATUS_FORMAT, "it is of step %" PRId64 ", before the newest checkpoint",
             (int64_t)ledger->done_step);
    }
    return STATUS_OK;
}

bool recall_refuses(enum status status)
{
    return status == STATUS_FORMAT || status == STATUS_IO;
}

enum status recall_find(struct worker *worker, bool *found, struct error *error)
{
    *found = false;
    if (worker->setup->memory == NULL) {
        return STATUS_OK;
    }
    char name[WINDOW_NAME_BYTES];
    window_name(worker, worker->setup->memory, name);
    bool here;
    TRY(node_state_adopt(&worker->node, &worker->partition, &worker->topology, name,
                         former_job_seconds, &here, error));
    struct error reason = {0};
    enum status status =
        here ? ledger_fits(worker, &reason)
             : error_set(&reason, STATUS_IO, "host %s has none", fabric_host(worker->fabric));
    status = fabric_agree(worker->workers, status, &reason);
    if (status != STATUS_OK && !recall_refuses(status)) {
        FAIL(error, status, "%s", reason.message);
    }
    *found = status == STATUS_OK;
    if (!*found) {
        if (worker->topology.worker_index == 0) {
            log_line(LOG_LEVEL_WARN, "the state in memory is not used: %s", reason.message);
        }
        node_state_close(&worker->node);
        (void)window_remove(worker->setup->memory);
    }
    return STATUS_OK;
}

/* Those owners of the former job for whom this worker stands in. */
static enum status owners_complete(struct worker *worker, int64_t target, struct error *error)
{
    struct node_state *const node = &worker->node;
    const struct node_ledger *const ledger = node->ledger;
    const struct topology *const topology = &worker->topology;
    enum status status = STATUS_OK;
    for (int64_t owner = topology->local_index; owner < ledger->driver_count && status == STATUS_OK;
         owner += topology->local_count) {
        const struct topology former = {.driver_count = ledger->driver_count,
                                        .local_index = owner,
                                        .node_count = ledger->node_count,
                                        .node_index = ledger->node_index};
        struct partition partition;
        partition_init(&partition, worker->partition.table, &former, ledger->stage);
        commit_mend(node, &partition, target);
        status = commit_check(node, &partition, error);
        if (status == STATUS_OK && atomic_load(&ledger->done_step) < target) {
            struct optimizer optimizer;
            optimizer_init(&optimizer, &worker->kernels, worker->setup->optimizer, &partition);
            struct optimizer_step update = {.step = target,
                                            .loss_scale = worker->trainer.loss_scale,
                                            .targets =
                                                node->header->job_totals[NODE_TOTAL_TARGETS]};
            optimizer_begin(&optimizer, node, &update);
            commit_update(&optimizer, node, target, NULL);
            worker->trainer.recalled = update;
            optimizer_deinit(&optimizer);
        }
        partition_deinit(&partition);
    }
    return status;
}

/* This driver's part of what nodes divide: sums are zero, and what the node does not own of its
 * slices is given back. */
static enum status slices_clear(struct worker *worker, struct error *error)
{
    const struct partition *const partition = &worker->partition;
    accumulator_clear(&worker->accumulator);
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        TRY(node_state_vacate(&worker->node, partition, NODE_ARRAY_SUMS, group, partition->driver,
                              error));
        if (partition_divides_weights(partition)) {
            TRY(node_state_vacate(&worker->node, partition, NODE_ARRAY_WEIGHTS, group,
                                  partition->driver, error));
        }
    }
    return STATUS_OK;
}

/* Nothing of the former job's sums and counters remains. */
static enum status sums_clear(struct worker *worker, struct error *error)
{
    struct node_state *const node = &worker->node;
    const struct topology *const topology = &worker->topology;
    if (topology->local_index == 0) {
        node_state_reset(node, &worker->partition);
    }
    return partition_divides_sums(&worker->partition) && topology_is_driver(topology)
               ? slices_clear(worker, error)
               : STATUS_OK;
}

/* On the first worker of a node: the ledger of a step that is done, owned as it now is. */
static enum status ledger_settle(struct worker *worker, int64_t target, struct error *error)
{
    struct node_state *const node = &worker->node;
    struct node_record record = *commit_record(node);
    if (record.step < target) {
        const int64_t *const totals = node->header->job_totals;
        record.step = target;
        record.tokens += totals[NODE_TOTAL_TOKENS];
        memcpy(record.totals, totals, sizeof record.totals);
        record.rate = worker->trainer.recalled.rate;
        record.norm = worker->trainer.recalled.norm;
        record.fingerprint = worker->fingerprint;
        commit_done(node, &record);
    } else if (!digest_equal(record.fingerprint, worker->fingerprint)) {
        FAIL(error, STATUS_FORMAT, "the state of step %" PRId64 " does not have its fingerprint",
             target);
    }
    commit_begin(node, &worker->partition, recall_identity(worker), &record);
    return STATUS_OK;
}

enum status recall_take(struct worker *worker, struct error *error)
{
    int64_t target;
    TRY(target_agree(worker, &target, error));
    if (target < 0) {
        FAIL(error, STATUS_FORMAT, "its nodes do not stand at the same step");
    }
    enum status status = owners_complete(worker, target, error);
    TRY(fabric_agree(worker->workers, status, error));
    status = sums_clear(worker, error);
    TRY(fabric_agree(worker->workers, status, error));
    TRY(trainer_gather(&worker->trainer, error));
    TRY(trainer_fingerprint(&worker->trainer, target, &worker->fingerprint, error));
    if (worker->topology.local_index == 0) {
        status = ledger_settle(worker, target, error);
    }
    TRY(fabric_agree(worker->workers, status, error));
    const struct node_record *const record = commit_record(&worker->node);
    worker->step = record->step;
    worker->tokens = record->tokens;
    worker->held_out_loss = record->held_out_loss;
    return STATUS_OK;
}

enum status recall_keep(struct worker *worker, struct error *error)
{
    if (worker->recalled || worker->setup->memory_new == NULL ||
        worker->topology.local_index != 0) {
        return STATUS_OK;
    }
    char name[WINDOW_NAME_BYTES];
    window_name(worker, worker->setup->memory_new, name);
    return window_keep(&worker->node.window, name, error);
}

void recall_forget(struct worker *worker)
{
    const struct worker_setup *const setup = worker->setup;
    const char *const memory = worker->recalled ? setup->memory : setup->memory_new;
    if (memory != NULL && worker->topology.local_index == 0) {
        (void)window_remove(memory);
    }
}
