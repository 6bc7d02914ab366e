/* See trainer.h. Three node barriers a step: sums and norms complete, totals of all nodes known
 * (and all nodes ready to update: shard/commit.h), weights and digests written. Between a worker's
 * READY and the next command the coordinator has heard from all, so that wait is a barrier too:
 * counters reset by the node's first worker before its READY are clean when the next step begins.
 */
#include "worker/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data_pipeline/provenance.h"
#include "worker/audit.h"
#include "worker/lease.h"
#include "worker/pipeline.h"
#include "worker/slot.h"

static enum status slots_compute_static(struct trainer *trainer, int64_t step, int64_t first,
                                        struct trainer_report *report, struct error *error)
{
    const int64_t slots = data_source_slots(trainer->source);
    const int64_t workers = trainer->topology->team_count;
    int64_t count = 0;
    for (int64_t slot = first; slot >= 0; slot = lease_following(slot, workers, slots)) {
        count++;
    }
    accumulator_final(trainer->accumulator, count);
    if (trainer->pipeline != NULL && first >= 0) {
        return pipeline_train(trainer->pipeline, trainer, step, first, false, report, error);
    }
    int64_t ahead = first >= 0 ? lease_following(first, workers, slots) : -1;
    for (int64_t done = 0; done < count; done++) {
        while (ahead >= 0 && !prefetch_full(trainer->prefetch)) {
            prefetch_ask(trainer->prefetch, step, ahead, false);
            ahead = lease_following(ahead, workers, slots);
        }
        TRY(slot_compute(trainer, report, error));
    }
    return STATUS_OK;
}

/* One lease is always asked for ahead, so its data is prepared while the slot before it is
 * computed. */
static enum status slots_compute_dynamic(struct trainer *trainer, int64_t step, int64_t first,
                                         struct trainer_report *report, struct error *error)
{
    if (first < 0) {
        accumulator_final(trainer->accumulator, 0);
        return STATUS_OK;
    }
    if (trainer->pipeline != NULL) {
        return pipeline_train(trainer->pipeline, trainer, step, first, true, report, error);
    }
    int64_t leased = 1;
    for (bool more = true; more;) {
        int64_t next = -1;
        TRY(lease_ask(trainer, step, &next, error));
        more = next >= 0;
        if (more) {
            prefetch_ask(trainer->prefetch, step, next, false);
            leased++;
        } else {
            accumulator_final(trainer->accumulator, leased);
        }
        TRY(slot_compute(trainer, report, error));
    }
    return STATUS_OK;
}

static enum status slots_compute(struct trainer *trainer, int64_t step, bool dynamic,
                                 struct trainer_report *report, struct error *error)
{
    const int64_t first =
        lease_first(trainer->topology->team_index, data_source_slots(trainer->source));
    if (trainer->prepared_step != step) {
        prefetch_drop(trainer->prefetch);
        if (first >= 0) {
            prefetch_ask(trainer->prefetch, step, first, false);
        }
    }
    trainer->prepared_step = step;
    TRY(dynamic ? slots_compute_dynamic(trainer, step, first, report, error)
                : slots_compute_static(trainer, step, first, report, error));
    if (first >= 0) {
        prefetch_ask(trainer->prefetch, step + 1, first, false);
        trainer->prepared_step = step + 1;
    }
    return STATUS_OK;
}

static enum status node_barrier(const struct trainer *trainer, const char *what,
                                struct error *error)
{
    return window_barrier_wait(&trainer->node->header->barrier, trainer->topology->local_count,
                               trainer->limit_seconds, what, error);
}

/* Every element is written by the one node that owns it and zero elsewhere, so adding the bit
 * patterns of all nodes puts the parts together. */
static enum status nodes_unite(const struct trainer *trainer, void *data, int64_t word_count,
                               struct error *error)
{
    return fabric_sum(trainer->topology->slice, data, word_count, error);
}

