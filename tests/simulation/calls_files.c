/* The system's calls on files, as the program makes them (the linker's --wrap sends them here):
 * those with paths and descriptors of the simulation act on disk.h, all others go on to the system.
 * A process may die in the middle of a write, and between any two calls. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "tests/simulation/calls.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/machine.h"
#include "tests/simulation/mutant.h"

enum { DESCRIPTOR_FIRST = 1000, STAT_BLOCK_BYTES = 512 };

static struct open_file *file_of(int descriptor)
{
    const int index = descriptor - DESCRIPTOR_FIRST;
    return index < 0 || index >= MACHINE_DESCRIPTORS_MAX || machine_process() == NULL
               ? NULL
               : machine_process()->files[index];
}

static int descriptor_take(struct open_file *file)
{
    struct open_file **const files = machine_process()->files;
    for (int i = 0; i < MACHINE_DESCRIPTORS_MAX; i++) {
        if (files[i] == NULL) {
            files[i] = file;
            return DESCRIPTOR_FIRST + i;
        }
    }
    INVARIANT(false);
    return -1;
}

static int fail(int reason)
{
    errno = reason;
    return -1;
}

/* A call that changes what is stored: 0, or why it fails just now. Memory of a node never does. */
static int change_begin(const char *call, const struct inode *inode)
{
    machine_point(call);
    return inode != NULL && inode->node != DISK_NODE_SHARED ? 0 : disk_failure();
}

/* The file at the path, made if the flags say so. */
static struct inode *file_place(const char *path, int flags)
{
    struct inode *inode = disk_find(path);
    const char *name;
    struct inode *const folder = inode == NULL ? disk_parent(path, &name) : NULL;
    if (inode == NULL && folder != NULL && (flags & O_CREAT) != 0) {
        if (folder->node == DISK_NODE_SHARED && disk_failure() != 0) {
            errno = disk_failure();
            return NULL;
        }
        inode = disk_make(folder->node, false);
        disk_change(folder, "", name, inode);
    }
    if (inode == NULL) {
        errno = ENOENT;
    } else if (inode->is_folder && (flags & O_ACCMODE) != O_RDONLY) {
        errno = EISDIR;
        return NULL;
    } else if ((flags & O_TRUNC) != 0) {
        inode->size_bytes = 0;
    }
    return inode;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    const unsigned mode = makes ? va_arg(arguments, unsigned) : 0;
    va_end(arguments);
    if (machine_process() == NULL || !disk_is_path(path)) {
        return __real_open(path, flags, mode);
    }
    machine_point("open");
    struct inode *inode;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        inode = disk_make(machine_process()->node, false);
    } else {
        inode = file_place(path, flags);
    }
    if (inode == NULL) {
        return -1;
    }
    struct open_file *const file = disk_file_open(inode);
    file->appends = (flags & O_APPEND) != 0;
    return descriptor_take(file);
}

int __wrap_close(int descriptor)
{
    struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_close(descriptor);
    }
    machine_process()->files[descriptor - DESCRIPTOR_FIRST] = NULL;
    disk_file_close(file);
    machine_point("close");
    return 0;
}

ssize_t __wrap_read(int descriptor, void *data, size_t size_bytes)
{
    struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_read(descriptor, data, size_bytes);
    }
    machine_point("read");
    const struct inode *const inode = file->inode;
    const size_t left = inode->size_bytes > file->position ? inode->size_bytes - file->position : 0;
    const size_t count = size_bytes < left ? size_bytes : left;
    memcpy(data, count == 0 ? data : inode->data + file->position, count);
    file->position += count;
    return (ssize_t)count;
}

static void bytes_put(struct open_file *file, const void *data, size_t size_bytes)
{
    struct inode *const inode = file->inode;
    const size_t first = file->appends ? inode->size_bytes : file->position;
    void *bytes = inode->data;
    memory_reserve(&bytes, &inode->capacity, first + size_bytes + 1, 1, "simulated disk");
    inode->data = bytes;
    memcpy(inode->data + first, data, size_bytes);
    file->position = first + size_bytes;
    inode->size_bytes = file->position > inode->size_bytes ? file->position : inode->size_bytes;
}

/* A line of a file that is appended to goes as a whole, as small writes do. */
ssize_t __wrap_write(int descriptor, const void *data, size_t size_bytes)
{
    struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_write(descriptor, data, size_bytes);
    }
    const int reason = change_begin("write", file->inode);
    if (reason != 0) {
        return fail(reason);
    }
    const size_t half = file->appends ? 0 : size_bytes / 2;
    bytes_put(file, data, half);
    machine_point("half written");
    bytes_put(file, (const char *)data + half, size_bytes - half);
    return (ssize_t)size_bytes;
}

