/* See job.h. */
#include "launch/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "launch/address.h"
#include "launch/control_file.h"
#include "launch/mpi_job.h"
#include "shard/topology.h"
#include "worker/worker.h"

enum { JOB_TEXT_BYTES = 1 << 16, JOB_WORKERS_MAX = 65536, FAREWELL_SECONDS = 2 };

/* What rank 0 tells all others, flat for one broadcast. */
struct job_briefing {
    struct channel_address address;
    int64_t last_step;
    bool accept_profile_change;
    bool writes;
    bool resumes;
    int64_t resume_step;
    struct run_memory memory;
    bool has_fault;
    struct fault fault;
    struct number_fault number_fault;
    struct data_skips skips;
    char run[PATH_BYTES];
    char resume_path[PATH_BYTES];
    char config[JOB_TEXT_BYTES];
};

struct job {
    struct fabric *fabric;
    struct fabric_group *world;
    struct fabric_group *workers; /* NULL on rank 0 */
    struct job_options options;   /* rank 0 */
    struct job_briefing *briefing;
    struct config config;
    struct channel_server *server; /* rank 0 */
    struct worker *worker;         /* others */
    struct coordinator_result *result;
};

/* Set by signals: the run ends at the next step boundary, with a checkpoint. */
static volatile sig_atomic_t stop_asked;

static void stop_ask(int signal_number)
{
    stop_asked = signal_number;
}

/* Ends a wait early: the coordinator looks who is there. */
static void wait_interrupt(int signal_number)
{
    (void)signal_number;
}

/* Rank 0 stops in order; workers leave the deciding to it. A process whose launcher dies goes with
 * it. */
