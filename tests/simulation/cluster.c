/* See cluster.h. */
#include "tests/simulation/cluster.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "launch/commands.h"
#include "launch/dispatch.h"
#include "launch/mpi_job.h"
#include "tests/simulation/calls.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/mutant.h"
#include "tests/simulation/trouble.h"
#include "tests/simulation/verdict.h"

enum { JOBS_MAX = 256, STARTS_MAX = 80 };

static struct cluster {
    struct cluster_shape shape;
    struct cluster_job jobs[JOBS_MAX];
    int64_t job_count;
    struct process *supervisor;
    int64_t link_ends[MACHINE_NODES_MAX][MACHINE_NODES_MAX];
    struct cluster_end end;
} cluster;

void cluster_open(const struct cluster_shape *shape)
{
    cluster = (struct cluster){.shape = *shape};
}

const struct cluster_shape *cluster_shape(void)
{
    return &cluster.shape;
}

struct cluster_job *cluster_job(int64_t number)
{
    return &cluster.jobs[number];
}

struct cluster_job *cluster_newest_job(void)
{
    return cluster.job_count == 0 ? NULL : &cluster.jobs[cluster.job_count - 1];
}

struct process *cluster_supervisor(void)
{
    return cluster.supervisor;
}

struct cluster_end cluster_end(void)
{
    struct cluster_end end = cluster.end;
    end.jobs = cluster.job_count;
    return end;
}

void cluster_link_cut(int64_t a, int64_t b, int64_t duration_ns)
{
    machine_note("nothing passes between node %lld and %lld for %.1f s", (long long)a, (long long)b,
                 (double)duration_ns * 1e-9);
    cluster.link_ends[a][b] = machine_now_ns() + duration_ns;
    cluster.link_ends[b][a] = cluster.link_ends[a][b];
}

int64_t cluster_link_end_ns(int64_t a, int64_t b)
{
    return cluster.link_ends[a][b];
}

/* All but the person's; the process that runs last, because it does not return from its death. */
static void processes_lost(int64_t node)
{
    struct process *own = NULL;
    for (int64_t i = 0; i < machine_process_count(); i++) {
        struct process *const process = machine_find(i);
        if (process->dead || strcmp(process->name, "person") == 0 ||
            (node >= 0 && process->node != node)) {
            continue;
        }
        if (process == machine_process()) {
            own = process;
        } else {
            process_kill(process, SIGKILL, 0);
        }
    }
    if (own != NULL) {
        process_kill(own, SIGKILL, 0);
    }
}

void cluster_node_lost(int64_t node)
{
    machine_note("node %lld is lost", (long long)node);
    disk_node_lost(node);
    processes_lost(node);
}

void cluster_power_cut(void)
{
    machine_note("the power goes");
    disk_power_cut();
    processes_lost(-1);
}

/* The program, as its main has it. */
static int program_run(struct process *process)
{
    struct error error = {0};
    char *argv[MACHINE_WORDS_MAX + 2] = {memory_text("shardlm")};
    for (int64_t i = 0; i < process->word_count; i++) {
        argv[i + 1] = memory_text(process->words[i]);
    }
    const enum status status = dispatch(command_table, (int)process->word_count + 1, argv, &error);
    (void)snprintf(process->text, sizeof process->text, "%.500s", error.message);
    return status_exit_code(status);
}

static void words_set(struct process *process, const char *const *words)
{
    process->word_count = 0;
    for (; words[process->word_count] != NULL; process->word_count++) {
        INVARIANT(process->word_count < MACHINE_WORDS_MAX);
        process->words[process->word_count] = memory_text(words[process->word_count]);
    }
}

static void ranks_start(struct cluster_job *job, const char *const *words)
{
    const int64_t workers = job->count - 1;
    for (int64_t rank = 0; rank < job->count; rank++) {
        char name[MACHINE_NAME_BYTES];
        (void)snprintf(name, sizeof name, rank == 0 ? "coordinator" : "worker-%lld",
                       (long long)rank - 1);
        const int64_t node = rank == 0 ? 0 : (rank - 1) * cluster.shape.nodes / workers;
        struct process *const process = process_start(name, node, program_run, NULL);
        process->parent = machine_process()->number;
        process->rank = rank;
        process->ranks = job->count;
        process->job = job->number;
        words_set(process, words);
        job->ranks[rank] = process;
    }
}

/* How a rank ended: its exit code, or 128 and the signal. */
static int rank_code(const struct process *rank)
{
    return rank->signal != 0 ? 128 + rank->signal : rank->code;
}

