/* See step_record.h. */
#include "coordinator/step_record.h"

#include <math.h>

#include "base/error.h"

static double accuracy_of(const struct message *ready)
{
    const int64_t targets = ready->values[MESSAGE_VALUE_TARGETS];
    return (double)ready->values[MESSAGE_VALUE_CORRECT] / (targets > 0 ? (double)targets : 1.0);
}

struct step_record step_record_make(int64_t step, const struct message *ready)
{
    return (struct step_record){
        .step = step,
        .loss = ready->reals[MESSAGE_REAL_LOSS],
        .accuracy = accuracy_of(ready),
        .heads = heads_gather(ready),
        .rate = ready->reals[MESSAGE_REAL_RATE],
        .norm = ready->reals[MESSAGE_REAL_NORM],
        .tokens = ready->values[MESSAGE_VALUE_TOKENS],
        .targets = ready->values[MESSAGE_VALUE_TARGETS],
        .audited = ready->values[MESSAGE_VALUE_AUDITED],
        .fingerprint = ready->fingerprint,
    };
}

struct evaluation_record evaluation_record_make(int64_t step, const struct message *ready)
{
    return (struct evaluation_record){
        .step = step,
        .loss = ready->reals[MESSAGE_REAL_LOSS],
        .accuracy = accuracy_of(ready),
        .targets = ready->values[MESSAGE_VALUE_TARGETS],
        .heads = heads_gather(ready),
    };
}

json_t *step_record_line(const struct step_record *record)
{
    const double speed = record->flops / record->seconds;
    json_t *const line = json_pack(
        "{s:I, s:f, s:f, s:f, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, "
        "s:s}",
        "step", (json_int_t)record->step, "loss", record->loss, "rate", record->rate, "norm",
        record->norm, "tokens", (json_int_t)record->tokens, "targets", (json_int_t)record->targets,
        "accuracy", record->accuracy, "seconds", record->seconds, "tokens_per_second",
        (double)record->tokens / record->seconds, "gflops", speed * 1e-9, "peak_share",
        record->peak_flops > 0 ? speed / record->peak_flops : 0.0, "wait_share", record->wait_share,
        "exact_share", record->exact_share, "memory_mb", record->memory_bytes * 1e-6, "worker_mb",
        record->worker_bytes * 1e-6, "node_mb", record->node_bytes * 1e-6, "leases",
        record->dynamic ? "dynamic" : "static", "fingerprint", record->fingerprint);
    heads_note(line, &record->heads);
    if (record->audited > 0) {
        INVARIANT(json_object_set_new(line, "audited_slot", json_integer(record->audited - 1)) ==
                  0);
    }
    return line;
}

json_t *step_record_recalled_line(const struct step_record *record)
{
    json_t *const line =
        json_pack("{s:I, s:f, s:f, s:f, s:I, s:I, s:f, s:b, s:s}", "step", (json_int_t)record->step,
                  "loss", record->loss, "rate", record->rate, "norm", record->norm, "tokens",
                  (json_int_t)record->tokens, "targets", (json_int_t)record->targets, "accuracy",
                  record->accuracy, "recalled", 1, "fingerprint", record->fingerprint);
    heads_note(line, &record->heads);
    return line;
}

json_t *evaluation_record_line(const struct evaluation_record *record)
{
    json_t *const line = json_pack("{s:s, s:I, s:f, s:f, s:f, s:I}", "event", "evaluation", "step",
                                   (json_int_t)record->step, "held_out_loss", record->loss,
                                   "perplexity", exp(record->loss), "accuracy", record->accuracy,
                                   "targets", (json_int_t)record->targets);
    heads_note(line, &record->heads);
    return line;
}
