/* See pipeline.h. */
#include "worker/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "model/handover.h"
#include "worker/lease.h"
#include "worker/slot.h"

enum { TAG_STATE, TAG_GRADIENT, TAG_WORDS, TAG_LEASE };
enum { WHAT_BYTES = 160, LEASE_FLOATS = sizeof(int64_t) / sizeof(float) };

struct pipeline {
    struct fabric_group *team; /* sections in order */
    struct model *model;
    const struct section *section;
    const struct handover *handover;
    int64_t sets;
    char (*hosts)[FABRIC_HOST_BYTES]; /* (sections) */
    int64_t first_worker;             /* of those in `team` */
    int64_t worker_stride;            /* from one of them to the next */
    struct fabric_request state_in, state_out, gradient_in, gradient_out, words_in;
    struct fabric_request number_in, number_out;
    float lease_in[LEASE_FLOATS]; /* the bits of a slot's number: messages carry floats */
    float lease_out[LEASE_FLOATS];
    struct fabric_request *words_out; /* (handover.words_count) */
    char what[WHAT_BYTES];            /* of a wait, for messages */
};

/* A slot between its forward and its backward. */
struct flight {
    int64_t step, slot;
    const struct batch *batch;
};

/* One call from outside. */
struct passage {
    struct pipeline *pipeline;
    struct trainer *trainer;
    struct trainer_report *report; /* NULL: held-out slots, forward alone */
    bool adds;                     /* gradients go into the sums */
    bool dynamic;                  /* slots are leased one by one */
    int64_t step;
    int64_t slots;           /* of the step or evaluation: static leases are among them */
    int64_t last;            /* slot asked for last from the prefetch thread */
    int64_t known;           /* slots asked for */
    bool complete;           /* none follows */
    int64_t states_expected; /* whose receive was begun */
    int64_t gradients_expected;
    int64_t forwards;       /* slots whose forward is done */
    int64_t backwards;      /* and whose backward is */
    struct flight *flights; /* (sets) by number, modulo */
};

enum status pipeline_open(struct pipeline **pipeline, const struct topology *topology,
                          const char *host, struct model *model, struct error *error)
{
    *pipeline = NULL;
    if (topology->section_count == 1) {
        return STATUS_OK;
    }
    const int64_t sections = topology->section_count;
    struct pipeline *const opened = memory_take(1, sizeof *opened, "pipeline");
    *pipeline = opened;
    *opened = (struct pipeline){
        .team = topology->pipeline,
        .model = model,
        .section = model_section(model),
        .handover = model_handover(model),
        .sets = section_slots_in_flight(model_section(model)),
        .hosts = memory_take((size_t)sections, FABRIC_HOST_BYTES, "pipeline"),
        .words_out = memory_take((size_t)sections, sizeof *opened->words_out, "pipeline"),
        .first_worker =
            topology->team_index * sections * topology->tensor_count + topology->tensor_member,
        .worker_stride = topology->tensor_count,
    };
    char own[FABRIC_HOST_BYTES] = {0};
    (void)snprintf(own, sizeof own, "%s", host);
    return fabric_gather_all(opened->team, own, opened->hosts, sizeof own, error);
}

void pipeline_close(struct pipeline *pipeline)
{
    if (pipeline != NULL) {
        memory_release(pipeline->hosts);
        memory_release(pipeline->words_out);
        memory_release(pipeline);
    }
}

/* "hidden states from worker 2 on host n1" */
static enum status request_await(struct pipeline *pipeline, struct fabric_request *request,
                                 const char *what, int64_t section, struct error *error)
{
    (void)snprintf(pipeline->what, sizeof pipeline->what, "%s worker %lld on host %s", what,
                   (long long)(pipeline->first_worker + section * pipeline->worker_stride),
                   pipeline->hosts[section]);
    return fabric_wait(request, pipeline->what, error);
}