/* Marks this node ready, once all nodes have added their totals and so have all sums, and waits
 * until every node is marked. By the node's first worker. Collective over those. */
static enum status ready_mark(struct trainer *trainer, int64_t step, struct error *error)
{
    const struct topology *const topology = trainer->topology;
    if (policy_judge(trainer->numerics, commit_record(trainer->node),
                     trainer->node->header->job_totals) != POLICY_VERDICT_UPDATE) {
        return STATUS_OK; /* no update will come of it */
    }
    commit_ready(trainer->node, step);
    fault_reach(trainer->fault, FAULT_POINT_STEP_READY, step);
    return topology->node_count > 1 ? fabric_barrier(topology->slice, error) : STATUS_OK;
}

/* Makes the totals those of the whole job; of a training step (`step` > 0) also the norms, and
 * marks the nodes ready unless the norms of tensors are to come. */
static enum status totals_unite(struct trainer *trainer, int64_t step, struct error *error)
{
    struct node_header *const header = trainer->node->header;
    const struct topology *const topology = trainer->topology;
    TRY(weight_gate_rest(trainer->gate, error));
    TRY(node_barrier(trainer, "end of slots", error));
    if (topology->local_index == 0) {
        for (int64_t i = 0; i < NODE_TOTAL_COUNT; i++) {
            header->job_totals[i] = atomic_load(&header->totals[i]);
        }
        if (topology->node_count > 1) {
            TRY(fabric_sum(topology->slice, header->job_totals, NODE_TOTAL_COUNT, error));
            if (step > 0 && trainer->partition->stage > 0) {
                TRY(nodes_unite(trainer, trainer->node->block_norms, trainer->node->block_count,
                                error));
            }
        }
        if (step > 0 && !optimizer_adapts(trainer->optimizer)) {
            TRY(ready_mark(trainer, step, error));
        }
    }
    return node_barrier(trainer, "totals", error);
}

/* LAMB: the norms of tensors' parts, made those of the whole job; marks the nodes ready. */
static enum status pieces_unite(struct trainer *trainer, int64_t step, struct error *error)
{
    const struct topology *const topology = trainer->topology;
    const struct node_state *const node = trainer->node;
    optimizer_piece_norms(trainer->optimizer, trainer->node);
    TRY(node_barrier(trainer, "norms of tensors", error));
    if (topology->local_index == 0) {
        if (topology->node_count > 1 && trainer->partition->stage > 0) {
            TRY(nodes_unite(trainer, node->piece_norms, 2 * node->piece_count, error));
        }
        TRY(ready_mark(trainer, step, error));
    }
    return node_barrier(trainer, "norms of all tensors", error);
}

static double loss_mean(const int64_t totals[NODE_TOTAL_COUNT], enum node_total loss,
                        enum node_total count)
{
    return totals[count] > 0
               ? (double)totals[loss] * ldexp(1.0, -NODE_STATE_LOSS_BITS) / (double)totals[count]
               : 0.0;
}

void trainer_report_totals(struct trainer_report *report, const int64_t totals[NODE_TOTAL_COUNT])
{
    memcpy(report->totals, totals, sizeof report->totals);
    report->loss = loss_mean(totals, NODE_TOTAL_LOSS, NODE_TOTAL_TARGETS);
    report->pair_loss = loss_mean(totals, NODE_TOTAL_PAIR_LOSS, NODE_TOTAL_PAIRS);
    report->span_loss = loss_mean(totals, NODE_TOTAL_SPAN_LOSS, NODE_TOTAL_SPANS);
}

/* Ready for the next step; the node's by its first worker. After the last barrier of this one. */
static void counters_reset(struct trainer *trainer)
{
    accumulator_reset(trainer->accumulator);
    if (trainer->topology->local_index == 0) {
        node_state_reset(trainer->node, trainer->partition);
    }
}

