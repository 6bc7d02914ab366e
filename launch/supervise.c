/* See supervise.h. */
#include "launch/supervise.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"
#include "coordinator/journal.h"
#include "launch/host_list.h"
#include "launch/mpi_job.h"
#include "launch/run_folder.h"
#include "launch/run_memory.h"
#include "shard/window.h"

enum { WORDS_MAX = 8, NAME_BYTES = 64, FOLDER_BYTES = 64 };
enum { CODE_STORAGE = 74 }; /* status_exit_code(STATUS_IO) */

static const double wait_seconds_max = 60;
static const double farewell_near = 0.2; /* of a job on this host: time for its last words */
static const double farewell_far = 10;   /* on several, mpirun ends their processes first */
static const double lock_seconds = 30;   /* for the last processes of a broken job to go */

struct supervisor {
    const struct supervision *supervision;
    const char **words; /* of the next start */
    int64_t word_count;
    int64_t workers;       /* as in supervision, until an operator asks for another number */
    char name[NAME_BYTES]; /* of the command, cut at its space */
    char journal[PATH_BYTES];
    char folder[FOLDER_BYTES]; /* mpirun's files on this host; empty: where it likes */
    struct host_list hosts;
    int64_t futile; /* starts in a row without a step done */
    int64_t restarts;
    struct journal_tail tail; /* as it was before the start in hand */
    int64_t started_bytes; /* the journal's size at that start, the restart's own line included */
};

/* The words as they were given. */
static void words_given(struct supervisor *supervisor)
{
    const struct command_line *const line = supervisor->supervision->line;
    (void)snprintf(supervisor->name, sizeof supervisor->name, "%s", line->command->name);
    char *const space = strchr(supervisor->name, ' ');
    supervisor->word_count = 0;
    supervisor->words[supervisor->word_count++] = supervisor->name;
    if (space != NULL) {
        *space = '\0';
        supervisor->words[supervisor->word_count++] = space + 1;
    }
    for (int64_t i = 0; i < line->word_count; i++) {
        supervisor->words[supervisor->word_count++] = line->words[i];
    }
    supervisor->words[supervisor->word_count] = NULL;
}

/* A run that exists is resumed: RUN/config.yaml holds what train was told. */
static void words_resume(struct supervisor *supervisor)
{
    const struct supervision *const supervision = supervisor->supervision;
    if (strcmp(supervision->line->command->name, "train") != 0) {
        return;
    }
    const char *const words[] = {"resume", supervision->run,
                                 supervision->last_step == NULL ? NULL : "--steps",
                                 supervision->last_step, NULL};
    memcpy(supervisor->words, words, sizeof words);
}

static bool run_exists(const struct supervisor *supervisor)
{
    char path[PATH_BYTES];
    struct error ignored;
    return path_join(path, supervisor->supervision->run, "config.yaml", &ignored) == STATUS_OK &&
           file_exists(path);
}

/* Open MPI's files of this host lie in one folder that is named by the run's path, so that the next
 * start can clear away what killed processes left. */
static enum status folder_choose(struct supervisor *supervisor, struct error *error)
{
    if (supervisor->supervision->run == NULL || supervisor->supervision->hostfile != NULL) {
        return STATUS_OK;
    }
    char path[PATH_BYTES];
    TRY(path_absolute(path, supervisor->supervision->run, error));
    char text[DIGEST_TEXT_BYTES];
    digest_text(digest_bytes(path, strlen(path)), text);
    (void)snprintf(supervisor->folder, sizeof supervisor->folder, "/dev/shm/shardlm-mpi-%.16s",
                   text);
    return STATUS_OK;
}

static void folder_clear(const struct supervisor *supervisor)
{
    struct error ignored;
    if (supervisor->folder[0] != '\0') {
        (void)!folder_remove(supervisor->folder, &ignored);
    }
}

static void memory_forget(const struct supervisor *supervisor)
{
    struct run_memory memory;
    struct error ignored;
    if (run_memory_choose(&memory, supervisor->supervision->run, &ignored) == STATUS_OK &&
        memory.former[0] != '\0') {
        (void)window_remove(memory.former);
    }
}

static void restart_note(const struct supervisor *supervisor, const char *reason, double seconds)
{
    struct journal journal;
    struct error error;
    enum status status = journal_open(&journal, supervisor->journal, &error);
    if (status == STATUS_OK) {
        status = journal_add(&journal,
                             json_pack("{s:s, s:I, s:I, s:s, s:f}", "event", "restart", "step",
                                       (json_int_t)supervisor->tail.last_step, "restarts",
                                       (json_int_t)supervisor->restarts, "text", reason,
                                       "wait_seconds", seconds),
                             &error);
    }
    journal_close(&journal);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "shardlm: journal not written: %s\n", error.message);
    }
}

