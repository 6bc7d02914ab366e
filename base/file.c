/* See file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { FOLDER_DEPTH_MAX = 16, FILE_PIECE_BYTES = 1 << 20 };

enum status path_join(char path[PATH_BYTES], const char *folder, const char *name,
                      struct error *error)
{
    const int length = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    if (length < 0 || length >= PATH_BYTES) {
        FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.64s…/%.64s\"", PATH_BYTES - 1,
             folder, name);
    }
    return STATUS_OK;
}

const char *path_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

void path_folder(const char *path, char folder[PATH_BYTES])
{
    const char *const slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (length == 0 || length >= PATH_BYTES) {
        memcpy(folder, ".", 2);
        return;
    }
    memcpy(folder, path, length);
    folder[length] = '\0';
}

enum status path_relative_to_file(char out[PATH_BYTES], const char *from, const char *path,
                                  struct error *error)
{
    char folder[PATH_BYTES];
    path_folder(from, folder);
    if (path[0] == '/' || strcmp(folder, ".") == 0) {
        if (strlen(path) >= PATH_BYTES) {
            FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.64s…\"", PATH_BYTES - 1,
                 path);
        }
        memcpy(out, path, strlen(path) + 1);
        return STATUS_OK;
    }
    return path_join(out, folder, path, error);
}

enum status path_absolute(char out[PATH_BYTES], const char *path, struct error *error)
{
    char here[PATH_BYTES];
    if (path[0] == '/') {
        if (strlen(path) >= PATH_BYTES) {
            FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.64s…\"", PATH_BYTES - 1,
                 path);
        }
        memcpy(out, path, strlen(path) + 1);
        return STATUS_OK;
    }
    if (getcwd(here, sizeof here) == NULL) {
        FAIL(error, STATUS_IO, "could not find the current folder: %s", strerror(errno));
    }
    if (strcmp(path, ".") == 0) {
        memcpy(out, here, strlen(here) + 1);
        return STATUS_OK;
    }
    const char *const rest = strncmp(path, "./", 2) == 0 ? path + 2 : path;
    return path_join(out, strcmp(here, "/") == 0 ? "" : here, rest, error);
}

bool file_exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
}

bool folder_exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

/* Errors that another path would not have met, as opposed to those of the machine. */
static bool path_is_at_fault(int reason)
{
    return reason == ENOENT || reason == ENOTDIR || reason == ELOOP || reason == ENAMETOOLONG ||
           reason == ENXIO;
}

/* Opens for reading and checks that it is a regular file. */
static enum status file_open_read(const char *path, int *descriptor, int64_t *size_bytes,
                                  struct error *error)
{
    const int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait */
    if (opened < 0) {
        FAIL(error, path_is_at_fault(errno) ? STATUS_INPUT : STATUS_IO, "could not open \"%s\": %s",
             path, strerror(errno));
    }
    struct stat facts;
    if (fstat(opened, &facts) != 0) {
        const int reason = errno;
        (void)close(opened);
        FAIL(error, STATUS_IO, "could not inspect \"%s\": %s", path, strerror(reason));
    }
    if (!S_ISREG(facts.st_mode)) {
        (void)close(opened);
        FAIL(error, STATUS_INPUT, "could not read \"%s\": not a regular file", path);
    }
    *descriptor = opened;
    *size_bytes = (int64_t)facts.st_size;
    return STATUS_OK;
}

enum status file_size(const char *path, int64_t *size_bytes, struct error *error)
{
    int descriptor;
    TRY(file_open_read(path, &descriptor, size_bytes, error));
    (void)close(descriptor);
    return STATUS_OK;
}

/* Reads until `size_bytes` or the end; *got says how much there was. */
static enum status descriptor_read(int descriptor, const char *path, void *data, size_t size_bytes,
                                   size_t *got, struct error *error)
{
    *got = 0;
    while (*got < size_bytes) {
        const ssize_t count = read(descriptor, (char *)data + *got, size_bytes - *got);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            FAIL(error, STATUS_IO, "could not read \"%s\" at byte %zu: %s", path, *got,
                 strerror(errno));
        }
        if (count == 0) {
            break;
        }
        *got += (size_t)count;
    }
    return STATUS_OK;
}

enum status file_read(const char *path, size_t size_limit_bytes, char **data, size_t *size_bytes,
                      struct error *error)
{
    int descriptor;
    int64_t expected;
    TRY(file_open_read(path, &descriptor, &expected, error));
    if ((size_t)expected > size_limit_bytes) {
        (void)close(descriptor);
        FAIL(error, STATUS_LIMIT, "could not read \"%s\": %lld bytes, more than the limit of %zu",
             path, (long long)expected, size_limit_bytes);
    }
    char *const content = memory_take((size_t)expected + 1, 1, path);
    size_t got;
    const enum status status =
        descriptor_read(descriptor, path, content, (size_t)expected, &got, error);
    (void)close(descriptor);
    if (status != STATUS_OK) {
        memory_release(content);
        return status;
    }
    content[got] = '\0';
    *data = content;
    *size_bytes = got;
    return STATUS_OK;
}

