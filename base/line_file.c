/* See line_file.h. */
#include "base/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4096 };

/* Where the last whole line of a file ends: behind its last newline. */
static off_t whole_lines(int descriptor, off_t size)
{
    char block[BLOCK_BYTES];
    while (size > 0) {
        const off_t first = (size - 1) / BLOCK_BYTES * BLOCK_BYTES;
        const ssize_t got = pread(descriptor, block, (size_t)(size - first), first);
        const char *const feed = got > 0 ? memrchr(block, '\n', (size_t)got) : NULL;
        if (feed != NULL) {
            return first + (feed - block) + 1;
        }
        if (got <= 0) {
            return size; /* unreadable: leave it */
        }
        size = first;
    }
    return 0;
}

static enum status file_begin(struct line_file *file, struct error *error)
{
    file->descriptor = open(file->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file->descriptor < 0) {
        FAIL(error, STATUS_IO, "could not open \"%s\" to append: %s", file->path, strerror(errno));
    }
    struct stat facts;
    if (fstat(file->descriptor, &facts) == 0 && S_ISREG(facts.st_mode)) {
        const off_t end = whole_lines(file->descriptor, facts.st_size);
        if (end < facts.st_size && ftruncate(file->descriptor, end) != 0) {
            const int reason = errno;
            (void)close(file->descriptor);
            file->descriptor = -1;
            FAIL(error, STATUS_IO, "could not cut off the unfinished line of \"%s\": %s",
                 file->path, strerror(reason));
        }
    }
    return STATUS_OK;
}

enum status line_file_open(struct line_file *file, const char *path, struct error *error)
{
    *file = (struct line_file){.descriptor = -1};
    if (strlen(path) >= sizeof file->path) {
        FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.128s…\"", PATH_BYTES - 1,
             path);
    }
    memcpy(file->path, path, strlen(path) + 1);
    return file_begin(file, error);
}

static void descriptor_drop(struct line_file *file)
{
    if (file->descriptor >= 0) {
        (void)close(file->descriptor);
    }
    file->descriptor = -1;
}

/* Is the open file still the one that the path names? */
static bool file_in_place(const struct line_file *file)
{
    struct stat opened;
    struct stat named;
    return fstat(file->descriptor, &opened) == 0 && stat(file->path, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* Writes all; returns 0 or errno. */
static int bytes_write(int descriptor, const char *text, size_t size_bytes)
{
    for (size_t done = 0; done < size_bytes;) {
        const ssize_t count = write(descriptor, text + done, size_bytes - done);
        if (count < 0 && errno != EINTR) {
            return errno;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    return 0;
}

enum status line_file_append(struct line_file *file, const char *text, size_t size_bytes,
                             struct error *error)
{
    INVARIANT(size_bytes > 0 && text[size_bytes - 1] == '\n');
    if (file->descriptor >= 0 && !file_in_place(file)) {
        descriptor_drop(file); /* what is written there nobody will see */
    }
    if (file->descriptor < 0) {
        TRY(file_begin(file, error));
    }
    struct stat facts;
    if (fstat(file->descriptor, &facts) != 0) {
        FAIL(error, STATUS_IO, "could not inspect \"%s\": %s", file->path, strerror(errno));
    }
    const int reason = bytes_write(file->descriptor, text, size_bytes);
    if (reason != 0) {
        /* If not even this succeeds, opening it again cuts the half line off. */
        (void)!ftruncate(file->descriptor, facts.st_size);
        descriptor_drop(file);
        FAIL(error, STATUS_IO, "could not write \"%s\": %s", file->path, strerror(reason));
    }
    return STATUS_OK;
}

void line_file_close(struct line_file *file)
{
    if (file->path[0] != '\0') {
        descriptor_drop(file);
    }
    *file = (struct line_file){.descriptor = -1};
}