enum status pipeline_poll(struct pipeline *pipeline, struct error *error)
{
    struct fabric_request *const requests[] = {&pipeline->state_in,    &pipeline->state_out,
                                               &pipeline->gradient_in, &pipeline->gradient_out,
                                               &pipeline->words_in,    &pipeline->number_out};
    bool done;
    for (int64_t i = 0; i < ARRAY_LENGTH(requests); i++) {
        TRY(fabric_test(requests[i], &done, error));
    }
    for (int64_t i = 0; section_is_last(pipeline->section) && i < pipeline->handover->words_count;
         i++) {
        TRY(fabric_test(&pipeline->words_out[i], &done, error));
    }
    return STATUS_OK;
}

/* Begins to receive the next state, if a set is free for it. */
static enum status state_expect(struct passage *passage, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    const struct handover *const handover = pipeline->handover;
    const int64_t index = pipeline->section->index;
    if (section_is_first(pipeline->section) || passage->states_expected == passage->known ||
        passage->states_expected > passage->forwards ||
        passage->states_expected - passage->backwards == pipeline->sets) {
        return STATUS_OK;
    }
    const int64_t set = passage->states_expected++ % pipeline->sets;
    return fabric_receive_begin(pipeline->team, index - 1, TAG_STATE,
                                model_entering(pipeline->model, set), handover->state_size,
                                &pipeline->state_in, error);
}

/* Begins to receive what the next backward reads, once the one before has read its own. */
static enum status gradients_expect(struct passage *passage, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    const struct handover *const handover = pipeline->handover;
    if (section_is_last(pipeline->section) || passage->gradients_expected == passage->forwards ||
        passage->gradients_expected > passage->backwards) {
        return STATUS_OK;
    }
    passage->gradients_expected++;
    TRY(fabric_receive_begin(pipeline->team, pipeline->section->index + 1, TAG_GRADIENT,
                             handover->d_leaving, handover->gradient_size, &pipeline->gradient_in,
                             error));
    return section_is_first(pipeline->section)
               ? fabric_receive_begin(pipeline->team, pipeline->section->count - 1, TAG_WORDS,
                                      handover->words, handover->words_size, &pipeline->words_in,
                                      error)
               : STATUS_OK;
}

/* The team's next lease, -1: no more. It comes from below and goes on upwards. */
static enum status lease_next(struct passage *passage, int64_t *slot, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    const struct section *const section = pipeline->section;
    if (section_is_first(section)) {
        TRY(lease_ask(passage->trainer, passage->step, slot, error));
    } else {
        TRY(fabric_receive_begin(pipeline->team, section->index - 1, TAG_LEASE, pipeline->lease_in,
                                 LEASE_FLOATS, &pipeline->number_in, error));
        TRY(request_await(pipeline, &pipeline->number_in, "a lease from", section->index - 1,
                          error));
        memcpy(slot, pipeline->lease_in, sizeof *slot);
    }
    if (section_is_last(section)) {
        return STATUS_OK;
    }
    TRY(request_await(pipeline, &pipeline->number_out, "a lease to", section->index + 1, error));
    memcpy(pipeline->lease_out, slot, sizeof *slot);
    return fabric_send_begin(pipeline->team, section->index + 1, TAG_LEASE, pipeline->lease_out,
                             LEASE_FLOATS, &pipeline->number_out, error);
}

/* Asks the prefetch thread for the slot that follows, if one does. */
static enum status slot_ask(struct passage *passage, struct error *error)
{
    struct trainer *const trainer = passage->trainer;
    int64_t next = lease_following(passage->last, trainer->topology->team_count, passage->slots);
    if (passage->dynamic) {
        TRY(lease_next(passage, &next, error));
    }
    passage->complete = next < 0;
    if (next >= 0) {
        prefetch_ask(trainer->prefetch, passage->step, next, passage->report == NULL);
        passage->last = next;
        passage->known++;
    } else if (passage->dynamic) {
        accumulator_final(trainer->accumulator, passage->known);
    }
    return STATUS_OK;
}

/* Known slots are asked for as far ahead as the thread takes them, leased ones by one. */
static enum status slots_ask(struct passage *passage, struct error *error)
{
    bool more = !passage->complete && !prefetch_full(passage->trainer->prefetch);
    while (more) {
        TRY(slot_ask(passage, error));
        more =
            !passage->dynamic && !passage->complete && !prefetch_full(passage->trainer->prefetch);
    }
    return STATUS_OK;
}