static void signals_set(bool coordinator)
{
    struct sigaction action = {.sa_handler = stop_ask};
    if (!coordinator) {
        action.sa_handler = SIG_IGN;
    }
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGCONT, &(struct sigaction){.sa_handler = wait_interrupt}, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int64_t environment_integer(const char *name)
{
    const char *const text = getenv(name);
    return text == NULL ? -1 : (int64_t)strtoll(text, NULL, 10);
}

bool job_is_child(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") != NULL;
}

int64_t job_rank(void)
{
    return environment_integer("OMPI_COMM_WORLD_RANK");
}

int64_t job_world(void)
{
    return environment_integer("OMPI_COMM_WORLD_SIZE");
}

static enum status briefing_fill(struct job *job, struct error *error)
{
    struct job_briefing *const briefing = job->briefing;
    struct text text = {0};
    config_text(job->options.config, &text);
    const int length = snprintf(briefing->config, sizeof briefing->config, "%s", text.data);
    text_deinit(&text);
    if (length >= JOB_TEXT_BYTES) {
        FAIL(error, STATUS_LIMIT, "the resolved configuration is longer than %d bytes",
             JOB_TEXT_BYTES);
    }
    briefing->last_step = job->options.last_step;
    briefing->accept_profile_change = job->options.accept_profile_change;
    briefing->writes = job->options.run != NULL;
    briefing->resumes = job->options.resume_path != NULL;
    briefing->resume_step = job->options.resume_step;
    briefing->memory = job->options.memory;
    const char *const fault = getenv("SHARDLM_FAULT"); /* tests have processes killed by it */
    briefing->has_fault = fault != NULL;
    if (fault != NULL) {
        TRY(fault_parse(&briefing->fault, fault, error));
    }
    const char *const spoilt = getenv("SHARDLM_SPOIL"); /* and numbers spoiled */
    if (spoilt != NULL) {
        TRY(number_fault_parse(&briefing->number_fault, spoilt, error));
    }
    briefing->skips = job->options.skips;
    (void)snprintf(briefing->run, sizeof briefing->run, "%s",
                   briefing->writes ? job->options.run : "");
    (void)snprintf(briefing->resume_path, sizeof briefing->resume_path, "%s",
                   briefing->resumes ? job->options.resume_path : "");
    return STATUS_OK;
}

/* Rank 0 prepares and opens the channel; everybody learns what it says. Collective. */
static enum status job_brief(struct job *job, job_prepare prepare, void *context,
                             struct error *error)
{
    const bool coordinator = fabric_rank(job->world) == 0;
    enum status status = STATUS_OK;
    if (fabric_count(job->world) < 2) {
        FAIL(error, STATUS_INPUT,
             "mpirun started %lld process: rank 0 coordinates, so a job needs at least 2 (-n "
             "workers + 1)",
             (long long)fabric_count(job->world));
    }
    if (coordinator) {
        status = prepare(context, &job->options, error);
    }
    if (coordinator && status == STATUS_OK) {
        const struct shard_options *const shard = &job->options.config->shard;
        status = topology_team_check(fabric_count(job->world) - 1, shard->pipeline, shard->tensor,
                                     error);
    }
    TRY(fabric_agree(job->world, status, error));
    char host[ADDRESS_BYTES];
    TRY(address_choose(job->world, fabric_host(job->fabric), host, error));
    if (coordinator) {
        status = briefing_fill(job, error);
        if (status == STATUS_OK) {
            status = channel_server_open(&job->server, host, fabric_count(job->world) - 1,
                                         &job->briefing->address, error);
        }
    }
    TRY(fabric_agree(job->world, status, error));
    TRY(fabric_broadcast(job->world, 0, job->briefing, sizeof *job->briefing, error));
    status = config_parse_text("job", job->briefing->config, strlen(job->briefing->config), NULL, 0,
                               &job->config, error);
    return fabric_agree(job->world, status, error);
}

/* Ends the job where ranks may be anywhere, so that nothing collective can be relied on any more.
 * Rank 0 says why; a worker gives it the time, in case that it knows. */
__attribute__((noreturn)) static void job_abandon(const struct job *job, enum status status,
                                                  const struct error *error)
{
    if (fabric_rank(job->world) > 0) {
        log_line(LOG_LEVEL_ERROR, "worker leaves: %s", error->message);
        clock_sleep(FAREWELL_SECONDS);
    } else {
        (void)fflush(NULL);
        if (!mpi_job_verdict(status_exit_code(status), error->message)) {
            (void)fprintf(stderr, "shardlm: %s\n", error->message);
        }
    }
    fabric_abort(job->fabric, status_exit_code(status));
}

static enum status job_work(struct job *job, struct error *error)
{
    const struct job_briefing *const briefing = job->briefing;
    char root[PATH_BYTES] = {0};
    if (briefing->writes) {
        TRY(path_join(root, briefing->run, "checkpoints", error));
    }
    const struct worker_setup setup = {
        .seed = job->config.seed,
        .start = &job->config.start,
        .model = &job->config.model,
        .data = &job->config.data,
        .step = &job->config.step,
        .optimizer = &job->config.optimizer,
        .shard = &job->config.shard,
        .checkpoint = &job->config.checkpoint,
        .numerics = &job->config.numerics,
        .lease = &job->config.lease,
        .evaluation = &job->config.evaluation,
        .config_text = briefing->config,
        .checkpoint_root = briefing->writes ? root : NULL,
        .resume_path = briefing->resumes ? briefing->resume_path : NULL,
        .accept_profile_change = briefing->accept_profile_change,
        .memory = briefing->memory.former[0] != '\0' ? briefing->memory.former : NULL,
        .memory_new = briefing->writes ? briefing->memory.next : NULL,
        .checkpoint_step = briefing->resume_step,
        .skips = briefing->skips,
        .number_fault = briefing->number_fault,
        .fault = briefing->has_fault ? &briefing->fault : NULL,
    };
    struct worker_start start = {0};
    enum status status =
        worker_open(&job->worker, &setup, job->fabric, job->workers, &start, error);
    status = fabric_agree(job->world, status, error);
    if (status == STATUS_OK) {
        status = fabric_broadcast(job->world, 1, &start, sizeof start, error);
    }
    if (status == STATUS_OK) {
        status = fabric_agree(job->world, STATUS_OK, error); /* rank 0 begins the run folder */
    }
    if (status == STATUS_OK) {
        status = fabric_agree(job->world, worker_keep(job->worker, error), error);
    }
    if (status == STATUS_OK) {
        status = worker_run(job->worker, &briefing->address, error);
        if (status == STATUS_OK) {
            worker_forget(job->worker);
        }
        if (status != STATUS_OK) {
            job_abandon(job, status, error); /* if the coordinator has not ended it by now */
        }
    }
    worker_close(job->worker);
    return status;
}

/* Rounds (shard/accumulator.h) know who computes what. */
static enum lease_policy lease_policy(const struct config *config)
{
    if (config->shard.stage >= 2 || config->lease.mode == LEASE_MODE_STATIC) {
        return LEASE_POLICY_STATIC;
    }
    return config->lease.mode == LEASE_MODE_DYNAMIC ? LEASE_POLICY_DYNAMIC : LEASE_POLICY_AUTO;
}

static enum status job_lead(struct job *job, struct error *error)
{
    const struct config *const config = &job->config;
    const struct job_briefing *const briefing = job->briefing;
    struct worker_start start = {0};
    TRY(fabric_agree(job->world, STATUS_OK, error));
    TRY(fabric_broadcast(job->world, 1, &start, sizeof start, error));
    enum status begun = STATUS_OK;
    if (job->options.begin != NULL) {
        begun = job->options.begin(job->options.context, &start, error);
    }
    TRY(fabric_agree(job->world, begun, error));
    TRY(fabric_agree(job->world, STATUS_OK, error)); /* workers keep their memory */
    char journal[PATH_BYTES];
    if (job->options.run != NULL) {
        TRY(path_join(journal, job->options.run, "journal.jsonl", error));
    }
    if (job->options.run != NULL) {
        struct channel_address operators;
        channel_server_operators(job->server, &operators);
        struct error refused; /* the job can do without */
        if (control_file_write(job->options.run, &operators, &refused) != STATUS_OK) {
            log_line(LOG_LEVEL_ERROR, "shardlm top and ctl will not find this job: %s",
                     refused.message);
        }
    }
    const bool adopts = strcmp(config->start.checkpoint, "none") != 0;
    const struct coordinator_options options = {
        .worker_count = fabric_count(job->world) - 1,
        .team_size = config->shard.tensor * config->shard.pipeline,
        .workers_least = config->shard.simulate_nodes > 1 ? config->shard.simulate_nodes : 1,
        .workers_most =
            job->options.run != NULL && getenv("SHARDLM_SUPERVISED") != NULL ? JOB_WORKERS_MAX : 0,
        .slots = config->step.tokens / config->step.slot_tokens,
        .first_step = start.step,
        .origin = adopts ? config->start.checkpoint : NULL,
        .origin_fingerprint = adopts ? config->start.fingerprint : NULL,
        .recalled = start.recalled,
        .checkpoint_step = briefing->resume_step,
        .fault = briefing->has_fault && briefing->fault.worker == FAULT_COORDINATOR
                     ? &briefing->fault
                     : NULL,
        .last_step = job->briefing->last_step,
        .checkpoint_every = job->options.run != NULL ? config->checkpoint.every_steps : 0,
        .checkpoint_at_end = job->options.run != NULL && job->options.checkpoint_at_end,
        .stop_on_failure = config->checkpoint.on_failure == CHECKPOINT_FAILURE_STOP,
        .evaluate_every = config->evaluation.every_steps,
        .lease_policy = lease_policy(config),
        .host = fabric_host(job->fabric),
        .silence_seconds = config->lease.silence_seconds,
        .wait_seconds = config->lease.wait_seconds,
        .journal = job->options.run != NULL ? journal : NULL,
        .stop = &stop_asked,
        .listener = job->options.listener,
    };
    const enum status status = coordinator_run(job->server, &options, job->result, error);
    control_file_remove(job->options.run);
    if (status != STATUS_OK) {
        job_abandon(job, status, error);
    }
    return STATUS_OK;
}

enum status job_run(job_prepare prepare, void *context, struct coordinator_result *result,
                    struct error *error)
{
    struct job job = {.result = result};
    signals_set(job_rank() == 0);
    const enum status opened = fabric_open(&job.fabric, error);
    if (opened != STATUS_OK && job_rank() != 0) {
        _exit(status_exit_code(opened));
    }
    TRY(opened);
    job.world = fabric_world(job.fabric);
    const bool coordinator = fabric_rank(job.world) == 0;
    char where[32];
    (void)snprintf(where, sizeof where, coordinator ? "coordinator" : "worker-%lld",
                   (long long)fabric_rank(job.world) - 1);
    log_setup(LOG_LEVEL_INFO, where);
    job.briefing = memory_take(1, sizeof *job.briefing, "job briefing");
    enum status status = job_brief(&job, prepare, context, error);
    if (status == STATUS_OK) {
        status = fabric_split(job.world, coordinator ? -1 : 0, fabric_rank(job.world), "workers",
                              &job.workers, error);
    }
    if (status == STATUS_OK) {
        status = coordinator ? job_lead(&job, error) : job_work(&job, error);
    }
    if (status == STATUS_TIMEOUT) {
        job_abandon(&job, status, error);
    }
    channel_server_close(job.server);
    memory_release(job.briefing);
    fabric_close(job.fabric);
    if (!coordinator) {
        /* All ranks have come here together, so rank 0 lives and will say how it went. mpirun kills
         * the others as soon as one leaves with an error: that must not be before rank 0 has
         * spoken. */
        _exit(0);
    }
    return status;
}