/* The first rank that is seen to have failed; -1: none has. *running: is any left? */
static int64_t rank_failed(const struct cluster_job *job, bool *running)
{
    int64_t failed = -1;
    *running = false;
    for (int64_t i = 0; i < job->count; i++) {
        const struct process *const rank = job->ranks[i];
        const bool unseen = job->blind_end_ns > machine_now_ns() && rank->signal == SIGKILL &&
                            rank->node != machine_process()->node;
        const bool seen = rank->ended && !unseen;
        *running |= !seen;
        failed = seen && failed < 0 && rank_code(rank) != 0 ? i : failed;
    }
    return failed;
}

static void ranks_end(struct cluster_job *job)
{
    for (int64_t i = 0; i < job->count; i++) {
        process_signal(job->ranks[i], SIGTERM);
    }
    machine_sleep(machine_chance(MACHINE_CHANCE_TURN, 2 * MACHINE_SECOND));
    for (int64_t i = 0; i < job->count; i++) {
        process_kill(job->ranks[i], SIGKILL, trouble_linger_ns());
    }
}

/* mpirun: waits for its ranks; when one fails it ends the others. */
static int launcher_run(struct process *process)
{
    enum { LOOK_NS = 50000000, FAREWELL = 10 };
    struct cluster_job *const job = process->context;
    ranks_start(job, process->words);
    for (;;) {
        bool running;
        const int64_t failed = rank_failed(job, &running);
        if (job->aborted || failed >= 0) {
            const int code = job->aborted ? job->abort_code : rank_code(job->ranks[failed]);
            machine_sleep(machine_chance(MACHINE_CHANCE_TURN, MACHINE_SECOND / 2));
            ranks_end(job);
            return code;
        }
        if (!running) {
            return 0;
        }
        machine_sleep(1 + machine_chance(MACHINE_CHANCE_TURN, LOOK_NS));
    }
}

int64_t __wrap_mpi_job_stops(void)
{
    return machine_process()->stops;
}

void __wrap_mpi_job_signals(void)
{
}

/* Kills mpirun when it takes too long to end a job of which nothing can go on, as the real one
 * does. */
static void farewell_check(const struct mpi_job *wanted, struct process *launcher,
                           int64_t *broken_ns)
{
    const double seconds =
        wanted->farewell_seconds == NULL ? -1 : wanted->farewell_seconds(wanted->context);
    if (seconds < 0) {
        *broken_ns = 0;
    } else if (*broken_ns == 0) {
        *broken_ns = machine_now_ns();
    } else if ((double)(machine_now_ns() - *broken_ns) * 1e-9 > seconds) {
        process_kill(launcher, SIGKILL, 0);
    }
}

enum status __wrap_mpi_job_run(const struct mpi_job *wanted, int *code, struct error *error)
{
    enum { BLIND_SECONDS = 60 };
    (void)error;
    INVARIANT(cluster.job_count < JOBS_MAX && wanted->workers < CLUSTER_RANKS_MAX);
    struct cluster_job *const job = &cluster.jobs[cluster.job_count];
    *job =
        (struct cluster_job){.number = cluster.job_count++,
                             .begun_points = machine_points(),
                             .count = wanted->workers + 1,
                             .blind_end_ns = machine_chance(MACHINE_CHANCE_PLAN, 4) == 0
                                                 ? machine_now_ns() + BLIND_SECONDS * MACHINE_SECOND
                                                 : 0};
    job->launcher = process_start("mpirun", machine_process()->node, launcher_run, job);
    words_set(job->launcher, wanted->words);
    for (int64_t broken_ns = 0; !job->launcher->ended;) {
        (void)machine_wait(job->launcher, machine_now_ns() + MACHINE_SECOND / 10);
        if (!job->launcher->ended) {
            farewell_check(wanted, job->launcher, &broken_ns);
        }
    }
    *code = rank_code(job->launcher);
    return STATUS_OK;
}

enum status __wrap_address_choose(struct fabric_group *world, const char *own_host, char *address,
                                  struct error *error)
{
    (void)own_host;
    (void)snprintf(address, 16, "127.0.0.1");
    return fabric_barrier(world, error);
}

int64_t cluster_workers(const struct cluster_shape *shape)
{
    const int64_t workers = shape->nodes + machine_chance(MACHINE_CHANCE_PLAN, 4);
    return (workers + shape->pipeline - 1) / shape->pipeline * shape->pipeline;
}

