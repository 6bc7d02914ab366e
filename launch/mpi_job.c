/* See mpi_job.h. The job runs in a process group of its own, so that a terminal's Ctrl-C reaches us
 * alone. */
#include "launch/mpi_job.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"

enum { FIXED_WORDS_MAX = 32, WATCH_MS = 100 };

/* In the environment: the file of mpi_job_verdict, or nothing. */
#define VERDICT_WORD "SHARDLM_VERDICT"

static volatile sig_atomic_t job_process;
static volatile sig_atomic_t stops_asked;

/* mpirun hands SIGUSR1 to all ranks; SIGTERM makes it end them. */
static void stop_forward(int signal_number)
{
    (void)signal_number;
    const pid_t process = (pid_t)job_process;
    stops_asked = stops_asked + 1;
    if (process > 0) {
        (void)kill(process, stops_asked == 1 ? SIGUSR1 : SIGTERM);
    }
}

/* mpirun's words, then the program, the command's name and its words. The list ends with NULL;
 * entries are copies. */
struct word_list {
    char **words;
    int64_t count;
};

static void word_add(struct word_list *list, const char *word)
{
    list->words[list->count++] = memory_text(word);
}

/* Does the job stay on this host, and may we say how its ranks talk? */
static bool stays_here(const struct mpi_job *job)
{
    static const char *const names[] = {"OMPI_MCA_pml", "SLURM_JOB_ID", "PBS_JOBID",
                                        "LSB_JOBID",    "JOB_ID",       "LOADL_STEP_ID"};
    bool here = job->hostfile == NULL;
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        here = here && getenv(names[i]) == NULL;
    }
    return here;
}

static void word_list_init(struct word_list *list, const struct mpi_job *job, const char *program)
{
    /* --stdin none: a job must not read the terminal. vader's single copy needs a system call that
     * containers refuse. Waiting ranks give their core away. */
    static const char *const fixed[] = {"mpirun",
                                        "--quiet",
                                        "--stdin",
                                        "none",
                                        "--oversubscribe",
                                        "--bind-to",
                                        "none",
                                        "--mca",
                                        "mpi_yield_when_idle",
                                        "1",
                                        "--mca",
                                        "btl_vader_single_copy_mechanism",
                                        "none",
                                        "-x",
                                        "SHARDLM_SUPERVISED"};
    int64_t count = 0;
    while (job->words[count] != NULL) {
        count++;
    }
    *list = (struct word_list){.words = memory_take(FIXED_WORDS_MAX + (size_t)count,
                                                    sizeof *list->words, "mpirun's words")};
    for (int64_t i = 0; i < ARRAY_LENGTH(fixed); i++) {
        word_add(list, fixed[i]);
    }
    if (geteuid() == 0) {
        word_add(list, "--allow-run-as-root");
    }
    if (stays_here(job)) { /* looking for adapters that only this layer can use takes 0.2 s */
        word_add(list, "--mca");
        word_add(list, "pml");
        word_add(list, "^cm");
    }
    if (job->hostfile != NULL) {
        word_add(list, "--hostfile");
        word_add(list, job->hostfile);
    }
    static const char *const places[] = {"orte_tmpdir_base", "btl_vader_backing_directory"};
    for (int64_t i = 0; job->folder != NULL && i < ARRAY_LENGTH(places); i++) {
        word_add(list, "--mca");
        word_add(list, places[i]);
        word_add(list, job->folder);
    }
    char ranks[24];
    (void)snprintf(ranks, sizeof ranks, "%lld", (long long)job->workers + 1);
    word_add(list, "-n");
    word_add(list, ranks);
    word_add(list, program);
    INVARIANT(list->count < FIXED_WORDS_MAX);
    for (int64_t i = 0; i < count; i++) {
        word_add(list, job->words[i]);
    }
}

static void word_list_deinit(struct word_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        memory_release(list->words[i]);
    }
    memory_release((void *)list->words);
}

/* In the child: signals as usual, a group of its own; the ranks are told that a supervisor
 * started them, and of the terminal. */
__attribute__((noreturn)) static void job_become(char **words, const char *verdict)
{
    (void)setpgid(0, 0);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGUSR1, SIG_DFL);
    (void)setenv("SHARDLM_SUPERVISED", "1", 1);
    (void)setenv(VERDICT_WORD, verdict, 1);
    (void)setenv("SHARDLM_TERMINAL", isatty(STDERR_FILENO) ? "1" : "0", 1);
    (void)execvp(words[0], words);
    (void)fprintf(stderr, "shardlm: could not start mpirun: %s (package openmpi-bin)\n",
                  strerror(errno));
    _exit(127);
}