/* Returns early when a stop is asked for. */
static void back_off(double seconds)
{
    const int64_t start_ns = clock_now_ns();
    while (mpi_job_stops() == 0 && clock_seconds_since(start_ns) < seconds) {
        clock_sleep(0.05);
    }
}

/* Why the job broke: as the coordinator's last line says, unless it was killed first. */
static void reason_find(const struct supervisor *supervisor, const struct journal_tail *now,
                        int code, char reason[JOURNAL_TEXT_BYTES])
{
    if (now->failure[0] != '\0' && now->size_bytes > supervisor->tail.size_bytes) {
        (void)snprintf(reason, JOURNAL_TEXT_BYTES, "%s", now->failure);
    } else if (code > 128) {
        (void)snprintf(reason, JOURNAL_TEXT_BYTES, "a process was killed by signal %d", code - 128);
    } else {
        (void)snprintf(reason, JOURNAL_TEXT_BYTES, "the job ended with exit code %d", code);
    }
}

/* After a start that broke: shall there be another? */
static enum status restart_decide(struct supervisor *supervisor, int code, struct error *error)
{
    const struct supervision *const supervision = supervisor->supervision;
    const struct journal_tail now = journal_tail(supervisor->journal, supervisor->tail.size_bytes);
    char reason[JOURNAL_TEXT_BYTES];
    reason_find(supervisor, &now, code, reason);
    /* Any step counts, also one that is done again behind a rollback or a failed audit. */
    supervisor->futile = now.stepped ? 1 : supervisor->futile + 1;
    if (supervision->restart.attempts == 0) {
        FAIL(error, STATUS_PEER, "%.400s; go on with: shardlm resume %.200s", reason,
             supervision->run);
    }
    if (supervisor->futile > supervision->restart.attempts) {
        /* What a full disk did not take is in memory alone. */
        if (code != CODE_STORAGE) {
            memory_forget(supervisor);
        }
        FAIL(error, code == CODE_STORAGE ? STATUS_IO : STATUS_PEER,
             "gave up after %" PRId64 " starts in a row without a step done, at step %" PRId64
             ": %.400s; go on with: shardlm resume %.200s",
             supervisor->futile, now.last_step, reason, supervision->run);
    }
    TRY(host_list_check(&supervisor->hosts, supervision->run, error));
    const double seconds = supervisor->futile < 2
                               ? 0
                               : fmin(wait_seconds_max, supervision->restart.wait_seconds *
                                                            exp2((double)supervisor->futile - 2));
    supervisor->restarts++;
    supervisor->tail = now;
    (void)fprintf(stderr, "shardlm: restart %" PRId64 " in %.1f s: %s\n", supervisor->restarts,
                  seconds, reason);
    if (run_exists(supervisor)) {
        restart_note(supervisor, reason, seconds);
        words_resume(supervisor);
    }
    back_off(seconds);
    return mpi_job_stops() == 0 && run_exists(supervisor)
               ? run_folder_wait(supervision->run, lock_seconds, error)
               : STATUS_OK;
}

/* The coordinator holds the run from before its first line in the journal until its last breath,
 * and its last line says how it ended, unless it was killed. */
static double job_farewell(void *context)
{
    const struct supervisor *const supervisor = context;
    const enum journal_state state = journal_state(supervisor->journal, supervisor->started_bytes);
    const bool left = state != JOURNAL_STATE_SILENT && state != JOURNAL_STATE_LOST &&
                      !run_folder_held(supervisor->supervision->run);
    if (state != JOURNAL_STATE_LOST && !left) {
        return -1;
    }
    const bool far = supervisor->supervision->hostfile != NULL || state == JOURNAL_STATE_CLOSED;
    return far ? farewell_far : farewell_near;
}

