/* See slot.h. */
#include "worker/slot.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"
#include "worker/audit.h"
#include "worker/pipeline.h"

/* Where a slot's gradients go. */
struct slot_sink {
    struct trainer *trainer;
    int64_t slot;
    bool adds;                    /* into the sums */
    bool flips;                   /* a test has spoiled it */
    struct digest_stream *digest; /* of the groups in the order of backward, or NULL */
};

static enum status gradient_take(const struct slot_sink *sink, int64_t group, const float *gradient,
                                 struct error *error)
{
    struct trainer *const trainer = sink->trainer;
    TRY(weight_gate_check(trainer->gate, error));
    if (sink->digest != NULL) {
        const int64_t count = model_gradient_blocks(trainer->model)[group].elements;
        digest_stream_add(sink->digest, gradient, (size_t)count * sizeof *gradient);
    }
    if (!sink->adds) {
        return STATUS_OK;
    }
    const int64_t start_ns = clock_now_ns();
    const double waited = trainer->accumulator->waited_seconds;
    TRY(accumulator_add(trainer->accumulator, sink->slot, group, gradient, error));
    trainer->exact_seconds +=
        clock_seconds_since(start_ns) - (trainer->accumulator->waited_seconds - waited);
    TRY(accumulator_poll(trainer->accumulator, error));
    if (trainer->pipeline != NULL) {
        TRY(pipeline_poll(trainer->pipeline, error));
    }
    if (partition_divides_sums(trainer->partition)) {
        const int64_t held = process_memory().private_bytes;
        trainer->private_bytes = held > trainer->private_bytes ? held : trainer->private_bytes;
    }
    return STATUS_OK;
}

static enum status slot_take(void *context, int64_t group, const float *gradient,
                             struct error *error)
{
    const struct slot_sink *const sink = context;
    if (gradient == NULL || !sink->flips || group != 0) {
        return gradient_take(sink, group, gradient, error);
    }
    const size_t count = (size_t)model_gradient_blocks(sink->trainer->model)[group].elements;
    float *const spoiled = memory_take(count, sizeof *spoiled, "spoiled gradient");
    memcpy(spoiled, gradient, count * sizeof *spoiled);
    ((unsigned char *)spoiled)[2] ^= 0x10; /* of the first element's fraction */
    const enum status status = gradient_take(sink, group, spoiled, error);
    memory_release(spoiled);
    return status;
}

/* Adds one loss of a slot; false if it is not finite or out of range. */
static bool loss_add(_Atomic int64_t *total, double loss_sum)
{
    const double units = loss_sum * ldexp(1.0, NODE_STATE_LOSS_BITS);
    const bool sane = isfinite(units) && fabs(units) < ldexp(1.0, 62);
    atomic_fetch_add(total, sane ? (int64_t)llrint(units) : 0);
    return sane;
}

void slot_totals(struct node_state *node, int64_t slot, const struct model_result *result,
                 int64_t tokens)
{
    _Atomic int64_t *const totals = node->header->totals;
    const bool sane_tokens = loss_add(&totals[NODE_TOTAL_LOSS], result->loss_sum);
    const bool sane_pairs = loss_add(&totals[NODE_TOTAL_PAIR_LOSS], result->sequence_loss_sum);
    const bool sane_spans = loss_add(&totals[NODE_TOTAL_SPAN_LOSS], result->span_loss_sum);
    if (!sane_tokens || !sane_pairs || !sane_spans) {
        accumulator_bad_slot(node->header, slot);
    } else if (result->target_count > 0) {
        node_state_worst(node, slot, result->loss_sum / (double)result->target_count);
    }
    atomic_fetch_add(&totals[NODE_TOTAL_TARGETS], result->target_count);
    atomic_fetch_add(&totals[NODE_TOTAL_CORRECT], result->correct_count);
    atomic_fetch_add(&totals[NODE_TOTAL_PAIRS], result->sequence_count);
    atomic_fetch_add(&totals[NODE_TOTAL_PAIRS_CORRECT], result->sequence_correct_count);
    atomic_fetch_add(&totals[NODE_TOTAL_SPANS], result->span_count);
    atomic_fetch_add(&totals[NODE_TOTAL_SPANS_CORRECT], result->span_correct_count);
    atomic_fetch_add(&totals[NODE_TOTAL_TOKENS], tokens);
}

void slot_count(struct trainer *trainer, int64_t slot, const struct model_result *result,
                const struct batch *batch)
{
    if (trainer->topology->tensor_member == 0) {
        slot_totals(trainer->node, slot, result, batch->token_count);
    }
}

/* For a slot's gradients; their digest, if an audit wants it, is kept by sink_close. */
static struct slot_sink sink_open(struct trainer *trainer, int64_t step, int64_t slot, bool adds,
                                  struct digest_stream *digest)
{
    const int64_t data_step = data_source_step(trainer->source, step);
    struct slot_sink sink = {.trainer = trainer,
                             .slot = slot,
                             .adds = adds,
                             .flips = number_fault_flips(&trainer->number_fault, data_step, slot,
                                                         trainer->topology->worker_index)};
    if (slot == audit_slot(trainer, step)) {
        digest_stream_init(digest);
        sink.digest = digest;
    }
    return sink;
}

