/* See rollback.h. In this order: newer checkpoints go aside, then the data is passed over. Killed
 * in between, the run comes to the same bad step again and does the same again. */
#include "worker/rollback.h"

#include <inttypes.h>

#include "base/log.h"
#include "checkpoints/catalog.h"

/* The newest checkpoint of step `latest` or before whose digests hold; 0: the run's beginning. */
static int64_t target_find(const struct catalog *catalog, int64_t latest)
{
    for (int64_t i = catalog->count - 1; i >= 0; i--) {
        struct checkpoint *checkpoint;
        struct error reason;
        if (catalog->entries[i].step > latest) {
            continue;
        }
        if (checkpoint_open(&checkpoint, catalog->entries[i].path, true, &reason) == STATUS_OK) {
            checkpoint_close(checkpoint);
            return catalog->entries[i].step;
        }
        log_line(LOG_LEVEL_WARN, "passed over: %s", reason.message);
    }
    return 0;
}

/* Everything behind the target, damaged ones too: nobody resumes from them. */
static enum status newer_set_aside(const struct catalog *catalog, const char *run, int64_t target,
                                   struct error *error)
{
    char aside[PATH_BYTES];
    TRY(path_join(aside, run, "abandoned", error));
    TRY(folder_make(aside, error));
    for (int64_t i = catalog->count - 1; i >= 0 && catalog->entries[i].step > target; i--) {
        char path[PATH_BYTES];
        TRY(path_join(path, aside, path_name(catalog->entries[i].path), error));
        TRY(folder_remove(path, error));
        TRY(file_rename(catalog->entries[i].path, path, error));
    }
    return folder_flush(aside, error);
}

/* By worker 0. */
static enum status rollback_prepare(struct worker *worker, int64_t step, int64_t *target,
                                    struct error *error)
{
    const struct worker_setup *const setup = worker->setup;
    char run[PATH_BYTES];
    path_folder(setup->checkpoint_root, run);
    TRY(writer_wait(worker->writer, setup->lease->wait_seconds, error));
    struct catalog catalog;
    TRY(catalog_open(&catalog, setup->checkpoint_root, error));
    *target = target_find(&catalog, step - setup->numerics->rollback_steps);
    const enum status status = newer_set_aside(&catalog, run, *target, error);
    catalog_close(&catalog);
    TRY(status);
    struct data_skips skips = setup->skips;
    TRY(data_skips_add(&skips, *target + 1, step - *target, error));
    return data_skips_write(&skips, run, error);
}

enum status rollback_run(struct worker *worker, int64_t step, const char *why, struct error *error)
{
    if (worker->setup->checkpoint_root == NULL) {
        FAIL(error, STATUS_NUMERIC, "step %" PRId64 ": %s; there are no checkpoints to go back to",
             step, why);
    }
    enum status status = STATUS_OK;
    int64_t target = 0;
    if (worker->topology.worker_index == 0) {
        status = rollback_prepare(worker, step, &target, error);
    }
    TRY(fabric_agree(worker->workers, status, error));
    TRY(fabric_broadcast(worker->workers, 0, &target, sizeof target, error));
    FAIL(error, STATUS_PEER,
         "step %" PRId64 ": rolled back to step %" PRId64
         ", from where training goes on with the data behind step %" PRId64 ": %s",
         step, target, step, why);
}
