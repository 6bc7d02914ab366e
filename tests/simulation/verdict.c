/* See verdict.h. */
#include "tests/simulation/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "checkpoints/catalog.h"
#include "checkpoints/checkpoint.h"
#include "coordinator/coordinator.h"
#include "launch/run_journal.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/trouble.h"
#include "worker/trainer.h"

enum { STANDSTILL_SECONDS = 180 };

enum status __real_coordinator_run(struct channel_server *server,
                                   const struct coordinator_options *options,
                                   struct coordinator_result *result, struct error *error);
enum status __wrap_coordinator_run(struct channel_server *server,
                                   const struct coordinator_options *options,
                                   struct coordinator_result *result, struct error *error);
enum status __real_trainer_step(struct trainer *trainer, int64_t step, bool dynamic_leases,
                                struct trainer_report *report, struct error *error);
enum status __wrap_trainer_step(struct trainer *trainer, int64_t step, bool dynamic_leases,
                                struct trainer_report *report, struct error *error);

static struct verdict {
    const struct reference *reference;
    struct reference found;
    char text[VERDICT_TEXT_BYTES];
    int64_t begun_step; /* the largest that a worker began */
    int64_t workers;    /* of the start in hand */
    int64_t redone;
    int64_t moved_ns; /* when something got on last */
} verdict;

void verdict_open(const struct reference *reference)
{
    verdict = (struct verdict){.reference = reference, .moved_ns = machine_now_ns()};
}

void verdict_fault(const char *format, ...)
{
    if (verdict.text[0] != '\0') {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(verdict.text, sizeof verdict.text, format, arguments);
    va_end(arguments);
    machine_note("VERDICT: %s", verdict.text);
}

const char *verdict_text(void)
{
    return verdict.text;
}

int64_t verdict_redone(void)
{
    return verdict.redone;
}

void verdict_reference(struct reference *reference)
{
    *reference = verdict.found;
}

void verdict_workers(int64_t count)
{
    if (count != verdict.workers && cluster_shape()->nodes > 1) {
        trouble_excuse_add(); /* memory of several nodes serves the same owners only */
    }
    verdict.workers = count;
}

static void moved(const char *what)
{
    const double seconds = (double)(machine_now_ns() - verdict.moved_ns) * 1e-9;
    verdict.moved_ns = machine_now_ns();
    if (seconds > STANDSTILL_SECONDS) {
        verdict_fault("limits: nothing got on for %.0f s before %s", seconds, what);
    }
}

enum status __wrap_coordinator_run(struct channel_server *server,
                                   const struct coordinator_options *options,
                                   struct coordinator_result *result, struct error *error)
{
    const int64_t again = verdict.begun_step - options->first_step;
    /* A job that goes on from memory and needs no excuse leaves it to the next: it may have come
     * behind the recall. */
    const bool excuse = (again > 1 || !options->recalled) && trouble_excuse();
    moved("a job's begin");
    machine_note("the job goes on from step %lld, %lld begun before, from %s",
                 (long long)options->first_step, (long long)verdict.begun_step,
                 options->recalled ? "memory" : "the disk or the seed");
    if (again > 1 && !excuse) {
        verdict_fault("memory: step %" PRId64 " had begun, and the job goes on from step %" PRId64
                      " without an excuse",
                      verdict.begun_step, options->first_step);
    }
    verdict.redone += again > 0 ? again : 0;
    verdict.begun_step = options->first_step;
    return __real_coordinator_run(server, options, result, error);
}

enum status __wrap_trainer_step(struct trainer *trainer, int64_t step, bool dynamic_leases,
                                struct trainer_report *report, struct error *error)
{
    moved("a step");
    verdict.begun_step = step > verdict.begun_step ? step : verdict.begun_step;
    return __real_trainer_step(trainer, step, dynamic_leases, report, error);
}

static void fingerprint_check(int64_t step, const char *fingerprint, const char *where)
{
    if (step == 0) {
        return; /* stopped before the first step */
    }
    if (step < 1 || step > VERDICT_STEPS_MAX) {
        verdict_fault("bits: %s has step %" PRId64, where, step);
        return;
    }
    (void)snprintf(verdict.found.fingerprints[step], VERDICT_FINGERPRINT_BYTES, "%s", fingerprint);
    if (verdict.reference != NULL &&
        strcmp(verdict.reference->fingerprints[step], fingerprint) != 0) {
        verdict_fault("bits: %s has step %" PRId64 " with fingerprint %s, not %s", where, step,
                      fingerprint, verdict.reference->fingerprints[step]);
    }
}

static void line_examine(void *context, const json_t *line)
{
    (void)context;
    const int64_t step = run_journal_step(line);
    const char *const event = json_string_value(json_object_get(line, "event"));
    if (step > 0) {
        fingerprint_check(step, json_string_value(json_object_get(line, "fingerprint")),
                          "the journal");
    } else if (event != NULL && strcmp(event, "warning") == 0 && !trouble_touched_disk()) {
        verdict_fault("whole: with a good disk the journal warns: %s",
                      json_string_value(json_object_get(line, "text")));
    }
}

static void journal_examine(void)
{
    struct error error;
    if (run_journal_read("/sim/run", 0, line_examine, NULL, &error) != STATUS_OK) {
        verdict_fault("bits: %s", error.message);
    }
    for (int64_t step = 1; step <= cluster_shape()->steps && !trouble_touched_journal(); step++) {
        if (verdict.found.fingerprints[step][0] == '\0') {
            verdict_fault("bits: the journal lacks step %" PRId64, step);
        }
    }
}

static void entry_examine(const struct catalog_entry *entry)
{
    struct checkpoint *checkpoint;
    struct error error;
    if (checkpoint_open(&checkpoint, entry->path, true, &error) != STATUS_OK) {
        if (trouble_done(TROUBLE_FLIP) == 0) {
            verdict_fault("whole: checkpoint %" PRId64 " is listed, but %s", entry->step,
                          error.message);
        }
        return;
    }
    char text[DIGEST_TEXT_BYTES];
    digest_text(checkpoint_meta(checkpoint)->fingerprint, text);
    fingerprint_check(entry->step, text, "a checkpoint");
    checkpoint_close(checkpoint);
}

static void checkpoints_examine(void)
{
    struct catalog catalog;
    struct error error;
    if (catalog_open(&catalog, "/sim/run/checkpoints", &error) != STATUS_OK) {
        verdict_fault("whole: %s", error.message);
        return;
    }
    for (int64_t i = 0; i < catalog.count; i++) {
        entry_examine(&catalog.entries[i]);
    }
    const int64_t newest = catalog.count == 0 ? 0 : catalog.entries[catalog.count - 1].step;
    catalog_close(&catalog);
    if (newest != cluster_shape()->steps) {
        verdict_fault("whole: the run is done, but the newest checkpoint is of step %" PRId64,
                      newest);
    }
}

void verdict_examine(void)
{
    const struct cluster_end end = cluster_end();
    moved("the run's end");
    if (!end.done && trouble_done(TROUBLE_FLIP) > 0 && strstr(end.refusal, "are damaged") != NULL) {
        return; /* with no state in memory either, there is nothing to go on from */
    }
    if (!end.done) {
        verdict_fault("reasons: not done after %" PRId64 " starts: %s", end.starts, end.refusal);
        return;
    }
    journal_examine();
    checkpoints_examine();
    for (int64_t node = 0; node < cluster_shape()->nodes; node++) {
        if (disk_memory_files(node) > 0) {
            verdict_fault("clean: node %" PRId64 " still has %" PRId64 " files in memory", node,
                          disk_memory_files(node));
        }
    }
}