int __wrap_fsync(int descriptor)
{
    struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_fsync(descriptor);
    }
    const int reason = change_begin("fsync", file->inode);
    if (reason != 0) {
        return fail(reason);
    }
    machine_sleep(machine_chance(MACHINE_CHANCE_TURN, MACHINE_SECOND / 100));
    disk_flush(file->inode);
    return 0;
}

int __wrap_fdatasync(int descriptor)
{
    return file_of(descriptor) == NULL ? __real_fdatasync(descriptor) : __wrap_fsync(descriptor);
}

int __wrap_rename(const char *from, const char *to)
{
    if (machine_process() == NULL || !disk_is_path(from)) {
        return __real_rename(from, to);
    }
    const char *from_name;
    const char *to_name;
    const int reason = change_begin("rename", disk_parent(from, &from_name));
    struct inode *const folder = disk_parent(from, &from_name);
    struct inode *const inode = disk_find(from);
    if (reason != 0 || inode == NULL || folder == NULL) {
        return fail(reason != 0 ? reason : ENOENT);
    }
    struct inode *const target = disk_parent(to, &to_name);
    const struct inode *const there = target == NULL ? NULL : disk_entry(target, to_name);
    if (target == NULL || (there != NULL && there->is_folder && there->folder.count > 0)) {
        return fail(target == NULL ? ENOENT : ENOTEMPTY);
    }
    if (target == folder) {
        disk_change(folder, from_name, to_name, inode);
    } else {
        disk_change(target, "", to_name, inode);
        disk_change(folder, from_name, "", inode);
    }
    machine_note("renames %s to %s", from, to);
    machine_point("renamed");
    return 0;
}

static int name_remove(const char *path, bool is_folder)
{
    const char *name;
    const int reason = change_begin("remove", disk_parent(path, &name));
    struct inode *const folder = disk_parent(path, &name);
    struct inode *const inode = disk_find(path);
    if (inode == NULL || folder == NULL) {
        return fail(ENOENT);
    }
    if (reason == EROFS || reason == EIO) { /* a full disk lets go */
        return fail(reason);
    }
    if (inode->is_folder != is_folder) {
        return fail(is_folder ? ENOTDIR : EISDIR);
    }
    if (is_folder && inode->folder.count > 0) {
        return fail(ENOTEMPTY);
    }
    disk_change(folder, name, "", inode);
    machine_point("removed");
    return 0;
}

int __wrap_unlink(const char *path)
{
    return machine_process() == NULL || !disk_is_path(path) ? __real_unlink(path)
                                                            : name_remove(path, false);
}

int __wrap_rmdir(const char *path)
{
    return machine_process() == NULL || !disk_is_path(path) ? __real_rmdir(path)
                                                            : name_remove(path, true);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    if (machine_process() == NULL || !disk_is_path(path)) {
        return __real_mkdir(path, mode);
    }
    const char *name;
    const int reason = change_begin("mkdir", disk_parent(path, &name));
    if (disk_find(path) != NULL) {
        return fail(EEXIST);
    }
    struct inode *const folder = disk_parent(path, &name);
    if (reason != 0 || folder == NULL) {
        return fail(reason != 0 ? reason : ENOENT);
    }
    disk_change(folder, "", name, disk_make(folder->node, true));
    return 0;
}

static void facts_fill(const struct inode *inode, struct stat *facts)
{
    *facts = (struct stat){.st_ino = (ino_t)inode->number,
                           .st_mode = inode->is_folder ? S_IFDIR | 0755 : S_IFREG | 0644,
                           .st_uid = geteuid(),
                           .st_nlink = (nlink_t)inode->links,
                           .st_size = (off_t)inode->size_bytes,
                           .st_blocks = (blkcnt_t)(inode->size_bytes / STAT_BLOCK_BYTES)};
}

int __wrap_stat(const char *path, struct stat *facts)
{
    if (machine_process() == NULL || !disk_is_path(path)) {
        return __real_stat(path, facts);
    }
    machine_point("stat");
    const struct inode *const inode = disk_find(path);
    if (inode == NULL) {
        return -1;
    }
    facts_fill(inode, facts);
    return 0;
}

int __wrap_lstat(const char *path, struct stat *facts)
{
    return machine_process() == NULL || !disk_is_path(path) ? __real_lstat(path, facts)
                                                            : __wrap_stat(path, facts);
}

int __wrap_fstat(int descriptor, struct stat *facts)
{
    const struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_fstat(descriptor, facts);
    }
    facts_fill(file->inode, facts);
    return 0;
}

/* A folder's names as they were when it was opened. */
struct listing {
    struct folder names;
    int64_t next;
    struct dirent entry;
};

