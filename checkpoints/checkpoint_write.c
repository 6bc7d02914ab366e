/* Writing a checkpoint; see checkpoint.h. Everything happens below ".step-N.partial" until the last two renames.
 * Order of durability: parts, view, configuration, tokenizer; their folders; the manifest; the name. */
#include "checkpoints/checkpoint.h"

#include <string.h>

#include "base/log.h"
#include "checkpoints/folder_copy.h"
#include "checkpoints/manifest.h"
#include "checkpoints/shard_file.h"
#include "checkpoints/state_file.h"
#include "checkpoints/step_folder.h"

enum status checkpoint_begin(const char *root, int64_t step, char partial[PATH_BYTES],
                             struct error *error)
{
    TRY(folder_make(root, error));
    TRY(step_folder_path(partial, root, STEP_FOLDER_PARTIAL, step, error));
    TRY(folder_remove(partial, error));
    char parts[PATH_BYTES];
    TRY(path_join(parts, partial, "parts", error));
    TRY(folder_make(parts, error));
    return folder_flush(root, error);
}

enum status checkpoint_part_write(const char *partial, const struct parameter_table *table,
                                  int64_t group, const float *const arrays[CHECKPOINT_ARRAY_COUNT],
                                  struct error *error)
{
    INVARIANT(group >= 0 && group < table->group_count);
    char name[SHARD_FILE_NAME_BYTES];
    char path[PATH_BYTES];
    shard_file_name(name, table, group);
    TRY(path_join(path, partial, name, error));
    TRY(shard_file_write(path, table, group, arrays, error));
    return shard_file_check(path, table, group, error);
}

/* Once more by the publisher: it may sit on another node than the writer, and sees what readers will see. */
static enum status parts_add(struct manifest *manifest, const char *partial,
                             const struct parameter_table *table, struct error *error)
{
    for (int64_t group = 0; group < table->group_count; group++) {
        char name[SHARD_FILE_NAME_BYTES];
        char path[PATH_BYTES];
        shard_file_name(name, table, group);
        TRY(path_join(path, partial, name, error));
        if (!file_exists(path)) {
            FAIL(error, STATUS_IO, "could not publish a checkpoint: part \"%s\" was not written",
                 path);
        }
        TRY(shard_file_check(path, table, group, error));
        TRY(manifest_add(manifest, partial, name, error));
    }
    char parts[PATH_BYTES];
    TRY(path_join(parts, partial, "parts", error));
    return folder_flush(parts, error);
}

static enum status tokenizer_add(struct manifest *manifest, const char *partial,
                                 const char *tokenizer_folder, struct error *error)
{
    char folder[PATH_BYTES];
    TRY(path_join(folder, partial, "tokenizer", error));
    TRY(folder_copy(tokenizer_folder, folder, error));
    struct folder_list list;
    TRY(folder_list_open(&list, folder, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        char name[PATH_BYTES];
        status = path_join(name, "tokenizer", list.names[i], error);
        if (status == STATUS_OK) {
            status = manifest_add(manifest, partial, name, error);
        }
    }
    folder_list_close(&list);
    return status;
}

static enum status content_write(struct manifest *manifest, const char *partial,
                                 const struct parameter_table *table, const char *config_yaml,
                                 const char *tokenizer_folder, struct error *error)
{
    TRY(parts_add(manifest, partial, table, error));
    char path[PATH_BYTES];
    TRY(path_join(path, partial, "state.h5", error));
    TRY(state_file_write(path, table, &manifest->meta, error));
    TRY(manifest_add(manifest, partial, "state.h5", error));
    TRY(path_join(path, partial, "config.yaml", error));
    TRY(file_write_checked(path, config_yaml, strlen(config_yaml), error));
    TRY(manifest_add(manifest, partial, "config.yaml", error));
    if (tokenizer_folder != NULL) {
        TRY(tokenizer_add(manifest, partial, tokenizer_folder, error));
    }
    TRY(folder_flush(partial, error));
    return manifest_write(manifest, partial, error);
}

/* Gives the whole folder its name. An older one of the same step steps aside first and is removed last; in between,
 * catalog_open() lists it under its other name. */
static enum status name_take(const char *partial, const char *root, int64_t step,
                             char published[PATH_BYTES], struct error *error)
{
    char older[PATH_BYTES];
    TRY(step_folder_path(published, root, STEP_FOLDER_PUBLISHED, step, error));
    TRY(step_folder_path(older, root, STEP_FOLDER_REPLACED, step, error));
    const bool replaces = folder_exists(published);
    if (replaces) {
        TRY(folder_remove(older, error)); /* of an earlier replacement that was interrupted */
        TRY(file_rename(published, older, error));
    }
    const enum status renamed = file_rename(partial, published, error);
    struct error later; /* from here on, what goes wrong changes nothing about the checkpoint */
    if (renamed != STATUS_OK) {
        if (replaces && file_rename(older, published, &later) != STATUS_OK) {
            log_line(LOG_LEVEL_WARN, "checkpoint_replace_undo_failed reason=\"%s\"", later.message);
        }
        return renamed;
    }
    TRY(folder_flush(root, error));
    if (folder_remove(older, &later) != STATUS_OK) {
        log_line(LOG_LEVEL_WARN, "checkpoint_replaced_not_removed reason=\"%s\"", later.message);
    }
    return STATUS_OK;
}

enum status checkpoint_publish(const char *partial, const char *root,
                               const struct parameter_table *table,
                               const struct checkpoint_meta *meta, const char *config_yaml,
                               const char *tokenizer_folder, char published[PATH_BYTES],
                               struct error *error)
{
    enum step_folder kind;
    int64_t step;
    INVARIANT(step_folder_parse(path_name(partial), &kind, &step));
    INVARIANT(kind == STEP_FOLDER_PARTIAL && step == meta->step);
    struct manifest manifest = {.meta = *meta};
    const enum status status =
        content_write(&manifest, partial, table, config_yaml, tokenizer_folder, error);
    manifest_deinit(&manifest);
    TRY(status);
    return name_take(partial, root, step, published, error);
}
