/* train, resume: from an ordinary shell they start mpirun; started by mpirun they are its ranks. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoints/catalog.h"
#include "checkpoints/checkpoint.h"
#include "launch/commands.h"
#include "launch/config_change.h"
#include "launch/job.h"
#include "launch/run_folder.h"
#include "launch/run_start.h"
#include "launch/run_view.h"
#include "launch/supervise.h"

enum { WORKERS_MAX = 65536 };

/* What rank 0 (or the supervisor) makes of the command line. */
struct run_plan {
    const struct command_line *line;
    bool resumes;
    const char *run;
    struct config config;
    char resume_path[PATH_BYTES];
    struct error damage; /* of all checkpoints; its status says if so */
    int64_t first_step;
    int64_t last_step;
    struct run_memory memory;
    struct run_view view;
};

/* --from is another way to say start.checkpoint. */
static enum status start_choose(struct run_plan *plan, struct error *error)
{
    const char *const from = command_line_text(plan->line, "from");
    char absolute[PATH_BYTES];
    if (from != NULL) {
        TRY(path_absolute(absolute, from, error));
        memset(plan->config.start.checkpoint, 0, sizeof plan->config.start.checkpoint);
        memcpy(plan->config.start.checkpoint, absolute, strlen(absolute));
    }
    return STATUS_OK;
}

/* All that can be checked before any process is started. */
static enum status plan_make(struct run_plan *plan, struct error *error)
{
    const struct command_line *const line = plan->line;
    const char *sets[COMMAND_LINE_REPEATS_MAX];
    const int64_t set_count = command_line_texts(line, "set", sets);
    if (plan->resumes) {
        plan->run = line->arguments[0];
        TRY(run_folder_config(plan->run, sets, set_count, &plan->config, error));
    } else {
        plan->run = command_line_text(line, "run");
        TRY(config_read(line->arguments[0], sets, set_count, &plan->config, error));
        TRY(run_folder_vacant(plan->run, error));
        TRY(start_choose(plan, error));
        TRY(run_start_resolve(&plan->config, error));
        TRY(run_config_resolve(&plan->config, error));
    }
    return command_line_integer(line, "steps", 0, INT64_MAX / 2, plan->config.optimizer.total_steps,
                                &plan->last_step, error);
}

/* With another configuration it would be another run. */
static enum status change_check(const struct run_plan *plan, struct error *error)
{
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, plan->resume_path, false, error));
    const char *const text = checkpoint_config(checkpoint);
    struct config then;
    enum status status =
        config_parse_text(plan->resume_path, text, strlen(text), NULL, 0, &then, error);
    if (status == STATUS_OK) {
        status = config_change_check(&plan->config, &then, error);
    }
    checkpoint_close(checkpoint);
    return error_context(error, status, "could not resume \"%s\" from step %" PRId64, plan->run,
                         plan->first_step);
}

/* A run that has no checkpoint yet begins again: the same configuration gives the same weights. One
 * whose checkpoints are all damaged can only go on from memory. */
static enum status checkpoint_find(struct run_plan *plan, struct error *error)
{
    char root[PATH_BYTES];
    TRY(path_join(root, plan->run, "checkpoints", error));
    struct catalog catalog;
    TRY(catalog_open(&catalog, root, error));
    const int64_t count = catalog.count;
    catalog_close(&catalog);
    if (count == 0) {
        return STATUS_OK;
    }
    const enum status status =
        catalog_newest_good(root, plan->resume_path, &plan->first_step, error);
    if (status == STATUS_FORMAT) {
        plan->damage = *error;
        return STATUS_OK;
    }
    TRY(status);
    TRY(change_check(plan, error));
    if (plan->first_step > plan->last_step) {
        FAIL(error, STATUS_INPUT,
             "run \"%s\" is at step %" PRId64 " already; --steps counts from the run's beginning",
             plan->run, plan->first_step);
    }
    return STATUS_OK;
}

static enum status run_begin(void *context, const struct worker_start *start, struct error *error)
{
    struct run_plan *const plan = context;
    if (plan->damage.status != STATUS_OK && !start->recalled) {
        FAIL(error, plan->damage.status, "%s", plan->damage.message);
    }
    if (!plan->resumes) {
        TRY(run_folder_make(plan->run, &plan->config, error));
        TRY(run_folder_lock(plan->run, error));
    }
    if (!start->recalled) {
        TRY(run_memory_renew(&plan->memory, plan->run, error));
    }
    const bool adopts = strcmp(plan->config.start.checkpoint, "none") != 0;
    (void)fprintf(stderr, "%s %s%s: %" PRId64 " workers, steps %" PRId64 " to %" PRId64 "\n",
                  plan->resumes ? "resuming"
                  : adopts      ? "going on with pretraining in"
                                : "pretraining",
                  plan->run, start->recalled ? " from memory" : "", job_world() - 1, start->step,
                  plan->last_step);
    return STATUS_OK;
}