DIR *__wrap_opendir(const char *path)
{
    if (machine_process() == NULL || !disk_is_path(path)) {
        return __real_opendir(path);
    }
    machine_point("opendir");
    const struct inode *const inode = disk_find(path);
    if (inode == NULL || !inode->is_folder) {
        errno = inode == NULL ? ENOENT : ENOTDIR;
        return NULL;
    }
    struct listing *const listing = memory_take(1, sizeof *listing, "simulated listing");
    listing->names.count = inode->folder.count;
    listing->names.entries =
        memory_take((size_t)inode->folder.count, sizeof(struct entry), "names");
    memcpy(listing->names.entries,
           inode->folder.count == 0 ? listing->names.entries : inode->folder.entries,
           (size_t)inode->folder.count * sizeof(struct entry));
    return (DIR *)(void *)listing;
}

struct dirent *__wrap_readdir(DIR *folder)
{
    if (machine_process() == NULL) {
        return __real_readdir(folder);
    }
    struct listing *const listing = (struct listing *)(void *)folder;
    if (listing->next == listing->names.count) {
        return NULL;
    }
    (void)snprintf(listing->entry.d_name, sizeof listing->entry.d_name, "%s",
                   listing->names.entries[listing->next++].name);
    return &listing->entry;
}

int __wrap_closedir(DIR *folder)
{
    if (machine_process() == NULL) {
        return __real_closedir(folder);
    }
    struct listing *const listing = (struct listing *)(void *)folder;
    memory_release(listing->names.entries);
    memory_release(listing);
    return 0;
}

int __wrap_ftruncate(int descriptor, off_t size_bytes)
{
    const struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_ftruncate(descriptor, size_bytes);
    }
    struct inode *const inode = file->inode;
    if (inode->node == DISK_NODE_SHARED) { /* a line that was cut short is taken back */
        INVARIANT((size_t)size_bytes <= inode->size_bytes);
        machine_point("ftruncate");
        inode->size_bytes = (size_t)size_bytes;
        return 0;
    }
    INVARIANT(inode->memory == NULL);
    inode->size_bytes = (size_t)size_bytes;
    inode->memory = mmap(NULL, inode->size_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    INVARIANT(inode->memory != MAP_FAILED);
    return 0;
}

int __wrap_posix_fallocate(int descriptor, off_t first, off_t size_bytes)
{
    if (file_of(descriptor) == NULL) {
        return __real_posix_fallocate(descriptor, first, size_bytes);
    }
    machine_point("posix_fallocate");
    return 0;
}

/* Used to give pages back: the bytes are zero from now on. */
int __wrap_fallocate(int descriptor, int mode, off_t first, off_t size_bytes)
{
    const struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_fallocate(descriptor, mode, first, size_bytes);
    }
    INVARIANT((mode & FALLOC_FL_PUNCH_HOLE) != 0 && file->inode->memory != NULL);
    machine_point("fallocate");
    memset(file->inode->memory + first, 0, (size_t)size_bytes);
    return 0;
}

static bool lock_take(struct open_file *file, bool exclusive)
{
    struct inode *const inode = file->inode;
    const int64_t others = inode->shared - (file->shares ? 1 : 0);
    if ((inode->exclusive != NULL && inode->exclusive != file) || (exclusive && others > 0)) {
        return false;
    }
    inode->shared -= file->shares ? 1 : 0;
    file->shares = !exclusive;
    inode->shared += file->shares ? 1 : 0;
    inode->exclusive = exclusive ? file : NULL;
    return true;
}

int __wrap_flock(int descriptor, int operation)
{
    struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_flock(descriptor, operation);
    }
    machine_point("flock");
    INVARIANT((operation & LOCK_UN) == 0);
    if (mutant_is(MUTANT_TWO_JOBS) && file->inode->node == DISK_NODE_SHARED) {
        return 0;
    }
    while (!lock_take(file, (operation & LOCK_EX) != 0)) {
        if ((operation & LOCK_NB) != 0) {
            return fail(EWOULDBLOCK);
        }
        (void)machine_wait(file->inode, MACHINE_NEVER);
    }
    return 0;
}

void *__wrap_mmap(void *address, size_t size_bytes, int protection, int flags, int descriptor,
                  off_t offset)
{
    const struct open_file *const file = file_of(descriptor);
    if (file == NULL) {
        return __real_mmap(address, size_bytes, protection, flags, descriptor, offset);
    }
    machine_point("mmap");
    return disk_map(machine_process(), file->inode, size_bytes);
}

int __wrap_munmap(void *address, size_t size_bytes)
{
    return machine_process() != NULL && disk_unmap(machine_process(), address)
               ? 0
               : __real_munmap(address, size_bytes);
}

int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    if (machine_process() == NULL || !disk_is_path(from)) {
        return __real_linkat(from_folder, from, to_folder, to, flags);
    }
    machine_point("linkat");
    struct inode *const inode = disk_find(from);
    const char *name;
    struct inode *const folder = disk_parent(to, &name);
    if (inode == NULL || folder == NULL) {
        return fail(ENOENT);
    }
    if (disk_entry(folder, name) != NULL) {
        return fail(EEXIST);
    }
    disk_change(folder, "", name, inode);
    machine_note("names memory %s", to);
    return 0;
}
