/* replay RUN --from CHECKPOINT --to STEP: computes a segment of a run again and compares every
 * fingerprint with the journal's. Writes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoints/checkpoint.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/run_folder.h"
#include "launch/run_journal.h"
#include "launch/supervise.h"
#include "launch/word.h"

enum { WORKERS_MAX = 65536, SEGMENT_MAX = 1 << 24 };

struct replay {
    const struct command_line *line;
    const char *run;
    struct config config;
    char checkpoint[PATH_BYTES]; /* empty: from the beginning */
    int64_t first_step;          /* of the checkpoint */
    int64_t last_step;
    char (*expected)[DIGEST_TEXT_BYTES]; /* (last_step - first_step); empty: not in the journal */
    int64_t equal;
    struct error difference; /* of the first step that differs */
};

/* --from names a checkpoint's folder, or the step of one of this run; 0: the beginning. */
static enum status checkpoint_choose(struct replay *replay, struct error *error)
{
    const char *const from = command_line_text(replay->line, "from");
    int64_t step;
    if (word_integer(from, &step) && step == 0) {
        return STATUS_OK;
    }
    if (word_integer(from, &step)) {
        char name[64];
        (void)snprintf(name, sizeof name, "checkpoints/step-%08" PRId64, step);
        TRY(path_join(replay->checkpoint, replay->run, name, error));
    } else {
        TRY(path_absolute(replay->checkpoint, from, error));
    }
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, replay->checkpoint, true, error));
    replay->first_step = checkpoint_meta(checkpoint)->step;
    const uint64_t seed = checkpoint_meta(checkpoint)->seed;
    checkpoint_close(checkpoint);
    if (seed != replay->config.seed) {
        FAIL(error, STATUS_INPUT,
             "checkpoint \"%s\" is not of run \"%s\": its seed is %" PRIu64 ", the run's %" PRIu64,
             replay->checkpoint, replay->run, seed, replay->config.seed);
    }
    return STATUS_OK;
}

/* A step that was done twice counts as it was done last. */
static void line_take(void *context, const json_t *line)
{
    struct replay *const replay = context;
    const int64_t step = run_journal_step(line);
    const char *const fingerprint = json_string_value(json_object_get(line, "fingerprint"));
    if (step > replay->first_step && step <= replay->last_step && fingerprint != NULL) {
        (void)snprintf(replay->expected[step - replay->first_step - 1], DIGEST_TEXT_BYTES, "%s",
                       fingerprint);
    }
}

static enum status replay_plan(struct replay *replay, struct error *error)
{
    TRY(run_folder_config(replay->run, NULL, 0, &replay->config, error));
    replay->config.evaluation.every_steps = 0;
    TRY(checkpoint_choose(replay, error));
    TRY(command_line_integer(replay->line, "to", replay->first_step + 1,
                             replay->first_step + SEGMENT_MAX, 0, &replay->last_step, error));
    const int64_t count = replay->last_step - replay->first_step;
    replay->expected = memory_take((size_t)count, sizeof *replay->expected, "fingerprints");
    TRY(run_journal_read(replay->run, 0, line_take, replay, error));
    for (int64_t i = 0; i < count; i++) {
        if (replay->expected[i][0] == '\0') {
            FAIL(error, STATUS_INPUT, "the journal of run \"%s\" has no step %" PRId64, replay->run,
                 replay->first_step + 1 + i);
        }
    }
    return STATUS_OK;
}

static void step_compare(void *context, const struct step_record *record)
{
    struct replay *const replay = context;
    const char *const expected = replay->expected[record->step - replay->first_step - 1];
    if (strcmp(expected, record->fingerprint) == 0) {
        replay->equal++;
    } else if (replay->difference.status == STATUS_OK) {
        (void)error_set(&replay->difference, STATUS_NUMERIC,
                        "step %" PRId64 " of run \"%s\" differs: the journal has %s, computed now "
                        "%s",
                        record->step, replay->run, expected, record->fingerprint);
    }
}

static enum status replay_prepare(void *context, struct job_options *options, struct error *error)
{
    struct replay *const replay = context;
    TRY(replay_plan(replay, error));
    struct data_skips skips;
    TRY(data_skips_read(&skips, replay->run, error));
    *options = (struct job_options){
        .config = &replay->config,
        .resume_path = replay->checkpoint[0] != '\0' ? replay->checkpoint : NULL,
        .resume_step = replay->first_step,
        .last_step = replay->last_step,
        .skips = skips,
        .listener = {.step = step_compare, .context = replay},
    };
    return STATUS_OK;
}

static enum status replay_as_rank(struct replay *replay, struct error *error)
{
    struct coordinator_result result = {0};
    const enum status status = job_run(replay_prepare, replay, &result, error);
    TRY(status);
    if (replay->difference.status != STATUS_OK) {
        FAIL(error, STATUS_NUMERIC, "%s", replay->difference.message);
    }
    (void)printf("steps %" PRId64 " to %" PRId64 ": %" PRId64
                 " fingerprints equal the journal's, on %" PRId64 " workers\n",
                 replay->first_step + 1, replay->last_step, replay->equal, job_world() - 1);
    return STATUS_OK;
}

static enum status replay_run(const struct command_line *line, struct error *error)
{
    struct replay *const replay = memory_take(1, sizeof *replay, "replay");
    replay->line = line;
    replay->run = line->arguments[0];
    enum status status;
    if (job_is_child()) {
        status = replay_as_rank(replay, error);
    } else {
        int64_t workers = 0;
        status = replay_plan(replay, error);
        if (status == STATUS_OK) {
            status = command_line_integer(line, "workers", 1, WORKERS_MAX, 0, &workers, error);
        }
        if (status == STATUS_OK) {
            status =
                supervise(&(struct supervision){.line = line,
                                                .workers = workers,
                                                .hostfile = command_line_text(line, "hostfile")},
                          error);
        }
    }
    memory_release(replay->expected);
    memory_release(replay);
    return status;
}

static const struct command_option replay_options[] = {
    {.name = "from",
     .argument = "CHECKPOINT",
     .help = "folder or step of the checkpoint to begin from; 0: the run's beginning",
     .required = true},
    {.name = "to", .argument = "STEP", .help = "last step to compute", .required = true},
    {.name = "workers",
     .argument = "M",
     .help = "workers to start, any number; one for each core by default"},
    {.name = "hostfile", .argument = "FILE", .help = "mpirun's list of hosts"},
};

const struct command command_replay = {
    .name = "replay",
    .arguments = "RUN",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "compute a part of a run again and compare it with the journal",
    .detail = "A proof that these steps came from this configuration and corpus: on any number of "
              "workers every fingerprint must be the journal's. Nothing is written, and the run "
              "may go on meanwhile. Exit code 3 names the first step that differs.",
    .options = replay_options,
    .option_count = ARRAY_LENGTH(replay_options),
    .run = replay_run,
};