static enum status run_prepare(void *context, struct job_options *options, struct error *error)
{
    struct run_plan *const plan = context;
    TRY(plan_make(plan, error));
    if (plan->resumes) {
        TRY(run_folder_lock(plan->run, error));
        TRY(checkpoint_find(plan, error));
    }
    TRY(run_memory_choose(&plan->memory, plan->run, error));
    struct data_skips skips;
    TRY(data_skips_read(&skips, plan->run, error));
    run_view_init(&plan->view);
    *options = (struct job_options){
        .config = &plan->config,
        .run = plan->run,
        .resume_path = plan->resume_path[0] != '\0' ? plan->resume_path : NULL,
        .resume_step = plan->first_step,
        .memory = plan->memory,
        .last_step = plan->last_step,
        .accept_profile_change = command_line_has(plan->line, "accept-profile-change"),
        .skips = skips,
        .checkpoint_at_end = true,
        .begin = run_begin,
        .context = plan,
        .listener = run_view_listener(&plan->view),
    };
    return STATUS_OK;
}

/* A rank of the job. Rank 0 alone speaks. */
static enum status run_as_rank(struct run_plan *plan, struct error *error)
{
    struct coordinator_result result = {0};
    enum status status = job_run(run_prepare, plan, &result, error);
    if (status == STATUS_OK) {
        run_view_end(&plan->view);
        (void)fprintf(stderr, "step %" PRId64 " is done; checkpoints are in %s/checkpoints\n",
                      result.step, plan->run);
        if (result.workers_next > 0) {
            (void)fprintf(stderr, "%" PRId64 " workers go on\n", result.workers_next);
            status = error_set(error, STATUS_INTERRUPTED, "%s", "");
        } else if (result.stopped) {
            status =
                error_set(error, STATUS_INTERRUPTED,
                          "stopped by request at step %" PRId64 "; go on with: shardlm resume %s",
                          result.step, plan->run);
        }
    }
    return status;
}

static enum status run_command(const struct command_line *line, bool resumes, struct error *error)
{
    struct run_plan *const plan = memory_take(1, sizeof *plan, "run plan");
    plan->line = line;
    plan->resumes = resumes;
    enum status status;
    if (job_is_child()) {
        status = run_as_rank(plan, error);
    } else {
        status = plan_make(plan, error);
        int64_t workers = 0;
        if (status == STATUS_OK) {
            status = command_line_integer(line, "workers", 1, WORKERS_MAX, 0, &workers, error);
        }
        if (status == STATUS_OK) {
            const struct supervision supervision = {
                .line = line,
                .workers = workers,
                .hostfile = command_line_text(line, "hostfile"),
                .run = plan->run,
                .last_step = command_line_text(line, "steps"),
                .restart = plan->config.restart,
                .stop_on_failure = plan->config.checkpoint.on_failure == CHECKPOINT_FAILURE_STOP,
            };
            status = supervise(&supervision, error);
        }
    }
    memory_release(plan);
    return status;
}

static enum status train_run(const struct command_line *line, struct error *error)
{
    return run_command(line, false, error);
}

static enum status resume_run(const struct command_line *line, struct error *error)
{
    return run_command(line, true, error);
}

static const struct command_option train_options[] = {
    {.name = "run", .argument = "RUN", .help = "folder to keep the run in", .required = true},
    {.name = "from",
     .argument = "CHECKPOINT",
     .help = "begin with the weights of this checkpoint or run (start.checkpoint)"},
    {.name = "workers", .argument = "N", .help = "workers to start; one for each core by default"},
    {.name = "steps",
     .argument = "N",
     .help = "stop after step N; optimizer.total_steps by default"},
    {.name = "set",
     .argument = "KEY=VALUE",
     .help = "change a key of the configuration",
     .repeats = true},
    {.name = "hostfile", .argument = "FILE", .help = "mpirun's list of hosts"},
    {.name = "accept-profile-change", .help = "go on although the numeric profile changed"},
};

const struct command command_train = {
    .name = "train",
    .arguments = "CONFIG",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "pretrain a model",
    .detail =
        "Starts mpirun with one coordinator and the workers, and shows the progress. Run under "
        "mpirun "
        "by hand (mpirun -n WORKERS+1 shardlm train …) it takes its rank instead. Ctrl-C writes a "
        "checkpoint and stops (exit code 75); a second Ctrl-C ends the job at once. A job that "
        "breaks is started again from memory. The weights do not "
        "depend on the number of workers. With --from, pretraining goes on with another model's "
        "weights: a new run from step 0, with its own corpus, rate and steps; network and "
        "tokenizer must be those of the checkpoint.",
    .options = train_options,
    .option_count = ARRAY_LENGTH(train_options),
    .run = train_run,
};

static const struct command_option resume_options[] = {
    {.name = "workers",
     .argument = "M",
     .help = "workers to start, any number; one for each core by default"},
    {.name = "steps",
     .argument = "N",
     .help =
         "stop after step N, counted from the run's beginning; optimizer.total_steps by default"},
    {.name = "set",
     .argument = "KEY=VALUE",
     .help = "change a shard., lease., checkpoint., evaluation. or restart. key",
     .repeats = true},
    {.name = "hostfile", .argument = "FILE", .help = "mpirun's list of hosts"},
    {.name = "accept-profile-change", .help = "go on although the numeric profile changed"},
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "RUN",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "go on with a run: from memory after a kill, else from its newest good checkpoint",
    .detail =
        "On any number of workers, with the same bits as if the run had never stopped. A damaged "
        "checkpoint is passed over and named.",
    .options = resume_options,
    .option_count = ARRAY_LENGTH(resume_options),
    .run = resume_run,
};