static void sink_close(const struct slot_sink *sink, int64_t step)
{
    if (sink->digest != NULL) {
        sink->trainer->slot_digest = digest_stream_value(sink->digest);
        sink->trainer->digest_step = step;
        digest_stream_deinit(sink->digest);
    }
}

/* Forward and backward; the gradient goes into the sums if it `adds`. */
static enum status slot_backward(struct trainer *trainer, int64_t step, int64_t slot,
                                 const struct batch *batch, bool adds, struct model_result *result,
                                 struct error *error)
{
    struct digest_stream digest;
    struct slot_sink sink = sink_open(trainer, step, slot, adds, &digest);
    const struct gradient_sink gradients = {.take = slot_take, .context = &sink};
    const enum status status = model_train(trainer->model, trainer->node->weights, batch,
                                           (float)trainer->loss_scale, &gradients, result, error);
    sink_close(&sink, step);
    result->loss_sum = number_fault_loss(
        &trainer->number_fault, data_source_step(trainer->source, step), slot, result->loss_sum);
    return status;
}

enum status slot_repeat(struct trainer *trainer, int64_t step, int64_t slot, struct error *error)
{
    const struct batch *batch;
    struct model_result result;
    prefetch_drop(trainer->prefetch);
    trainer->prepared_step = 0;
    prefetch_ask(trainer->prefetch, step, slot, false);
    if (trainer->pipeline != NULL) {
        return pipeline_repeat(trainer->pipeline, trainer, step, slot, error);
    }
    TRY(prefetch_take(trainer->prefetch, (int64_t)(trainer->limit_seconds * 1e3), &step, &slot,
                      &batch, error));
    return slot_backward(trainer, step, slot, batch, false, &result, error);
}

enum status slot_compute(struct trainer *trainer, struct trainer_report *report,
                         struct error *error)
{
    int64_t step;
    int64_t slot;
    const struct batch *batch;
    heart_phase(trainer->heart, MESSAGE_PHASE_DATA, trainer->prepared_step, -1);
    TRY(prefetch_take(trainer->prefetch, (int64_t)(trainer->limit_seconds * 1e3), &step, &slot,
                      &batch, error));
    heart_phase(trainer->heart, MESSAGE_PHASE_COMPUTE, step, slot);
    const int64_t start_ns = clock_now_ns();
    struct model_result result;
    TRY(slot_backward(trainer, step, slot, batch, true, &result, error));
    slot_count(trainer, slot, &result, batch);
    report->flops +=
        model_train_flops(trainer->model_options, batch) / (double)trainer->topology->tensor_count;
    report->compute_seconds += clock_seconds_since(start_ns);
    report->slots++;
    fault_reach(trainer->fault, FAULT_POINT_SLOT_COMPUTED, step);
    return STATUS_OK;
}

/* Of the groups that other sections complete. */
static enum status groups_pass(const struct slot_sink *sink, struct error *error)
{
    const struct trainer *const trainer = sink->trainer;
    const struct parameter_table *const table = trainer->partition->table;
    for (int64_t group = table->group_count - 1; group >= 0; group--) {
        if (!section_has_group(model_section(trainer->model), table, group)) {
            TRY(gradient_take(sink, group, NULL, error));
        }
    }
    return STATUS_OK;
}

enum status slot_section_compute(struct trainer *trainer, int64_t step, int64_t slot,
                                 const struct batch *batch, struct slot_section *at,
                                 struct trainer_report *report, struct error *error)
{
    const int64_t start_ns = clock_now_ns();
    struct digest_stream digest;
    struct slot_sink sink = sink_open(trainer, step, slot, at->adds, &digest);
    const struct gradient_sink gradients = {.take = slot_take, .context = &sink};
    struct model_result result;
    const enum status status = model_section_backward(
        trainer->model, at->set, trainer->node->weights, batch, (float)trainer->loss_scale,
        at->words, &gradients, &result, &at->element_count, error);
    sink_close(&sink, step);
    TRY(status);
    if (!at->adds) {
        return STATUS_OK;
    }
    sink.digest = NULL; /* complete */
    TRY(groups_pass(&sink, error));
    if (section_is_last(model_section(trainer->model))) {
        result.loss_sum = number_fault_loss(
            &trainer->number_fault, data_source_step(trainer->source, step), slot, result.loss_sum);
        slot_count(trainer, slot, &result, batch);
        report->flops += model_train_flops(trainer->model_options, batch) /
                         (double)trainer->topology->tensor_count;
    }
    report->compute_seconds += clock_seconds_since(start_ns);
    report->slots++;
    fault_reach(trainer->fault, FAULT_POINT_SLOT_COMPUTED, step);
    return STATUS_OK;
}