enum status trainer_gather(struct trainer *trainer, struct error *error)
{
    const struct partition *const partition = trainer->partition;
    if (trainer->topology->node_count == 1 || partition->stage == 0 || partition->driver < 0 ||
        partition_divides_weights(partition)) {
        return STATUS_OK;
    }
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        partition_pieces(partition, group, partition->driver, trainer->accumulator->firsts);
        TRY(fabric_gather_ranges(trainer->topology->slice, trainer->node->weights,
                                 trainer->accumulator->firsts, error));
    }
    return STATUS_OK;
}

/* The digests of all blocks: a node's table has those of the blocks that it owns. */
static enum status digests_unite(struct trainer *trainer, struct digest *all, struct error *error)
{
    const struct partition *const partition = trainer->partition;
    const struct node_state *const node = trainer->node;
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        for (int64_t driver = 0; driver < partition->driver_count; driver++) {
            const struct partition_range owned = partition_owned(partition, group, driver);
            for (int64_t i = 0; i < FINGERPRINT_ARRAYS; i++) {
                const int64_t first = i * node->block_count + owned.first / PARAMETER_BLOCK;
                memcpy(all + first, node->digests + first,
                       (size_t)(owned.count / PARAMETER_BLOCK) * sizeof *all);
            }
        }
    }
    const int64_t words =
        FINGERPRINT_ARRAYS * node->block_count * (int64_t)(sizeof(struct digest) / 8);
    return nodes_unite(trainer, all, words, error);
}

/* On the first worker of each node. */
static enum status digests_combine(struct trainer *trainer, int64_t step,
                                   struct digest *fingerprint, struct error *error)
{
    const struct topology *const topology = trainer->topology;
    const struct node_state *const node = trainer->node;
    if (topology->local_index != 0) {
        return STATUS_OK;
    }
    if (topology->node_count == 1 || trainer->partition->stage == 0) {
        *fingerprint = fingerprint_combine(node->digests, node->block_count, step);
        return STATUS_OK;
    }
    struct digest *const all =
        memory_take((size_t)(FINGERPRINT_ARRAYS * node->block_count), sizeof *all, "fingerprint");
    const enum status status = digests_unite(trainer, all, error);
    *fingerprint = fingerprint_combine(all, node->block_count, step);
    memory_release(all);
    return status;
}

enum status trainer_fingerprint(struct trainer *trainer, int64_t step, struct digest *fingerprint,
                                struct error *error)
{
    const struct partition *const partition = trainer->partition;
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        node_state_digests(trainer->node, partition->owned[group]);
    }
    TRY(node_barrier(trainer, "digests", error));
    TRY(digests_combine(trainer, step, fingerprint, error));
    return node_barrier(trainer, "fingerprint", error);
}

/* The step is done: on each node its first worker says so in the ledger. */
static enum status step_done(struct trainer *trainer, int64_t step, struct trainer_report *report,
                             struct error *error)
{
    TRY(digests_combine(trainer, step, &report->fingerprint, error));
    if (trainer->topology->local_index == 0) {
        const struct node_record *const former = commit_record(trainer->node);
        struct node_record record = {.step = step,
                                     .tokens = former->tokens + report->totals[NODE_TOTAL_TOKENS],
                                     .rate = report->rate,
                                     .norm = report->norm,
                                     .held_out_loss = former->held_out_loss,
                                     .fingerprint = report->fingerprint};
        memcpy(record.totals, report->totals, sizeof record.totals);
        record.loss_mean = former->loss_mean;
        record.loss_count = former->loss_count;
        if (report->verdict == POLICY_VERDICT_UPDATE) {
            policy_note(former, report->totals, &record);
        }
        commit_done(trainer->node, &record);
        if (report->verdict == POLICY_VERDICT_SKIP) {
            commit_ready(trainer->node, step); /* only now: nothing is to be completed from it */
        }
        fault_reach(trainer->fault, FAULT_POINT_STEP_DONE, step);
    }
    return STATUS_OK;
}