/* Kills mpirun once its job has been broken for too long; `broken_ns` says since when, 0: it is
 * not. The ranks go with it, see job.c. */
static void farewell_check(const struct mpi_job *job, pid_t process, int64_t *broken_ns)
{
    const double limit = job->farewell_seconds == NULL ? -1 : job->farewell_seconds(job->context);
    if (limit < 0) {
        *broken_ns = 0;
    } else if (*broken_ns == 0) {
        *broken_ns = clock_now_ns();
    } else if (clock_seconds_since(*broken_ns) > limit) {
        (void)kill(-process, SIGKILL);
    }
}

static enum status job_wait(const struct mpi_job *job, pid_t process, int *code,
                            struct error *error)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, process, 0), .events = POLLIN};
    int state = 0;
    pid_t ended = 0;
    for (int64_t broken_ns = 0; ended == 0;) {
        /* Without a descriptor (an old kernel) poll only sleeps: the end is seen a moment later. */
        (void)poll(&end, 1, WATCH_MS);
        ended = waitpid(process, &state, WNOHANG);
        if (ended == 0) {
            farewell_check(job, process, &broken_ns);
        }
    }
    if (end.fd >= 0) {
        (void)close(end.fd);
    }
    if (ended < 0) {
        FAIL(error, STATUS_INTERNAL, "could not wait for mpirun: %s", strerror(errno));
    }
    *code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    return STATUS_OK;
}

/* Rank 0 has said what went wrong, unless it was killed: then this says it. */
enum status mpi_job_explain(int code, const char *advice, struct error *error)
{
    switch (code) {
    case 0:
        return STATUS_OK;
    case 2:
        FAIL(error, STATUS_INPUT, "%s", "");
    case 3:
        FAIL(error, STATUS_NUMERIC, "%s", "");
    case 74:
        FAIL(error, STATUS_IO, "%s", advice == NULL ? "" : advice);
    case 75:
        FAIL(error, STATUS_INTERRUPTED, "%s", "");
    case 127:
        FAIL(error, STATUS_INTERNAL, "%s", "");
    default:
        break;
    }
    if (code > 128) {
        FAIL(error, STATUS_PEER, "a process of the job was killed by signal %d%s%s", code - 128,
             advice == NULL ? "" : "; ", advice == NULL ? "" : advice);
    }
    FAIL(error, STATUS_PEER, "the job failed (exit code %d)%s%s", code, advice == NULL ? "" : "; ",
         advice == NULL ? "" : advice);
}

int64_t mpi_job_stops(void)
{
    return stops_asked;
}

void mpi_job_signals(void)
{
    const struct sigaction action = {.sa_handler = stop_forward};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGUSR1, &action, NULL);
}

bool mpi_job_verdict(int code, const char *message)
{
    const char *const path = getenv(VERDICT_WORD);
    FILE *const file = path == NULL || path[0] == '\0' ? NULL : fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file, "%d %s\n", code, message);
    return fclose(file) == 0;
}

/* What rank 0 left, if it left anything. */
static void verdict_take(const char *path, int *code)
{
    FILE *const file = path[0] == '\0' ? NULL : fopen(path, "r");
    if (file == NULL) {
        return;
    }
    char text[ERROR_MESSAGE_BYTES + 16] = {0};
    char *message = text;
    const size_t length = fread(text, 1, sizeof text - 1, file);
    const long value = strtol(text, &message, 10);
    (void)fclose(file);
    if (length > 0 && text[length - 1] == '\n' && *message == ' ' && value > 0 && value < 256) {
        (void)fprintf(stderr, "shardlm:%s", message);
        *code = (int)value;
    }
}

enum status mpi_job_run(const struct mpi_job *job, int *code, struct error *error)
{
    char program[PATH_BYTES];
    TRY(process_program(program, error));
    char verdict[PATH_BYTES] = {0};
    if (job->folder != NULL) {
        TRY(path_join(verdict, job->folder, "verdict", error));
    }
    struct word_list list;
    word_list_init(&list, job, program);
    (void)fflush(NULL);
    const pid_t process = fork();
    if (process == 0) {
        job_become(list.words, verdict);
    }
    word_list_deinit(&list);
    if (process < 0) {
        FAIL(error, STATUS_INTERNAL, "could not start a process: %s", strerror(errno));
    }
    job_process = (sig_atomic_t)process;
    mpi_job_signals();
    const enum status status = job_wait(job, process, code, error);
    job_process = 0;
    verdict_take(verdict, code);
    return status;
}
