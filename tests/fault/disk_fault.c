/* A disk that fails on demand, for programs that know nothing of it (HDF5 and all ranks of a job
 * among them): a library for LD_PRELOAD that stands between a program and the calls that change
 * files, counts those under one folder over all processes, and lets the chosen one fail.
 *
 *     DISK_FAULT_UNDER   paths that begin so count (several: separated by ":")
 *     DISK_FAULT_COUNT   a file of 8 bytes that the processes share: calls so far
 *     DISK_FAULT_KIND    ENOSPC, EIO, EROFS, ESTALE, EDQUOT: the call fails with it; short: a write
 * does half of its work; slow: every call takes DISK_FAULT_MS longer DISK_FAULT_AT      number of
 * the call, from 0; none: nothing fails DISK_FAULT_LASTS   1: so do all calls behind it, as on a
 * disk that stays full (removing works) DISK_FAULT_LOG     a file to which each call is added:
 * "NUMBER CALL PATH"
 *
 * fsync and fdatasync only pretend: the tests are about what is reported, not about power cuts. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum act { ACT_PASS, ACT_FAIL, ACT_SHORT };

static bool path_counts(const char *path)
{
    const char *under = getenv("DISK_FAULT_UNDER");
    while (under != NULL && *under != '\0') {
        const size_t length = strcspn(under, ":");
        if (length > 0 && strncmp(path, under, length) == 0) {
            return true;
        }
        under += length + (under[length] == ':' ? 1 : 0);
    }
    return false;
}

/* Absolute, so that a prefix decides; links stay. */
static void path_whole(int folder, const char *path, char whole[PATH_MAX])
{
    char link[64];
    ssize_t length = 0;
    if (path[0] != '/') {
        if (folder == AT_FDCWD) {
            (void)snprintf(link, sizeof link, "/proc/self/cwd");
        } else {
            (void)snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        }
        length = readlink(link, whole, PATH_MAX / 2);
        length = length < 0 ? 0 : length;
        whole[length++] = '/';
    }
    const char *const rest = strncmp(path, "./", 2) == 0 ? path + 2 : path;
    (void)snprintf(whole + length, (size_t)(PATH_MAX - length), "%s", rest);
}

static void path_open(int descriptor, char path[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = '\0';
}

/* The next number, over all processes. */
static int64_t number_take(void)
{
    const char *const path = getenv("DISK_FAULT_COUNT");
    const int descriptor =
        path == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        return -1;
    }
    void *const shared =
        mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    (void)syscall(SYS_close, descriptor);
    if (shared == MAP_FAILED) {
        return -1;
    }
    const int64_t number = atomic_fetch_add((_Atomic int64_t *)shared, 1);
    (void)munmap(shared, sizeof(int64_t));
    return number;
}

static void call_log(int64_t number, const char *call, const char *path)
{
    const char *const log = getenv("DISK_FAULT_LOG");
    char line[PATH_MAX + 64];
    const int length = snprintf(line, sizeof line, "%lld %s %s\n", (long long)number, call, path);
    const int descriptor = log == NULL
                               ? -1
                               : (int)syscall(SYS_openat, AT_FDCWD, log,
                                              O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor >= 0) {
        (void)syscall(SYS_write, descriptor, line, (size_t)length);
        (void)syscall(SYS_close, descriptor);
    }
}

static int kind_errno(const char *kind)
{
    static const struct {
        const char *name;
        int value;
    } kinds[] = {
        {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EROFS", EROFS}, {"ESTALE", ESTALE}, {"EDQUOT", EDQUOT}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i].name) == 0) {
            return kinds[i].value;
        }
    }
    return 0;
}