/* The next slot's batch, and what enters the section. */
static enum status slot_enter(struct passage *passage, struct flight *flight, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    struct trainer *const trainer = passage->trainer;
    const bool held_out = passage->report == NULL;
    TRY(slots_ask(passage, error));
    TRY(prefetch_take(trainer->prefetch, (int64_t)(trainer->limit_seconds * 1e3), &flight->step,
                      &flight->slot, &flight->batch, error));
    if (!section_is_first(pipeline->section)) {
        TRY(request_await(pipeline, &pipeline->state_in, "hidden states from",
                          pipeline->section->index - 1, error));
    }
    heart_phase(trainer->heart, held_out ? MESSAGE_PHASE_EVALUATE : MESSAGE_PHASE_COMPUTE,
                passage->step, flight->slot);
    return STATUS_OK;
}

static enum status forward(struct passage *passage, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    struct trainer *const trainer = passage->trainer;
    const int64_t set = passage->forwards % pipeline->sets;
    const int64_t above = pipeline->section->index + 1;
    struct flight *const flight = &passage->flights[set];
    TRY(slot_enter(passage, flight, error));
    passage->forwards++;
    if (section_is_last(pipeline->section)) {
        return STATUS_OK; /* forward comes with backward */
    }
    TRY(request_await(pipeline, &pipeline->state_out, "hidden states to", above, error));
    const int64_t start_ns = clock_now_ns();
    int64_t elements;
    TRY(model_section_forward(pipeline->model, set, passage->report != NULL, trainer->node->weights,
                              flight->batch, &elements, error));
    TRY(weight_gate_check(trainer->gate, error));
    if (passage->report != NULL) {
        passage->report->compute_seconds += clock_seconds_since(start_ns);
    }
    return fabric_send_begin(pipeline->team, above, TAG_STATE, pipeline->handover->leaving,
                             elements, &pipeline->state_out, error);
}

/* Waits until backward of slot number `passage->backwards` has all that it reads, and what it
 * writes has left. */
static enum status backward_await(struct passage *passage, int64_t words, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    const struct section *const section = pipeline->section;
    if (section_is_last(section)) {
        TRY(request_await(pipeline, &pipeline->words_out[words], "rows of words to", 0, error));
    } else {
        TRY(request_await(pipeline, &pipeline->gradient_in, "gradients from", section->index + 1,
                          error));
    }
    return section_is_first(section)
               ? request_await(pipeline, &pipeline->words_in, "rows of words from",
                               section->count - 1, error)
               : request_await(pipeline, &pipeline->gradient_out, "gradients to",
                               section->index - 1, error);
}

static enum status backward_send(struct passage *passage, int64_t words, int64_t elements,
                                 struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    const struct handover *const handover = pipeline->handover;
    const struct section *const section = pipeline->section;
    if (section_is_last(section)) {
        TRY(fabric_send_begin(pipeline->team, 0, TAG_WORDS,
                              handover->words + words * handover->words_size, handover->words_size,
                              &pipeline->words_out[words], error));
    }
    return section_is_first(section)
               ? STATUS_OK
               : fabric_send_begin(pipeline->team, section->index - 1, TAG_GRADIENT,
                                   handover->d_entering, elements, &pipeline->gradient_out, error);
}

static enum status backward(struct passage *passage, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    const int64_t number = passage->backwards;
    const struct flight *const flight = &passage->flights[number % pipeline->sets];
    const int64_t words = number % pipeline->handover->words_count;
    struct slot_section at = {
        .set = number % pipeline->sets,
        .adds = passage->adds,
        .words = pipeline->handover->words == NULL
                     ? NULL
                     : pipeline->handover->words + words * pipeline->handover->words_size,
    };
    TRY(backward_await(passage, words, error));
    TRY(slot_section_compute(passage->trainer, flight->step, flight->slot, flight->batch, &at,
                             passage->report, error));
    passage->backwards++;
    return backward_send(passage, words, at.element_count, error);
}