static enum status job_start(struct supervisor *supervisor, int *code, struct error *error)
{
    const struct supervision *const supervision = supervisor->supervision;
    const struct mpi_job job = {
        .words = supervisor->words,
        .workers = supervisor->workers > 0 ? supervisor->workers : process_core_count(),
        .hostfile = host_list_path(&supervisor->hosts),
        .folder = supervisor->folder[0] != '\0' ? supervisor->folder : NULL,
        .farewell_seconds = supervision->run != NULL ? job_farewell : NULL,
        .context = supervisor,
    };
    struct error none_yet;
    supervisor->started_bytes = 0;
    if (supervision->run != NULL) {
        (void)!file_size(supervisor->journal, &supervisor->started_bytes, &none_yet);
    }
    folder_clear(supervisor);
    if (job.folder != NULL) {
        TRY(folder_make(job.folder, error));
    }
    const enum status status = mpi_job_run(&job, code, error);
    folder_clear(supervisor);
    (void)unsetenv("SHARDLM_FAULT"); /* one kill is enough for a test */
    return status;
}

/* The state is in memory, and on disk as of an earlier step: a person is needed. */
static enum status storage_failed(const struct supervisor *supervisor, struct error *error)
{
    char advice[JOURNAL_TEXT_BYTES];
    (void)snprintf(advice, sizeof advice,
                   "storage failed; once it is well again, go on with: shardlm resume %.400s",
                   supervisor->supervision->run);
    return mpi_job_explain(CODE_STORAGE, advice, error);
}

/* Asked to stop, and the job broke before it could obey: what memory and checkpoints hold stays. */
static enum status stopped(const struct supervisor *supervisor, struct error *error)
{
    if (mpi_job_stops() > 1) {
        FAIL(error, STATUS_PEER, "ended at once by a second signal; go on with: shardlm resume %s",
             supervisor->supervision->run);
    }
    if (!run_exists(supervisor)) {
        FAIL(error, STATUS_PEER, "stopped before the run had begun");
    }
    FAIL(error, STATUS_INTERRUPTED, "stopped by request; go on with: shardlm resume %s",
         supervisor->supervision->run);
}

/* Whether the job ended in order to be started again with another number of workers. */
static bool resize_find(struct supervisor *supervisor, int code)
{
    if (code != 75 || supervisor->supervision->run == NULL || mpi_job_stops() > 0) {
        return false;
    }
    const struct journal_tail now = journal_tail(supervisor->journal, supervisor->started_bytes);
    if (now.workers_next == 0) {
        return false;
    }
    supervisor->workers = now.workers_next;
    supervisor->tail = now;
    supervisor->futile = 0;
    words_resume(supervisor);
    return true;
}

static enum status supervisor_loop(struct supervisor *supervisor, struct error *error)
{
    const struct supervision *const supervision = supervisor->supervision;
    for (;;) {
        int code = 0;
        TRY(job_start(supervisor, &code, error));
        if (resize_find(supervisor, code)) {
            TRY(run_folder_wait(supervision->run, lock_seconds, error));
            continue;
        }
        const bool broke = code != 0 && code != 2 && code != 3 && code != 75 && code != 127;
        if (code == 3 && supervision->run != NULL) {
            memory_forget(supervisor); /* nobody comes back for it at once */
        }
        if (!broke || supervision->run == NULL) {
            return mpi_job_explain(code, NULL, error);
        }
        if (code == CODE_STORAGE && run_exists(supervisor) &&
            (supervision->stop_on_failure || mpi_job_stops() > 0)) {
            return storage_failed(supervisor, error);
        }
        if (mpi_job_stops() == 0) {
            TRY(restart_decide(supervisor, code, error));
        }
        if (mpi_job_stops() > 0) {
            return stopped(supervisor, error);
        }
    }
}

enum status supervise(const struct supervision *supervision, struct error *error)
{
    struct supervisor supervisor = {.supervision = supervision, .workers = supervision->workers};
    supervisor.words = memory_take((size_t)supervision->line->word_count + WORDS_MAX,
                                   sizeof *supervisor.words, "words of a job");
    words_given(&supervisor);
    enum status status = host_list_open(&supervisor.hosts, supervision->hostfile, error);
    if (status == STATUS_OK && supervision->run != NULL) {
        status = path_join(supervisor.journal, supervision->run, "journal.jsonl", error);
        if (status == STATUS_OK) {
            status = folder_choose(&supervisor, error);
        }
        if (status == STATUS_OK && run_exists(&supervisor)) {
            supervisor.tail = journal_tail(supervisor.journal, INT64_MAX);
            status = run_folder_wait(supervision->run, 2, error);
        }
    }
    if (status == STATUS_OK) {
        status = supervisor_loop(&supervisor, error);
    }
    host_list_close(&supervisor.hosts);
    memory_release((void *)supervisor.words);
    return status;
}