/* Owners turn complete sums into new weights, which then are everybody's. */
static enum status step_update(struct trainer *trainer, int64_t step, struct trainer_report *report,
                               struct error *error)
{
    const struct fault *const fault = trainer->fault;
    struct optimizer_step update = {.step = step,
                                    .loss_scale = trainer->loss_scale,
                                    .targets = report->totals[NODE_TOTAL_TARGETS]};
    optimizer_begin(trainer->optimizer, trainer->node, &update);
    report->rate = update.rate;
    report->norm = update.norm;
    if (optimizer_adapts(trainer->optimizer)) {
        TRY(pieces_unite(trainer, step, error));
    }
    commit_update(trainer->optimizer, trainer->node, step, fault);
    fault_reach(fault, FAULT_POINT_UPDATE_COMPLETE, step);
    const int64_t clear_ns = clock_now_ns();
    accumulator_clear(trainer->accumulator);
    trainer->exact_seconds += clock_seconds_since(clear_ns);
    fault_reach(fault, FAULT_POINT_SUMS_CLEARED, step);
    TRY(trainer_gather(trainer, error));
    fault_reach(fault, FAULT_POINT_WEIGHTS_GATHERED, step);
    return node_barrier(trainer, "new weights", error);
}

/* The slot that a message names: the lowest bad one, else that of the largest loss. Collective. */
static enum status slot_name(struct trainer *trainer, int64_t *slot, struct error *error)
{
    struct node_header *const header = trainer->node->header;
    if (trainer->topology->local_index == 0) {
        const int64_t bad = atomic_load(&header->first_bad_slot);
        int64_t least[] = {bad > 0 ? bad - 1 : INT64_MAX, -atomic_load(&header->worst_slot)};
        if (trainer->topology->node_count > 1) {
            TRY(fabric_least(trainer->topology->slice, least, ARRAY_LENGTH(least), error));
        }
        header->named_slot = least[0] != INT64_MAX ? least[0] : node_state_worst_slot(-least[1]);
    }
    TRY(node_barrier(trainer, "name of the slot", error));
    *slot = header->named_slot;
    return STATUS_OK;
}

/* What is to become of the step. Collective. */
static enum status step_judge(struct trainer *trainer, int64_t step, struct trainer_report *report,
                              struct error *error)
{
    const struct node_record *const former = commit_record(trainer->node);
    report->verdict = policy_judge(trainer->numerics, former, report->totals);
    if (report->verdict == POLICY_VERDICT_UPDATE) {
        return STATUS_OK;
    }
    int64_t slot;
    TRY(slot_name(trainer, &slot, error));
    char documents[sizeof report->text / 2 - 2];
    char why[sizeof report->text / 2];
    provenance_text(trainer->source, step, slot, documents, sizeof documents);
    policy_text(former, report->totals, slot, why, sizeof why);
    (void)snprintf(report->text, sizeof report->text, "%s: %s", why, documents);
    if (report->verdict == POLICY_VERDICT_STOP) {
        FAIL(error, STATUS_NUMERIC, "step %" PRId64 ": %s; weights are those of step %" PRId64,
             step, report->text, step - 1);
    }
    return STATUS_OK;
}

/* Weights and moments stay; the step's number is used up. */
static enum status step_skip(struct trainer *trainer, int64_t step, struct trainer_report *report,
                             struct error *error)
{
    struct optimizer_step passed = {.step = step,
                                    .loss_scale = trainer->loss_scale,
                                    .targets = report->totals[NODE_TOTAL_TARGETS]};
    optimizer_begin(trainer->optimizer, trainer->node, &passed); /* for rate and norm */
    report->rate = passed.rate;
    report->norm = passed.norm;
    accumulator_clear(trainer->accumulator);
    return node_barrier(trainer, "skipped step", error);
}

