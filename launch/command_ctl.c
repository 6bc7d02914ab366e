/* ctl RUN ACTION: asks the job that works on a run, from any shell of the run's owner. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "launch/commands.h"
#include "launch/control_file.h"
#include "launch/print.h"

enum { LOOK_MS = 200, WAIT_SECONDS_MAX = 86400, WAIT_SECONDS = 600 };

static const struct {
    const char *name;
    enum message_kind kind;
} actions[] = {
    {"status", MESSAGE_KIND_STATUS}, {"checkpoint", MESSAGE_KIND_CHECKPOINT},
    {"pause", MESSAGE_KIND_PAUSE},   {"resume", MESSAGE_KIND_RESUME},
    {"stop", MESSAGE_KIND_STOP},     {"workers", MESSAGE_KIND_WORKERS},
};

static enum status action_find(const char *name, enum message_kind *kind, struct error *error)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(actions); i++) {
        if (strcmp(actions[i].name, name) == 0) {
            *kind = actions[i].kind;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_INPUT,
         "\"%s\" is nothing to ask of a job: expected status, checkpoint, pause, resume, "
         "stop or workers M",
         name);
}

static int64_t integer_of(const json_t *answer, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(answer, key));
}

static double real_of(const json_t *answer, const char *key)
{
    return json_number_value(json_object_get(answer, key));
}

static void answer_print(const json_t *answer, bool json)
{
    if (json) {
        print_json(answer);
        return;
    }
    char left[CLOCK_TEXT_BYTES];
    clock_duration_text(real_of(answer, "seconds_left"), left);
    (void)printf("%s: step %" PRId64 " of %" PRId64 ", loss %.4f, %.0f tokens/s, %s left, "
                 "newest checkpoint ",
                 json_string_value(json_object_get(answer, "state")), integer_of(answer, "step"),
                 integer_of(answer, "last_step"), real_of(answer, "loss"),
                 real_of(answer, "tokens_per_second"), left);
    if (integer_of(answer, "published_step") < 0) {
        (void)printf("none of this start\n");
    } else {
        (void)printf("%" PRId64 "\n", integer_of(answer, "published_step"));
    }
}

/* Until a checkpoint of at least the step that the answer named is published. */
static enum status checkpoint_wait(struct control_link *link, int64_t limit_seconds,
                                   json_t **answer, struct error *error)
{
    const int64_t wanted = integer_of(*answer, "step");
    const int64_t start_ns = clock_now_ns();
    while (integer_of(*answer, "published_step") < wanted) {
        if (json_is_true(json_object_get(*answer, "write_failed"))) {
            FAIL(error, STATUS_IO, "the checkpoint was not written: see the journal of run \"%s\"",
                 link->run);
        }
        if (clock_seconds_since(start_ns) > (double)limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "no checkpoint of step %" PRId64 " or later within %" PRId64 " s", wanted,
                 limit_seconds);
        }
        clock_sleep(LOOK_MS * 1e-3);
        json_decref(*answer);
        *answer = NULL;
        TRY(control_link_ask(link, MESSAGE_KIND_STATUS, 0, answer, error));
    }
    return STATUS_OK;
}

/* The number that goes with `workers`, and with nothing else. */
static enum status workers_read(const struct command_line *line, enum message_kind kind,
                                int64_t *workers, struct error *error)
{
    const bool given = line->argument_count > 2;
    if (given != (kind == MESSAGE_KIND_WORKERS)) {
        FAIL(error, STATUS_INPUT, "%s",
             given ? "only \"workers\" takes a number" : "expected a number: ctl RUN workers M");
    }
    char *end = NULL;
    *workers = given ? (int64_t)strtoll(line->arguments[2], &end, 10) : 0;
    if (given && (*end != '\0' || end == line->arguments[2] || *workers < 1)) {
        FAIL(error, STATUS_INPUT, "\"%s\" is no number of workers", line->arguments[2]);
    }
    return STATUS_OK;
}

static enum status ctl_run(const struct command_line *line, struct error *error)
{
    enum message_kind kind = MESSAGE_KIND_STATUS;
    int64_t wait_seconds;
    TRY(action_find(line->arguments[1], &kind, error));
    TRY(command_line_integer(line, "wait", 0, WAIT_SECONDS_MAX, WAIT_SECONDS, &wait_seconds,
                             error));
    int64_t workers = 0;
    TRY(workers_read(line, kind, &workers, error));
    struct control_link link;
    json_t *answer = NULL;
    enum status status = control_link_open(&link, line->arguments[0], error);
    if (status == STATUS_OK) {
        status = control_link_ask(&link, kind, workers, &answer, error);
    }
    if (status == STATUS_OK && json_object_get(answer, "refused") != NULL) {
        status = error_set(error, STATUS_INPUT, "run \"%s\": %s", link.run,
                           json_string_value(json_object_get(answer, "refused")));
    }
    if (status == STATUS_OK && kind == MESSAGE_KIND_CHECKPOINT && wait_seconds > 0) {
        status = checkpoint_wait(&link, wait_seconds, &answer, error);
    }
    if (status == STATUS_OK) {
        answer_print(answer, command_line_has(line, "json"));
    }
    json_decref(answer);
    control_link_close(&link);
    return status;
}

static const struct command_option ctl_options[] = {
    {.name = "wait",
     .argument = "SECONDS",
     .help = "checkpoint: how long to wait until it is written; 600 by default, 0: not at all"},
    {.name = "json", .help = "print the job's answer, one JSON object"},
};

const struct command command_ctl = {
    .name = "ctl",
    .arguments = "RUN status|checkpoint|pause|resume|stop|workers [M]",
    .argument_min = 2,
    .argument_max = 3,
    .summary = "ask the running job of a run",
    .detail =
        "Works from any shell of the run's owner on a machine that sees the run's folder and the "
        "coordinator's host. What is asked is done at the next step boundary and changes no bit: "
        "checkpoint writes one, pause stands still (memory is kept, cores are free), resume goes "
        "on, stop writes a checkpoint and ends with exit code 75, workers M writes one and goes on "
        "with M workers, from memory where the job runs on one node (the job must have been "
        "started "
        "by train or resume, not by hand under mpirun).",
    .options = ctl_options,
    .option_count = ARRAY_LENGTH(ctl_options),
    .run = ctl_run,
};
