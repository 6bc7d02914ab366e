/* See run_folder.h. */
#include "launch/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "data_pipeline/corpus_manifest.h"
#include "launch/config_change.h"

enum status run_config_resolve(struct config *config, struct error *error)
{
    if (strcmp(config->data.corpus, "synthetic") == 0) {
        return STATUS_OK;
    }
    struct corpus_manifest manifest = {0};
    TRY(corpus_manifest_read(&manifest, config->data.corpus, error));
    if (config->model.vocabulary == 0) {
        config->model.vocabulary = manifest.facts.vocabulary;
    }
    corpus_manifest_deinit(&manifest);
    return STATUS_OK;
}

enum status run_folder_vacant(const char *run, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "config.yaml", error));
    if (file_exists(path)) {
        FAIL(error, STATUS_INPUT, "\"%s\" holds a run already: go on with: shardlm resume %s", run,
             run);
    }
    return STATUS_OK;
}

enum status run_folder_make(const char *run, const struct config *config, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "checkpoints", error));
    TRY(folder_make(path, error));
    TRY(path_join(path, run, "config.yaml", error));
    struct text text = {0};
    config_text(config, &text);
    const enum status status = file_write_durable(path, text.data, text.size_bytes, error);
    text_deinit(&text);
    return status;
}

enum status run_folder_config(const char *run, const char *const *sets, int64_t set_count,
                              struct config *config, struct error *error)
{
    for (int64_t i = 0; i < set_count; i++) {
        if (!config_change_neutral(sets[i])) {
            FAIL(error, STATUS_INPUT,
                 "--set %s: a resumed run keeps its results, so only shard., lease., checkpoint., "
                 "evaluation. and restart. keys may change",
                 sets[i]);
        }
    }
    char path[PATH_BYTES];
    TRY(path_join(path, run, "config.yaml", error));
    if (!file_exists(path)) {
        FAIL(error, STATUS_INPUT, "\"%s\" is not a run folder: it has no config.yaml", run);
    }
    return config_read(path, sets, set_count, config, error);
}

static enum status lock_open(const char *run, int *descriptor, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "lock", error));
    *descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*descriptor < 0) {
        FAIL(error, STATUS_IO, "could not open \"%s\": %s", path, strerror(errno));
    }
    return STATUS_OK;
}

static enum status lock_refused(const char *run, int descriptor, struct error *error)
{
    (void)close(descriptor);
    FAIL(error, STATUS_INPUT, "another job works on run \"%s\" (it holds \"%s/lock\")", run, run);
}

enum status run_folder_lock(const char *run, struct error *error)
{
    int descriptor;
    TRY(lock_open(run, &descriptor, error));
    /* The descriptor stays open: the lock goes with the process, however it ends. */
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? STATUS_OK
                                                     : lock_refused(run, descriptor, error);
}

enum status run_folder_wait(const char *run, double seconds, struct error *error)
{
    int descriptor;
    TRY(lock_open(run, &descriptor, error));
    const int64_t start_ns = clock_now_ns();
    while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        if (clock_seconds_since(start_ns) > seconds) {
            return lock_refused(run, descriptor, error);
        }
        clock_sleep(0.02);
    }
    (void)close(descriptor);
    return STATUS_OK;
}

bool run_folder_held(const char *run)
{
    int descriptor;
    struct error ignored;
    if (lock_open(run, &descriptor, &ignored) != STATUS_OK) {
        return false;
    }
    const bool held = flock(descriptor, LOCK_SH | LOCK_NB) != 0;
    (void)close(descriptor);
    return held;
}