static struct process *supervisor_start(bool resumes, bool first)
{
    char workers[CLUSTER_WORD_BYTES];
    char steps[CLUSTER_WORD_BYTES];
    const struct cluster_shape *const shape = &cluster.shape;
    const int64_t count = first || !shape->resizes ? shape->workers : cluster_workers(shape);
    (void)snprintf(workers, sizeof workers, "%" PRId64, count);
    (void)snprintf(steps, sizeof steps, "%" PRId64, cluster.shape.steps);
    const char *const train[] = {"train", "/sim/config.yaml", "--run", "/sim/run", "--workers",
                                 workers, "--steps",          steps,   NULL};
    const char *const resume[] = {"resume",  "/sim/run", "--workers", workers,
                                  "--steps", steps,      NULL};
    verdict_workers(count);
    struct process *const process = process_start("supervisor", 0, program_run, NULL);
    words_set(process, resumes ? resume : train);
    cluster.supervisor = process;
    cluster.end.starts++;
    return process;
}

/* What the person makes of the supervisor's end; false: the work is over. */
static bool goes_on(const struct process *supervisor)
{
    static const char held[] = "another job works on run";
    enum { PATIENCE = 20, MOMENT = 5 };
    if (supervisor->signal != 0) { /* killed, the job may go on */
        const bool hasty = machine_chance(MACHINE_CHANCE_PLAN, 2) == 0;
        machine_sleep(machine_chance(MACHINE_CHANCE_PLAN, PATIENCE * MACHINE_SECOND) /
                      (hasty ? 100 : 1));
        return true;
    }
    if (supervisor->code == 0) {
        cluster.end.done = true;
        return false;
    }
    if (supervisor->code == 2) { /* rank 0 has said it, if it came so far */
        const struct cluster_job *const job = cluster_newest_job();
        const char *const text =
            supervisor->text[0] != '\0' || job == NULL ? supervisor->text : job->ranks[0]->text;
        if (strstr(text, held) == NULL) {
            (void)snprintf(cluster.end.refusal, sizeof cluster.end.refusal, "%.400s", text);
            return false;
        }
    }
    if (strncmp(supervisor->text, "gave up", strlen("gave up")) == 0) {
        trouble_excuse_add(); /* then it clears the memory away */
    }
    if (supervisor->code == 1 && supervisor->text[0] == '\0') {
        (void)snprintf(cluster.end.refusal, sizeof cluster.end.refusal,
                       "the supervisor ended with exit code 1 and gave no reason");
        return false;
    }
    machine_sleep(MOMENT * MACHINE_SECOND);
    return cluster.end.starts < STARTS_MAX;
}

static void config_write(void)
{
    const struct cluster_shape *const shape = &cluster.shape;
    enum { ENDLESS = 86400, TEXT_BYTES = 2048 };
    const bool endless = mutant_is(MUTANT_NO_LIMIT);
    char text[TEXT_BYTES];
    (void)snprintf(
        text, sizeof text,
        "seed: 5\n"
        "model: {family: albert, share: ffn, layers: 2, hidden: 8, embedding_width: 8, heads: 1,"
        " feed_forward: 8, positions: 8, vocabulary: 16, dropout: 0}\n"
        "data: {corpus: synthetic, sequence_tokens: 8, objective: dynamic_mask, pairs: none}\n"
        "step: {tokens: %" PRId64 ", slot_tokens: 16}\n"
        "optimizer: {name: adamw, peak_rate: 1e-2, warmup_steps: 2, total_steps: 100}\n"
        "numerics: {audit_steps: %" PRId64 "}\n"
        "shard: {stage: %" PRId64 ", pipeline: %" PRId64 "}\n"
        "checkpoint: {every_steps: %" PRId64 ", keep: 2}\n"
        "evaluation: {every_steps: %" PRId64 ", tokens: 32}\n"
        "lease: {mode: %s, heartbeat_seconds: 0.5, silence_seconds: %d,"
        " wait_seconds: %d}\n"
        "restart: {attempts: 3, wait_seconds: 0.5}\n",
        16 * shape->slots, shape->audit_every, shape->stage, shape->pipeline,
        shape->checkpoint_every, shape->evaluate_every, shape->lease_mode, endless ? ENDLESS : 5,
        endless ? ENDLESS : 10);
    struct error error;
    INVARIANT(file_write_durable("/sim/config.yaml", text, strlen(text), &error) == STATUS_OK);
}

static int person_run(struct process *process)
{
    (void)process;
    config_write();
    for (bool more = true, first = true; more; first = false) {
        struct process *const supervisor =
            supervisor_start(file_exists("/sim/run/config.yaml"), first);
        while (!supervisor->ended) {
            (void)machine_wait(supervisor, MACHINE_NEVER);
        }
        more = goes_on(supervisor);
    }
    trouble_end();
    verdict_examine();
    return 0;
}

void cluster_begin(void)
{
    (void)process_start("person", 0, person_run, NULL);
}
