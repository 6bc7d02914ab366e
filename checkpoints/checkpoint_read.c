/* Reading a checkpoint; see checkpoint.h. The manifest is checked before any other file is touched, digests before
 * HDF5 sees a file: the library trusts what it reads. Without `verify` that trust rests on sizes alone. */
#include "checkpoints/checkpoint.h"

#include <string.h>

#include "base/memory.h"
#include "checkpoints/manifest.h"
#include "checkpoints/shard_file.h"

enum { CONFIG_BYTES_MAX = 4 << 20 };

struct checkpoint {
    struct manifest manifest;
    char path[PATH_BYTES];
    char tokenizer[PATH_BYTES]; /* "" if it has none */
    char *config;
};

static bool has_tokenizer(const struct manifest *manifest)
{
    static const char front[] = "tokenizer/";
    for (size_t i = 0; i < manifest->file_count; i++) {
        if (strncmp(manifest->files[i].path, front, sizeof front - 1) == 0) {
            return true;
        }
    }
    return false;
}

static enum status content_open(struct checkpoint *checkpoint, const char *path, bool verify,
                                struct error *error)
{
    if (strlen(path) >= PATH_BYTES) {
        FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.64s…\"", PATH_BYTES - 1, path);
    }
    memcpy(checkpoint->path, path, strlen(path) + 1);
    TRY(manifest_read(&checkpoint->manifest, path, error));
    static const char *const needed[] = {"config.yaml", "state.h5"};
    for (int64_t i = 0; i < ARRAY_LENGTH(needed); i++) {
        if (manifest_find(&checkpoint->manifest, needed[i]) == NULL) {
            FAIL(error, STATUS_FORMAT, "\"%s\": the manifest names no %s", path, needed[i]);
        }
    }
    TRY(manifest_check(&checkpoint->manifest, path, verify, error));
    char config[PATH_BYTES];
    TRY(path_join(config, path, "config.yaml", error));
    size_t size_bytes;
    TRY(file_read(config, CONFIG_BYTES_MAX, &checkpoint->config, &size_bytes, error));
    if (strlen(checkpoint->config) != size_bytes) {
        FAIL(error, STATUS_FORMAT, "\"%s\" holds a zero byte", config);
    }
    return has_tokenizer(&checkpoint->manifest)
               ? path_join(checkpoint->tokenizer, path, "tokenizer", error)
               : STATUS_OK;
}

enum status checkpoint_open(struct checkpoint **checkpoint, const char *path, bool verify,
                            struct error *error)
{
    *checkpoint = memory_take(1, sizeof **checkpoint, "checkpoint");
    const enum status status = content_open(*checkpoint, path, verify, error);
    if (status != STATUS_OK) {
        checkpoint_close(*checkpoint);
        *checkpoint = NULL;
    }
    return status;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (checkpoint != NULL) {
        manifest_deinit(&checkpoint->manifest);
        memory_release(checkpoint->config);
        memory_release(checkpoint);
    }
}

const struct checkpoint_meta *checkpoint_meta(const struct checkpoint *checkpoint)
{
    return &checkpoint->manifest.meta;
}

const char *checkpoint_config(const struct checkpoint *checkpoint)
{
    return checkpoint->config;
}

const char *checkpoint_tokenizer(const struct checkpoint *checkpoint)
{
    return checkpoint->tokenizer[0] == '\0' ? NULL : checkpoint->tokenizer;
}

static enum status group_read(const struct checkpoint *checkpoint,
                              const struct parameter_table *table, int64_t group,
                              enum checkpoint_array array, int64_t first, int64_t count, float *out,
                              struct error *error)
{
    char name[SHARD_FILE_NAME_BYTES];
    shard_file_name(name, table, group);
    if (manifest_find(&checkpoint->manifest, name) == NULL) {
        FAIL(error, STATUS_FORMAT, "checkpoint \"%s\" has no %s: it is of another model",
             checkpoint->path, name);
    }
    char path[PATH_BYTES];
    TRY(path_join(path, checkpoint->path, name, error));
    return shard_file_read(path, table, group, array, first, count, out, error);
}

enum status checkpoint_read(const struct checkpoint *checkpoint,
                            const struct parameter_table *table, enum checkpoint_array array,
                            int64_t first, int64_t count, float *out, struct error *error)
{
    INVARIANT(first >= 0 && count >= 0);
    INVARIANT(first <= table->element_count && count <= table->element_count - first);
    memset(out, 0, (size_t)count * sizeof *out); /* padding */
    for (int64_t group = 0; group < table->group_count; group++) {
        const struct parameter_group *const part = &table->groups[group];
        const int64_t begin = part->offset > first ? part->offset : first;
        const int64_t part_end = part->offset + part->count;
        const int64_t end = part_end < first + count ? part_end : first + count;
        if (begin < end) {
            TRY(group_read(checkpoint, table, group, array, begin, end - begin,
                           out + (begin - first), error));
        }
    }
    return STATUS_OK;
}