static enum status descriptor_write(int descriptor, const char *path, const void *data,
                                    size_t size_bytes, struct error *error)
{
    size_t done = 0;
    while (done < size_bytes) {
        const ssize_t count = write(descriptor, (const char *)data + done, size_bytes - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            FAIL(error, STATUS_IO, "could not write \"%s\" at byte %zu: %s", path, done,
                 strerror(errno));
        }
        done += (size_t)count;
    }
    return STATUS_OK;
}

static enum status path_flush(const char *path, int flags, struct error *error)
{
    const int descriptor = open(path, flags | O_CLOEXEC);
    if (descriptor < 0) {
        FAIL(error, STATUS_IO, "could not open \"%s\" to flush it: %s", path, strerror(errno));
    }
    const int result = fsync(descriptor);
    const int reason = errno;
    (void)close(descriptor);
    /* EINVAL: a file system without fsync on folders; nothing more can be done there. */
    if (result != 0 && reason != EINVAL) {
        FAIL(error, STATUS_IO, "could not flush \"%s\": %s", path, strerror(reason));
    }
    return STATUS_OK;
}

enum status file_flush(const char *path, struct error *error)
{
    return path_flush(path, O_RDONLY, error);
}

enum status folder_flush(const char *path, struct error *error)
{
    return path_flush(path, O_RDONLY | O_DIRECTORY, error);
}

enum status file_rename(const char *from, const char *to, struct error *error)
{
    if (rename(from, to) != 0) {
        FAIL(error, STATUS_IO, "could not rename \"%s\" to \"%s\": %s", from, to, strerror(errno));
    }
    return STATUS_OK;
}

enum status file_remove(const char *path, struct error *error)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        FAIL(error, STATUS_IO, "could not remove \"%s\": %s", path, strerror(errno));
    }
    return STATUS_OK;
}

static enum status file_write_flushed(const char *path, mode_t mode,
                                      const struct file_piece *pieces, int64_t count,
                                      struct error *error)
{
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (descriptor < 0) {
        FAIL(error, STATUS_IO, "could not create \"%s\": %s", path, strerror(errno));
    }
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < count && status == STATUS_OK; i++) {
        status = descriptor_write(descriptor, path, pieces[i].data, pieces[i].size_bytes, error);
    }
    if (status == STATUS_OK && fsync(descriptor) != 0) {
        status = error_set(error, STATUS_IO, "could not flush \"%s\": %s", path, strerror(errno));
    }
    if (close(descriptor) != 0 && status == STATUS_OK) {
        status = error_set(error, STATUS_IO, "could not close \"%s\": %s", path, strerror(errno));
    }
    return status;
}

static enum status file_replace(const char *path, mode_t mode, const struct file_piece *pieces,
                                int64_t count, struct error *error)
{
    char temporary[PATH_BYTES];
    const int length = snprintf(temporary, sizeof temporary, "%s.tmp-%ld", path, (long)getpid());
    if (length < 0 || length >= PATH_BYTES) {
        FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.128s…\"", PATH_BYTES - 1,
             path);
    }
    enum status status = file_write_flushed(temporary, mode, pieces, count, error);
    if (status == STATUS_OK) {
        status = file_rename(temporary, path, error);
    }
    if (status != STATUS_OK) {
        (void)unlink(temporary);
        return status;
    }
    char folder[PATH_BYTES];
    path_folder(path, folder);
    return folder_flush(folder, error);
}

enum status file_write_durable_pieces(const char *path, const struct file_piece *pieces,
                                      int64_t count, struct error *error)
{
    return file_replace(path, 0644, pieces, count, error);
}

enum status file_write_private(const char *path, const void *data, size_t size_bytes,
                               struct error *error)
{
    return file_replace(path, 0600, &(struct file_piece){data, size_bytes}, 1, error);
}

enum status file_write_durable(const char *path, const void *data, size_t size_bytes,
                               struct error *error)
{
    return file_write_durable_pieces(path, &(struct file_piece){data, size_bytes}, 1, error);
}

enum status folder_make(const char *path, struct error *error)
{
    char partial[PATH_BYTES];
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof partial) {
        FAIL(error, STATUS_INPUT, "could not make folder \"%.128s\": empty or too long a path",
             path);
    }
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(partial, path, i);
        partial[i] = '\0';
        const int reason = mkdir(partial, 0755) == 0 ? 0 : errno; /* folder_exists changes errno */
        if (reason != 0 && !folder_exists(partial)) {
            const bool given = path_is_at_fault(reason) || reason == EEXIST;
            FAIL(error, given ? STATUS_INPUT : STATUS_IO, "could not make folder \"%s\": %s",
                 partial, strerror(reason));
        }
    }
    return STATUS_OK;
}

