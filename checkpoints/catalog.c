/* See catalog.h. */
#include "checkpoints/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "checkpoints/checkpoint.h"
#include "checkpoints/step_folder.h"

/* Does this name stand for the checkpoint of its step? A replaced one only while there is no other. */
static bool name_counts(const char *root, const char *name, int64_t *step)
{
    enum step_folder kind;
    char published[PATH_BYTES];
    struct error ignored;
    if (!step_folder_parse(name, &kind, step)) {
        return false;
    }
    return kind == STEP_FOLDER_PUBLISHED ||
           (kind == STEP_FOLDER_REPLACED &&
            step_folder_path(published, root, STEP_FOLDER_PUBLISHED, *step, &ignored) ==
                STATUS_OK &&
            !folder_exists(published));
}

static int entry_compare(const void *a, const void *b)
{
    const int64_t first = ((const struct catalog_entry *)a)->step;
    const int64_t second = ((const struct catalog_entry *)b)->step;
    return (first > second) - (first < second);
}

enum status catalog_open(struct catalog *catalog, const char *root, struct error *error)
{
    *catalog = (struct catalog){0};
    if (!folder_exists(root)) {
        return STATUS_OK;
    }
    struct folder_list list;
    TRY(folder_list_open(&list, root, error));
    catalog->entries =
        memory_take((size_t)list.count, sizeof *catalog->entries, "checkpoint catalog");
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        int64_t step;
        if (name_counts(root, list.names[i], &step)) {
            struct catalog_entry *const entry = &catalog->entries[catalog->count++];
            entry->step = step;
            status = path_join(entry->path, root, list.names[i], error);
        }
    }
    folder_list_close(&list);
    if (status != STATUS_OK) {
        catalog_close(catalog);
        return status;
    }
    qsort(catalog->entries, (size_t)catalog->count, sizeof *catalog->entries, entry_compare);
    return STATUS_OK;
}

void catalog_close(struct catalog *catalog)
{
    memory_release(catalog->entries);
    *catalog = (struct catalog){0};
}

static bool entry_is_good(const struct catalog_entry *entry)
{
    struct checkpoint *checkpoint;
    struct error error;
    if (checkpoint_open(&checkpoint, entry->path, true, &error) != STATUS_OK) {
        log_line(LOG_LEVEL_WARN, "checkpoint_damaged step=%lld reason=\"%s\"",
                 (long long)entry->step, error.message);
        return false;
    }
    const int64_t step = checkpoint_meta(checkpoint)->step;
    checkpoint_close(checkpoint);
    if (step != entry->step) {
        log_line(LOG_LEVEL_WARN, "checkpoint_misnamed path=\"%s\" step=%lld", entry->path,
                 (long long)step);
    }
    return step == entry->step;
}

enum status catalog_newest_good(const char *root, char path[PATH_BYTES], int64_t *step,
                                struct error *error)
{
    struct catalog catalog;
    TRY(catalog_open(&catalog, root, error));
    if (catalog.count == 0) {
        catalog_close(&catalog);
        FAIL(error, STATUS_INPUT, "there is no checkpoint in \"%s\"", root);
    }
    for (int64_t i = catalog.count - 1; i >= 0; i--) {
        const struct catalog_entry *const entry = &catalog.entries[i];
        if (entry_is_good(entry)) {
            memcpy(path, entry->path, PATH_BYTES);
            *step = entry->step;
            catalog_close(&catalog);
            return STATUS_OK;
        }
    }
    const int64_t count = catalog.count;
    catalog_close(&catalog);
    FAIL(error, STATUS_FORMAT, "all checkpoints in \"%s\" are damaged (%lld of them)", root,
         (long long)count);
}

/* What interrupted writes, replacements and removals left. */
static enum status leftover_clear(const char *root, const char *name, int64_t writing_step,
                                  struct error *error)
{
    enum step_folder kind;
    int64_t step;
    if (!step_folder_parse(name, &kind, &step) || kind == STEP_FOLDER_PUBLISHED ||
        (kind == STEP_FOLDER_PARTIAL && step == writing_step)) {
        return STATUS_OK;
    }
    char path[PATH_BYTES];
    char published[PATH_BYTES];
    TRY(path_join(path, root, name, error));
    TRY(step_folder_path(published, root, STEP_FOLDER_PUBLISHED, step, error));
    if (kind == STEP_FOLDER_REPLACED && !folder_exists(published)) {
        return step == writing_step ? STATUS_OK : file_rename(path, published, error);
    }
    return folder_remove(path, error);
}

static enum status leftovers_clear(const char *root, int64_t writing_step, struct error *error)
{
    struct folder_list list;
    TRY(folder_list_open(&list, root, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        status = leftover_clear(root, list.names[i], writing_step, error);
    }
    folder_list_close(&list);
    return status;
}

static bool entry_stays(const struct catalog *catalog, int64_t index,
                        const struct checkpoint_options *options, int64_t protect_step)
{
    const int64_t keep = options->keep < 1 ? 1 : options->keep;
    const int64_t step = catalog->entries[index].step;
    return index >= catalog->count - keep || step == protect_step ||
           (options->keep_every > 0 && step % options->keep_every == 0);
}

/* Is one of those that stay good? The newest is looked at first, so this reads one checkpoint as a rule. */
static bool stays_hold_a_good_one(const struct catalog *catalog,
                                  const struct checkpoint_options *options, int64_t protect_step)
{
    for (int64_t i = catalog->count - 1; i >= 0; i--) {
        if (entry_stays(catalog, i, options, protect_step) && entry_is_good(&catalog->entries[i])) {
            return true;
        }
    }
    return false;
}

/* The name goes first, and for good: a removal that is interrupted, by a power cut too, leaves nothing that looks like
 * a checkpoint. */
static enum status entry_remove(const char *root, const struct catalog_entry *entry,
                                struct error *error)
{
    char removed[PATH_BYTES];
    TRY(step_folder_path(removed, root, STEP_FOLDER_REMOVED, entry->step, error));
    TRY(file_rename(entry->path, removed, error));
    TRY(folder_flush(root, error));
    return folder_remove(removed, error);
}

static enum status entries_remove(const struct catalog *catalog, const char *root,
                                  const struct checkpoint_options *options, int64_t protect_step,
                                  struct error *error)
{
    int64_t surplus = 0;
    for (int64_t i = 0; i < catalog->count; i++) {
        surplus += entry_stays(catalog, i, options, protect_step) ? 0 : 1;
    }
    if (surplus == 0) {
        return STATUS_OK;
    }
    if (!stays_hold_a_good_one(catalog, options, protect_step)) {
        log_line(LOG_LEVEL_WARN,
                 "checkpoints_not_removed reason=\"none of those to keep is good\"");
        return STATUS_OK;
    }
    for (int64_t i = 0; i < catalog->count; i++) {
        if (!entry_stays(catalog, i, options, protect_step)) {
            TRY(entry_remove(root, &catalog->entries[i], error));
        }
    }
    return STATUS_OK;
}

enum status catalog_retain(const char *root, const struct checkpoint_options *options,
                           int64_t protect_step, int64_t writing_step, struct error *error)
{
    if (!folder_exists(root)) {
        return STATUS_OK;
    }
    TRY(leftovers_clear(root, writing_step, error));
    struct catalog catalog;
    TRY(catalog_open(&catalog, root, error));
    const enum status status = entries_remove(&catalog, root, options, protect_step, error);
    catalog_close(&catalog);
    return status;
}
