/* See window.h. The barrier is a generation counter on a Linux futex. */
#include "shard/window.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static const char window_folder[] = "/dev/shm";

enum {
    WINDOW_PATH_BYTES = 96,
    LOCK_POLL_NS = 20000000,
    LARGE_PAGE_BYTES = 2 << 20,
};

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older ones say EINVAL */
#endif

static void window_path(char path[WINDOW_PATH_BYTES], const char *name)
{
    (void)snprintf(path, WINDOW_PATH_BYTES, "%s/%.63s", window_folder, name);
}

/* Maps the file where its large pages are large pages of the process, too: at a multiple of their
 * size. */
static void *large_map(int descriptor, size_t size_bytes)
{
    const size_t room = size_bytes + LARGE_PAGE_BYTES;
    unsigned char *const found = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) {
        return MAP_FAILED;
    }
    const size_t before = (0 - (uintptr_t)found) % LARGE_PAGE_BYTES;
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t mapped = (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
    unsigned char *const place = found + before;
    void *const data =
        mmap(place, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0);
    if (data == MAP_FAILED) {
        const int reason = errno;
        (void)munmap(found, room);
        errno = reason;
        return MAP_FAILED;
    }
    if (before > 0) {
        (void)munmap(found, before);
    }
    (void)munmap(place + mapped, room - before - mapped);
    return data;
}

/* Takes over `descriptor`. */
static enum status window_map(struct window *window, int descriptor, size_t size_bytes,
                              const char *purpose, struct error *error)
{
    void *const data = large_map(descriptor, size_bytes);
    if (data == MAP_FAILED || flock(descriptor, LOCK_SH | LOCK_NB) != 0) {
        const int reason = errno;
        (void)close(descriptor);
        FAIL(error, STATUS_IO, "could not map %.1f MB of shared memory for %s: %s",
             (double)size_bytes / 1e6, purpose, strerror(reason));
    }
    *window = (struct window){.data = data, .size_bytes = size_bytes, .descriptor = descriptor};
    return STATUS_OK;
}

/* Another worker's open file, by way of /proc: the file has no name. */
static enum status window_join(struct window *window, const char *path, size_t size_bytes,
                               const char *purpose, struct error *error)
{
    const int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        FAIL(error, STATUS_IO, "could not open shared memory \"%s\" for %s: %s", path, purpose,
             strerror(errno));
    }
    return window_map(window, descriptor, size_bytes, purpose, error);
}

static enum status window_make(struct window *window, size_t size_bytes, const char *purpose,
                               struct error *error)
{
    const int descriptor = open(window_folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor < 0 || ftruncate(descriptor, (off_t)size_bytes) != 0) {
        const int reason = errno;
        if (descriptor >= 0) {
            (void)close(descriptor);
        }
        FAIL(error, STATUS_IO, "could not make shared memory in %s for %s: %s", window_folder,
             purpose, strerror(reason));
    }
    return window_map(window, descriptor, size_bytes, purpose, error);
}

enum status window_open(struct window *window, struct fabric_group *node, size_t size_bytes,
                        const char *purpose, struct error *error)
{
    *window = (struct window){0};
    char path[WINDOW_PATH_BYTES] = {0};
    enum status status = STATUS_OK;
    if (fabric_rank(node) == 0) {
        status = window_make(window, size_bytes, purpose, error);
        (void)snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getpid(), window->descriptor);
    }
    TRY(fabric_agree(node, status, error));
    TRY(fabric_broadcast(node, 0, path, sizeof path, error));
    if (fabric_rank(node) != 0) {
        status = window_join(window, path, size_bytes, purpose, error);
    }
    return fabric_agree(node, status, error);
}

/* Opens a kept window once nobody else has it; -1 if that cannot be. */
static int window_claim(const char *path, size_t size_bytes, double limit_seconds)
{
    const int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat facts;
    if (descriptor < 0) {
        return -1;
    }
    const int64_t start_ns = clock_now_ns();
    bool claimed = false;
    while (!(claimed = flock(descriptor, LOCK_EX | LOCK_NB) == 0) &&
           clock_seconds_since(start_ns) < limit_seconds) {
        clock_sleep(LOCK_POLL_NS * 1e-9);
    }
    if (!claimed || fstat(descriptor, &facts) != 0 || facts.st_uid != geteuid() ||
        facts.st_size != (off_t)size_bytes) {
        (void)close(descriptor);
        return -1;
    }
    return descriptor;
}

