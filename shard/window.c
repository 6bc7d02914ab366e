/* See window.h. The barrier is a generation counter on a Linux futex. */
#include "shard/window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { WINDOW_NAME_BYTES = 64 };

/* Makes the segment and takes its pages now, so that a lack of memory is an error here and not a
 * SIGBUS later. */
static enum status segment_make(const char *name, size_t size_bytes, const char *purpose,
                                int *descriptor, struct error *error)
{
    const int made = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (made < 0) {
        FAIL(error, STATUS_IO, "could not make shared memory \"%s\" for %s: %s", name, purpose,
             strerror(errno));
    }
    const int reason = posix_fallocate(made, 0, (off_t)size_bytes);
    if (reason != 0) {
        (void)close(made);
        (void)shm_unlink(name);
        FAIL(error, STATUS_IO,
             "could not take %.1f MB of shared memory for %s: %s (see df -h /dev/shm)",
             (double)size_bytes / 1e6, purpose, strerror(reason));
    }
    *descriptor = made;
    return STATUS_OK;
}

static enum status segment_map(struct window *window, const char *name, int made, size_t size_bytes,
                               const char *purpose, struct error *error)
{
    const int descriptor = made >= 0 ? made : shm_open(name, O_RDWR | O_CLOEXEC, 0);
    if (descriptor < 0) {
        FAIL(error, STATUS_IO, "could not open shared memory \"%s\" for %s: %s", name, purpose,
             strerror(errno));
    }
    void *const data = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    const int reason = errno;
    (void)close(descriptor);
    if (data == MAP_FAILED) {
        FAIL(error, STATUS_IO, "could not map %.1f MB of shared memory for %s: %s",
             (double)size_bytes / 1e6, purpose, strerror(reason));
    }
    *window = (struct window){.data = data, .size_bytes = size_bytes};
    return STATUS_OK;
}

enum status window_open(struct window *window, struct fabric_group *node, size_t size_bytes,
                        const char *purpose, struct error *error)
{
    *window = (struct window){0};
    char name[WINDOW_NAME_BYTES] = {0};
    int made = -1;
    enum status status = STATUS_OK;
    if (fabric_rank(node) == 0) {
        (void)snprintf(name, sizeof name, "/shardlm-%ld-%llx", (long)getpid(),
                       (unsigned long long)clock_now_ns());
        status = segment_make(name, size_bytes, purpose, &made, error);
    }
    TRY(fabric_agree(node, status, error));
    TRY(fabric_broadcast(node, 0, name, sizeof name, error));
    status = segment_map(window, name, made, size_bytes, purpose, error);
    status = fabric_agree(node, status, error);
    if (fabric_rank(node) == 0) {
        (void)shm_unlink(name);
    }
    return status;
}

void window_close(struct window *window)
{
    if (window->data != NULL) {
        (void)munmap(window->data, window->size_bytes);
    }
    *window = (struct window){0};
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
