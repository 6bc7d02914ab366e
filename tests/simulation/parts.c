/* Stands in for checkpoints/shard_file.c and state_file.c: parts and view without HDF5, which makes
 * its system calls where no linker comes between. A part is its three arrays and their digest,
 * written and flushed as the real one is. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "checkpoints/shard_file.h"
#include "checkpoints/state_file.h"

const char *checkpoint_array_name(enum checkpoint_array array)
{
    static const char *const names[CHECKPOINT_ARRAY_COUNT] = {"weights", "adamw/first",
                                                              "adamw/second"};
    return names[array];
}

void shard_file_name(char name[SHARD_FILE_NAME_BYTES], const struct parameter_table *table,
                     int64_t group)
{
    (void)snprintf(name, SHARD_FILE_NAME_BYTES, "parts/%.128s.h5", table->groups[group].name);
}

static enum status bytes_write(const char *path, const void *data, size_t size_bytes,
                               struct error *error)
{
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const bool written =
        descriptor >= 0 && write(descriptor, data, size_bytes) > 0 && fsync(descriptor) == 0;
    if (descriptor >= 0) {
        (void)close(descriptor);
    }
    if (!written) {
        struct error ignored;
        (void)!file_remove(path, &ignored);
        FAIL(error, STATUS_IO, "could not write a tensor to \"%s\"", path);
    }
    return STATUS_OK;
}

enum status shard_file_write(const char *path, const struct parameter_table *table, int64_t group,
                             const float *const arrays[CHECKPOINT_ARRAY_COUNT], struct error *error)
{
    const size_t array_bytes = (size_t)table->groups[group].count * sizeof(float);
    const size_t size_bytes = CHECKPOINT_ARRAY_COUNT * array_bytes + sizeof(struct digest);
    unsigned char *const bytes = memory_take(size_bytes, 1, "simulated part");
    for (size_t i = 0; i < CHECKPOINT_ARRAY_COUNT; i++) {
        memcpy(bytes + i * array_bytes, arrays[i], array_bytes);
    }
    const struct digest digest = digest_bytes(bytes, size_bytes - sizeof digest);
    memcpy(bytes + size_bytes - sizeof digest, &digest, sizeof digest);
    const enum status status = bytes_write(path, bytes, size_bytes, error);
    memory_release(bytes);
    return status;
}

static enum status part_read(const char *path, const struct parameter_table *table, int64_t group,
                             char **bytes, struct error *error)
{
    const size_t expected =
        CHECKPOINT_ARRAY_COUNT * (size_t)table->groups[group].count * sizeof(float) +
        sizeof(struct digest);
    size_t size_bytes;
    TRY(file_read(path, expected, bytes, &size_bytes, error));
    struct digest digest = {0};
    const bool whole = size_bytes == expected;
    if (whole) {
        memcpy(&digest, *bytes + size_bytes - sizeof digest, sizeof digest);
    }
    if (!whole || !digest_equal(digest, digest_bytes(*bytes, size_bytes - sizeof digest))) {
        memory_release(*bytes);
        FAIL(error, STATUS_FORMAT, "\"%s\": a tensor does not have its digest", path);
    }
    return STATUS_OK;
}

enum status shard_file_check(const char *path, const struct parameter_table *table, int64_t group,
                             struct error *error)
{
    char *bytes;
    TRY(part_read(path, table, group, &bytes, error));
    memory_release(bytes);
    return STATUS_OK;
}

enum status shard_file_read(const char *path, const struct parameter_table *table, int64_t group,
                            enum checkpoint_array array, int64_t first, int64_t count, float *out,
                            struct error *error)
{
    char *bytes;
    TRY(part_read(path, table, group, &bytes, error));
    const struct parameter_group *const place = &table->groups[group];
    const size_t offset = (size_t)(array * place->count + first - place->offset) * sizeof(float);
    memcpy(out, bytes + offset, (size_t)count * sizeof *out);
    memory_release(bytes);
    return STATUS_OK;
}

enum status state_file_write(const char *path, const struct parameter_table *table,
                             const struct checkpoint_meta *meta, struct error *error)
{
    (void)table;
    return bytes_write(path, meta, sizeof meta->step, error);
}
