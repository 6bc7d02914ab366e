/* See run_folder.h. */
#include "launch/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "data_pipeline/corpus_manifest.h"

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

static enum status set_allowed(const char *set, struct error *error)
{
    static const char *const neutral[] = {"shard.", "lease.", "checkpoint.", "evaluation."};
    for (int64_t i = 0; i < ARRAY_LENGTH(neutral); i++) {
        if (strncmp(set, neutral[i], strlen(neutral[i])) == 0) {
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_INPUT,
         "--set %s: a resumed run keeps its results, so only shard., lease., checkpoint. and "
         "evaluation. "
         "keys may change",
         set);
}

enum status run_folder_config(const char *run, const char *const *sets, int64_t set_count,
                              struct config *config, struct error *error)
{
    for (int64_t i = 0; i < set_count; i++) {
        TRY(set_allowed(sets[i], error));
    }
    char path[PATH_BYTES];
    TRY(path_join(path, run, "config.yaml", error));
    if (!file_exists(path)) {
        FAIL(error, STATUS_INPUT, "\"%s\" is not a run folder: it has no config.yaml", run);
    }
    return config_read(path, sets, set_count, config, error);
}

enum status run_folder_lock(const char *run, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "lock", error));
    const int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
        FAIL(error, STATUS_IO, "could not open \"%s\": %s", path, strerror(errno));
    }
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        (void)close(descriptor);
        FAIL(error, STATUS_INPUT, "another job works on run \"%s\" (it holds \"%s\")", run, path);
    }
    return STATUS_OK; /* the descriptor stays open: the lock goes with the process, however it ends
                       */
}