enum status trainer_step(struct trainer *trainer, int64_t step, bool dynamic_leases,
                         struct trainer_report *report, struct error *error)
{
    const struct fault *const fault = trainer->fault;
    *report = (struct trainer_report){.audited_slot = -1};
    trainer->exact_seconds = 0;
    trainer->digest_step = 0;
    fault_reach(fault, FAULT_POINT_STEP_BEGIN, step);
    TRY(slots_compute(trainer, step, dynamic_leases, report, error));
    heart_phase(trainer->heart, MESSAGE_PHASE_REDUCE, step, -1);
    TRY(accumulator_finish(trainer->accumulator, error));
    fault_reach(fault, FAULT_POINT_SUMS_COMPLETE, step);
    TRY(audit_run(trainer, step, &report->audited_slot, error));
    const int64_t norms_ns = clock_now_ns();
    optimizer_norms(trainer->optimizer, trainer->node);
    trainer->exact_seconds += clock_seconds_since(norms_ns);
    fault_reach(fault, FAULT_POINT_NORMS_WRITTEN, step);
    TRY(totals_unite(trainer, step, error));
    trainer_report_totals(report, trainer->node->header->job_totals);
    fault_reach(fault, FAULT_POINT_TOTALS_KNOWN, step);
    TRY(step_judge(trainer, step, report, error));
    if (report->verdict == POLICY_VERDICT_ROLLBACK) {
        return STATUS_OK;
    }
    heart_phase(trainer->heart, MESSAGE_PHASE_UPDATE, step, -1);
    TRY(report->verdict == POLICY_VERDICT_SKIP ? step_skip(trainer, step, report, error)
                                               : step_update(trainer, step, report, error));
    TRY(step_done(trainer, step, report, error));
    report->exact_seconds = trainer->exact_seconds;
    counters_reset(trainer);
    fault_reach(fault, FAULT_POINT_STEP_CLEARED, step);
    heart_phase(trainer->heart, MESSAGE_PHASE_IDLE, step, -1);
    return STATUS_OK;
}

/* This worker's share of the held-out slots. */
static enum status slots_evaluate(struct trainer *trainer, int64_t slots, struct error *error)
{
    const int64_t workers = trainer->topology->team_count;
    int64_t ahead = lease_first(trainer->topology->team_index, slots);
    for (int64_t slot = ahead; slot >= 0; slot = lease_following(slot, workers, slots)) {
        while (ahead >= 0 && !prefetch_full(trainer->prefetch)) {
            prefetch_ask(trainer->prefetch, 0, ahead, true);
            ahead = lease_following(ahead, workers, slots);
        }
        int64_t step;
        int64_t taken;
        const struct batch *batch;
        TRY(prefetch_take(trainer->prefetch, (int64_t)(trainer->limit_seconds * 1e3), &step, &taken,
                          &batch, error));
        heart_phase(trainer->heart, MESSAGE_PHASE_EVALUATE, 0, taken);
        struct model_result result;
        TRY(model_evaluate(trainer->model, trainer->node->weights, batch, &result, error));
        TRY(weight_gate_check(trainer->gate, error));
        slot_count(trainer, taken, &result, batch);
    }
    return STATUS_OK;
}

enum status trainer_evaluate(struct trainer *trainer, int64_t slots, struct trainer_report *report,
                             struct error *error)
{
    *report = (struct trainer_report){0};
    prefetch_drop(trainer->prefetch);
    trainer->prepared_step = 0;
    TRY(trainer->pipeline != NULL ? pipeline_evaluate(trainer->pipeline, trainer, slots, error)
                                  : slots_evaluate(trainer, slots, error));
    TRY(totals_unite(trainer, 0, error));
    trainer_report_totals(report, trainer->node->header->job_totals);
    TRY(node_barrier(trainer, "evaluation", error));
    if (trainer->topology->local_index == 0) {
        struct node_ledger *const ledger = trainer->node->ledger;
        ledger->records[ledger->done_step & 1].held_out_loss = report->loss;
    }
    counters_reset(trainer);
    return STATUS_OK;
}