/* What is to become of this call? errno is set where it fails. */
static enum act call_judge(const char *call, const char *path, bool writes)
{
    if (!path_counts(path)) {
        return ACT_PASS;
    }
    const int64_t number = number_take();
    call_log(number, call, path);
    const char *const kind = getenv("DISK_FAULT_KIND");
    const char *const at = getenv("DISK_FAULT_AT");
    const char *const pause = getenv("DISK_FAULT_MS");
    if (kind == NULL) {
        return ACT_PASS;
    }
    if (strcmp(kind, "slow") == 0 && pause != NULL) {
        const long ms = strtol(pause, NULL, 10);
        const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        (void)nanosleep(&time, NULL);
        return ACT_PASS;
    }
    if (at == NULL) {
        return ACT_PASS;
    }
    const int64_t chosen = strtoll(at, NULL, 10);
    const char *const lasts = getenv("DISK_FAULT_LASTS");
    const bool removes = strcmp(call, "unlink") == 0 || strcmp(call, "rmdir") == 0;
    const bool later = number > chosen && lasts != NULL && *lasts == '1' && !removes;
    if (number != chosen && !later) {
        return ACT_PASS;
    }
    if (strcmp(kind, "short") == 0) {
        return writes ? ACT_SHORT : ACT_PASS;
    }
    errno = kind_errno(kind);
    return errno == 0 ? ACT_PASS : ACT_FAIL;
}

static enum act open_call_judge(const char *call, int descriptor, bool writes)
{
    char path[PATH_MAX];
    const int before = errno;
    path_open(descriptor, path);
    errno = before;
    return call_judge(call, path, writes);
}

static enum act path_call_judge(const char *call, int folder, const char *path)
{
    char whole[PATH_MAX];
    path_whole(folder, path, whole);
    return call_judge(call, whole, false);
}

static size_t part(enum act act, size_t size_bytes)
{
    return act == ACT_SHORT && size_bytes > 1 ? size_bytes / 2 : size_bytes;
}

ssize_t write(int descriptor, const void *data, size_t size_bytes)
{
    const enum act act = descriptor <= 2 ? ACT_PASS : open_call_judge("write", descriptor, true);
    return act == ACT_FAIL ? -1 : syscall(SYS_write, descriptor, data, part(act, size_bytes));
}

ssize_t pwrite64(int descriptor, const void *data, size_t size_bytes, off64_t offset)
{
    const enum act act = open_call_judge("pwrite", descriptor, true);
    return act == ACT_FAIL ? -1
                           : syscall(SYS_pwrite64, descriptor, data, part(act, size_bytes), offset);
}

ssize_t pwrite(int descriptor, const void *data, size_t size_bytes, off_t offset)
{
    return pwrite64(descriptor, data, size_bytes, offset);
}

int ftruncate64(int descriptor, off64_t size_bytes)
{
    return open_call_judge("ftruncate", descriptor, false) == ACT_FAIL
               ? -1
               : (int)syscall(SYS_ftruncate, descriptor, size_bytes);
}

int ftruncate(int descriptor, off_t size_bytes)
{
    return ftruncate64(descriptor, size_bytes);
}

int fsync(int descriptor)
{
    return open_call_judge("fsync", descriptor, false) == ACT_FAIL ? -1 : 0;
}

int fdatasync(int descriptor)
{
    return open_call_judge("fdatasync", descriptor, false) == ACT_FAIL ? -1 : 0;
}

/* Opening to write; opening to read changes nothing. */
static int open_at(int folder, const char *path, int flags, mode_t mode)
{
    const bool changes = (flags & O_ACCMODE) != O_RDONLY;
    if (changes && path_call_judge("open", folder, path) == ACT_FAIL) {
        return -1;
    }
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

static mode_t mode_take(int flags, va_list arguments)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t)
                                                                      : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_take(flags, arguments);
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_take(flags, arguments);
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}

int rename(const char *from, const char *to)
{
    return path_call_judge("rename", AT_FDCWD, from) == ACT_FAIL
               ? -1
               : (int)syscall(SYS_rename, from, to);
}

int mkdir(const char *path, mode_t mode)
{
    return path_call_judge("mkdir", AT_FDCWD, path) == ACT_FAIL
               ? -1
               : (int)syscall(SYS_mkdir, path, mode);
}

int unlink(const char *path)
{
    return path_call_judge("unlink", AT_FDCWD, path) == ACT_FAIL ? -1
                                                                 : (int)syscall(SYS_unlink, path);
}

int rmdir(const char *path)
{
    return path_call_judge("rmdir", AT_FDCWD, path) == ACT_FAIL ? -1
                                                                : (int)syscall(SYS_rmdir, path);
}