static enum status folder_remove_at(const char *path, int depth, struct error *error)
{
    if (depth > FOLDER_DEPTH_MAX) {
        FAIL(error, STATUS_LIMIT, "could not remove \"%s\": more than %d folders deep", path,
             FOLDER_DEPTH_MAX);
    }
    struct folder_list list;
    TRY(folder_list_open(&list, path, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        char inner[PATH_BYTES];
        status = path_join(inner, path, list.names[i], error);
        struct stat facts;
        if (status != STATUS_OK || lstat(inner, &facts) != 0) {
            continue;
        }
        status = S_ISDIR(facts.st_mode) ? folder_remove_at(inner, depth + 1, error)
                                        : file_remove(inner, error);
    }
    folder_list_close(&list);
    if (status == STATUS_OK && rmdir(path) != 0 && errno != ENOENT) {
        status = error_set(error, STATUS_IO, "could not remove folder \"%s\": %s", path,
                           strerror(errno));
    }
    return status;
}

enum status folder_remove(const char *path, struct error *error)
{
    struct stat facts;
    if (lstat(path, &facts) != 0) {
        if (path_is_at_fault(errno)) {
            return STATUS_OK; /* nothing can be there */
        }
        FAIL(error, STATUS_IO, "could not look at \"%s\": %s", path, strerror(errno));
    }
    if (S_ISLNK(facts.st_mode)) {
        return file_remove(path, error); /* what it points to lies elsewhere, and is not ours */
    }
    return folder_remove_at(path, 0, error);
}

enum status file_digest(const char *path, struct digest *digest, int64_t *size_bytes,
                        struct error *error)
{
    int descriptor;
    int64_t expected;
    TRY(file_open_read(path, &descriptor, &expected, error));
    unsigned char *const piece = memory_take(FILE_PIECE_BYTES, 1, "file digest");
    struct digest_stream stream;
    digest_stream_init(&stream);
    int64_t total = 0;
    size_t got;
    enum status status;
    do {
        status = descriptor_read(descriptor, path, piece, FILE_PIECE_BYTES, &got, error);
        if (status == STATUS_OK) {
            digest_stream_add(&stream, piece, got);
            total += (int64_t)got;
        }
    } while (status == STATUS_OK && got == FILE_PIECE_BYTES);
    *digest = digest_stream_value(&stream);
    *size_bytes = total;
    digest_stream_deinit(&stream);
    memory_release(piece);
    (void)close(descriptor);
    return status;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status folder_list_open(struct folder_list *list, const char *path, struct error *error)
{
    DIR *const folder = opendir(path);
    if (folder == NULL) {
        const enum status status = path_is_at_fault(errno) ? STATUS_INPUT : STATUS_IO;
        FAIL(error, status, "could not list folder \"%s\": %s", path, strerror(errno));
    }
    *list = (struct folder_list){0};
    void *names = NULL;
    size_t capacity = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        memory_reserve(&names, &capacity, (size_t)list->count + 1, sizeof *list->names,
                       "folder list");
        ((char **)names)[list->count++] = memory_text(entry->d_name);
    }
    (void)closedir(folder);
    list->names = names;
    if (list->count > 0) {
        qsort(list->names, (size_t)list->count, sizeof *list->names, name_compare);
    }
    return STATUS_OK;
}

void folder_list_close(struct folder_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        memory_release(list->names[i]);
    }
    memory_release((void *)list->names);
    *list = (struct folder_list){0};
}

enum status file_map_open(struct file_map *map, const char *path, struct error *error)
{
    int descriptor;
    int64_t size;
    TRY(file_open_read(path, &descriptor, &size, error));
    *map = (struct file_map){.size_bytes = (size_t)size};
    if (size > 0) {
        void *const data = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, descriptor, 0);
        const int reason = errno;
        if (data == MAP_FAILED) {
            (void)close(descriptor);
            FAIL(error, STATUS_IO, "could not map \"%s\": %s", path, strerror(reason));
        }
        map->data = data;
    }
    (void)close(descriptor);
    return STATUS_OK;
}

void file_map_close(struct file_map *map)
{
    if (map->data != NULL) {
        union { /* munmap takes a pointer to non-const for memory that was never writable */
            const unsigned char *seen;
            void *mapped;
        } pointer = {.seen = map->data};
        (void)munmap(pointer.mapped, map->size_bytes);
    }
    *map = (struct file_map){0};
}

enum status file_reader_open(struct file_reader *reader, const char *path, struct error *error)
{
    *reader = (struct file_reader){.descriptor = -1, .path = path};
    return file_open_read(path, &reader->descriptor, &reader->size_bytes, error);
}

enum status file_reader_next(struct file_reader *reader, void *data, size_t size_bytes, size_t *got,
                             struct error *error)
{
    TRY(descriptor_read(reader->descriptor, reader->path, data, size_bytes, got, error));
    reader->position_bytes += (int64_t)*got;
    return STATUS_OK;
}

void file_reader_close(struct file_reader *reader)
{
    if (reader->descriptor >= 0) {
        (void)close(reader->descriptor);
    }
    reader->descriptor = -1;
}
