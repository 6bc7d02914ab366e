/* See folder_copy.h. */
#include "checkpoints/folder_copy.h"

#include "base/memory.h"

static const size_t copy_bytes_max = (size_t)1 << 30;

enum status file_write_checked(const char *path, const void *data, size_t size_bytes,
                               struct error *error)
{
    TRY(file_write_durable(path, data, size_bytes, error));
    struct digest digest;
    int64_t size;
    TRY(file_digest(path, &digest, &size, error));
    if (!digest_equal(digest, digest_bytes(data, size_bytes))) {
        FAIL(error, STATUS_IO, "\"%s\" does not read back as it was written", path);
    }
    return STATUS_OK;
}

static enum status file_copy(const char *from, const char *to, struct error *error)
{
    char *data;
    size_t size_bytes;
    TRY(file_read(from, copy_bytes_max, &data, &size_bytes, error));
    const enum status status = file_write_checked(to, data, size_bytes, error);
    memory_release(data);
    return status;
}

static enum status entry_copy(const char *from, const char *to, const char *name,
                              struct error *error)
{
    char source[PATH_BYTES];
    char target[PATH_BYTES];
    TRY(path_join(source, from, name, error));
    TRY(path_join(target, to, name, error));
    return file_exists(source) ? file_copy(source, target, error) : STATUS_OK;
}

enum status folder_copy(const char *from, const char *to, struct error *error)
{
    TRY(folder_make(to, error));
    struct folder_list list;
    TRY(folder_list_open(&list, from, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        status = entry_copy(from, to, list.names[i], error);
    }
    folder_list_close(&list);
    TRY(status);
    return folder_flush(to, error);
}