/* Everything that was sent has left. */
static enum status sends_end(struct pipeline *pipeline, struct error *error)
{
    const struct section *const section = pipeline->section;
    if (!section_is_last(section)) {
        TRY(request_await(pipeline, &pipeline->number_out, "a lease to", section->index + 1,
                          error));
        TRY(request_await(pipeline, &pipeline->state_out, "hidden states to", section->index + 1,
                          error));
    }
    if (!section_is_first(section)) {
        TRY(request_await(pipeline, &pipeline->gradient_out, "gradients to", section->index - 1,
                          error));
    }
    for (int64_t i = 0; section_is_last(section) && i < pipeline->handover->words_count; i++) {
        TRY(request_await(pipeline, &pipeline->words_out[i], "rows of words to", 0, error));
    }
    return STATUS_OK;
}

static enum status passage_train(struct passage *passage, struct error *error)
{
    struct pipeline *const pipeline = passage->pipeline;
    while (!passage->complete || passage->backwards < passage->known) {
        TRY(state_expect(passage, error));
        TRY(gradients_expect(passage, error));
        if (passage->forwards < passage->known &&
            passage->forwards - passage->backwards < pipeline->sets) {
            TRY(forward(passage, error));
        } else {
            TRY(backward(passage, error));
        }
    }
    return sends_end(pipeline, error);
}

/* Held-out slots: no slot comes back. */
static enum status passage_evaluate(struct passage *passage, struct error *error)
{
    struct trainer *const trainer = passage->trainer;
    while (!passage->complete || passage->forwards < passage->known) {
        TRY(state_expect(passage, error));
        const int64_t set = passage->forwards % passage->pipeline->sets;
        TRY(forward(passage, error));
        if (section_is_last(passage->pipeline->section)) {
            const struct flight *const flight = &passage->flights[set];
            struct model_result result;
            TRY(model_evaluate(trainer->model, trainer->node->weights, flight->batch, &result,
                               error));
            TRY(weight_gate_check(trainer->gate, error));
            slot_count(trainer, flight->slot, &result, flight->batch);
        }
        passage->backwards = passage->forwards; /* the set is free again */
    }
    return sends_end(passage->pipeline, error);
}

/* `passage` begins with its slot `last`, which is asked for. */
static enum status passage_run(struct passage *passage, struct error *error)
{
    passage->known = 1;
    passage->flights =
        memory_take((size_t)passage->pipeline->sets, sizeof *passage->flights, "pipeline");
    const enum status status =
        passage->report == NULL ? passage_evaluate(passage, error) : passage_train(passage, error);
    memory_release(passage->flights);
    return status;
}

enum status pipeline_train(struct pipeline *pipeline, struct trainer *trainer, int64_t step,
                           int64_t first, bool dynamic, struct trainer_report *report,
                           struct error *error)
{
    struct passage passage = {
        .pipeline = pipeline,
        .trainer = trainer,
        .report = report,
        .adds = true,
        .dynamic = dynamic,
        .step = step,
        .slots = data_source_slots(trainer->source),
        .last = first,
    };
    return passage_run(&passage, error);
}

enum status pipeline_repeat(struct pipeline *pipeline, struct trainer *trainer, int64_t step,
                            int64_t slot, struct error *error)
{
    struct trainer_report report = {0}; /* of no interest */
    struct passage passage = {
        .pipeline = pipeline,
        .trainer = trainer,
        .report = &report,
        .step = step,
        .last = slot,
        .complete = true,
    };
    return passage_run(&passage, error);
}

enum status pipeline_evaluate(struct pipeline *pipeline, struct trainer *trainer, int64_t slots,
                              struct error *error)
{
    struct passage passage = {
        .pipeline = pipeline,
        .trainer = trainer,
        .slots = slots,
        .last = lease_first(trainer->topology->team_index, slots),
    };
    if (passage.last < 0) {
        return STATUS_OK;
    }
    prefetch_ask(trainer->prefetch, 0, passage.last, true);
    return passage_run(&passage, error);
}