enum status window_adopt(struct window *window, struct fabric_group *node, const char *name,
                         size_t size_bytes, double limit_seconds, bool *found, struct error *error)
{
    *window = (struct window){0};
    char path[WINDOW_PATH_BYTES];
    window_path(path, name);
    int64_t present = 1;
    enum status status = STATUS_OK;
    if (fabric_rank(node) == 0) {
        const int claimed = window_claim(path, size_bytes, limit_seconds);
        present = claimed >= 0 ? 1 : 0;
        status = present == 1 ? window_map(window, claimed, size_bytes, "the run's state", error)
                              : STATUS_OK;
    }
    TRY(fabric_agree(node, status, error));
    TRY(fabric_broadcast(node, 0, &present, sizeof present, error));
    *found = present == 1;
    if (*found && fabric_rank(node) != 0) {
        status = window_join(window, path, size_bytes, "the run's state", error);
    }
    return fabric_agree(node, status, error);
}

/* Takes large pages for what is new: one small page each, which the system then makes a large one
 * of. It may decline; window_reserve takes small ones for what is left. */
static void large_take(const struct window *window, size_t first_byte, size_t size_bytes)
{
    const size_t first = (first_byte + LARGE_PAGE_BYTES - 1) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
    const size_t end = (first_byte + size_bytes) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
    for (size_t page = first; page < end; page += LARGE_PAGE_BYTES) {
        if (posix_fallocate(window->descriptor, (off_t)page, 1) != 0) {
            return;
        }
    }
    if (first < end) {
        (void)madvise(window->data + first, end - first, MADV_COLLAPSE);
    }
}

enum status window_reserve(const struct window *window, size_t first_byte, size_t size_bytes,
                           const char *purpose, struct error *error)
{
    if (window->large) {
        large_take(window, first_byte, size_bytes);
    }
    const int reason =
        size_bytes == 0 ? 0
                        : posix_fallocate(window->descriptor, (off_t)first_byte, (off_t)size_bytes);
    if (reason != 0) {
        FAIL(error, STATUS_IO, "could not take %.1f MB of shared memory for %s: %s (see df -h %s)",
             (double)size_bytes / 1e6, purpose, strerror(reason), window_folder);
    }
    return STATUS_OK;
}

enum status window_vacate(const struct window *window, size_t first_byte, size_t size_bytes,
                          struct error *error)
{
    if (size_bytes > 0 && fallocate(window->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    (off_t)first_byte, (off_t)size_bytes) != 0) {
        FAIL(error, STATUS_IO, "could not give back %.1f MB of shared memory: %s",
             (double)size_bytes / 1e6, strerror(errno));
    }
    return STATUS_OK;
}

int64_t window_taken_bytes(const struct window *window)
{
    enum { STAT_BLOCK_BYTES = 512 };
    struct stat facts;
    return window->data != NULL && fstat(window->descriptor, &facts) == 0
               ? (int64_t)facts.st_blocks * STAT_BLOCK_BYTES
               : 0;
}

enum status window_keep(const struct window *window, const char *name, struct error *error)
{
    char path[WINDOW_PATH_BYTES];
    char own[WINDOW_PATH_BYTES];
    window_path(path, name);
    (void)snprintf(own, sizeof own, "/proc/self/fd/%d", window->descriptor);
    if (linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0) {
        FAIL(error, STATUS_IO, "could not name shared memory \"%s\": %s", path, strerror(errno));
    }
    return STATUS_OK;
}

void window_close(struct window *window)
{
    if (window->data != NULL) {
        (void)munmap(window->data, window->size_bytes);
        (void)close(window->descriptor);
    }
    *window = (struct window){0};
}

int64_t window_remove(const char *prefix)
{
    int64_t count = 0;
    DIR *const folder = opendir(window_folder);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char path[WINDOW_PATH_BYTES];
        window_path(path, entry->d_name);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && unlink(path) == 0) {
            count++;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count;
}

enum status window_barrier_wait(struct window_barrier *barrier, int64_t count, double limit_seconds,
                                const char *what, struct error *error)
{
    const uint32_t generation = atomic_load(&barrier->generation);
    const uint32_t arrived = atomic_fetch_add(&barrier->arrived, 1) + 1;
    if (arrived == (uint32_t)count) {
        atomic_store(&barrier->arrived, 0);
        atomic_store(&barrier->generation, generation + 1);
        (void)syscall(SYS_futex, &barrier->generation, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
        return STATUS_OK;
    }
    const int64_t start_ns = clock_now_ns();
    while (atomic_load(&barrier->generation) == generation) {
        const struct timespec second = {.tv_sec = 1, .tv_nsec = 0};
        (void)syscall(SYS_futex, &barrier->generation, FUTEX_WAIT, generation, &second, NULL, 0);
        if (clock_seconds_since(start_ns) > limit_seconds &&
            atomic_load(&barrier->generation) == generation) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for workers of this node at \"%s\": %u of %lld came",
                 clock_seconds_since(start_ns), what, atomic_load(&barrier->arrived),
                 (long long)count);
        }
    }
    return STATUS_OK;
}
