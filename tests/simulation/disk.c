/* See disk.h. */
#include "tests/simulation/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/memory.h"
#include "tests/simulation/machine.h"

enum { MAPS_MAX = 512 };

struct map {
    void *address;
    struct inode *inode; /* NULL: a copy of a file of the disk */
    const struct process *process;
    size_t size_bytes;
};

static struct disk {
    struct inode *root; /* "/sim" */
    struct inode *memories[MACHINE_NODES_MAX];
    struct map maps[MAPS_MAX];
    int64_t inode_count;
    int failure;
    int64_t failure_end_ns;
} disk;

void disk_open(void)
{
    disk = (struct disk){0};
    disk.root = disk_make(DISK_NODE_SHARED, true);
    for (int64_t i = 0; i < MACHINE_NODES_MAX; i++) {
        disk.memories[i] = disk_make(i, true);
    }
}

struct inode *disk_make(int64_t node, bool is_folder)
{
    struct inode *const inode = memory_take(1, sizeof *inode, "simulated inode");
    inode->number = ++disk.inode_count;
    inode->node = node;
    inode->is_folder = is_folder;
    return inode;
}

static int64_t folder_index(const struct folder *folder, const char *name)
{
    for (int64_t i = 0; i < folder->count; i++) {
        if (strcmp(folder->entries[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

struct inode *disk_entry(const struct inode *folder, const char *name)
{
    const int64_t index = folder_index(&folder->folder, name);
    return index < 0 ? NULL : folder->folder.entries[index].inode;
}

static void folder_put(struct folder *folder, const char *name, struct inode *inode)
{
    const int64_t index = folder_index(folder, name);
    if (index >= 0) {
        folder->entries[index].inode = inode;
        return;
    }
    void *entries = folder->entries;
    memory_reserve(&entries, &folder->capacity, (size_t)folder->count + 1, sizeof *folder->entries,
                   "simulated folder");
    folder->entries = entries;
    struct entry *const entry = &folder->entries[folder->count++];
    (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->inode = inode;
}

static void folder_drop(struct folder *folder, const char *name)
{
    const int64_t index = folder_index(folder, name);
    if (index >= 0) {
        folder->entries[index] = folder->entries[--folder->count];
    }
}

static void folder_apply(struct folder *folder, const struct folder_change *change)
{
    if (change->from[0] != '\0') {
        folder_drop(folder, change->from);
    }
    if (change->to[0] != '\0') {
        folder_put(folder, change->to, change->inode);
    }
}

static void folder_copy_all(struct folder *to, const struct folder *from)
{
    to->count = 0;
    for (int64_t i = 0; i < from->count; i++) {
        folder_put(to, from->entries[i].name, from->entries[i].inode);
    }
}

/* Memory that nobody can reach any more goes back. */
static void inode_settle(struct inode *inode)
{
    if (inode->node != DISK_NODE_SHARED && !inode->is_folder && inode->links == 0 &&
        inode->users == 0 && inode->memory != NULL) {
        (void)munmap(inode->memory, inode->size_bytes);
        inode->memory = NULL;
    }
}

void disk_change(struct inode *folder, const char *from, const char *to, struct inode *inode)
{
    struct folder_change change = {.inode = inode};
    (void)snprintf(change.from, sizeof change.from, "%s", from);
    (void)snprintf(change.to, sizeof change.to, "%s", to);
    struct inode *const gone = from[0] == '\0' ? NULL : disk_entry(folder, from);
    struct inode *const replaced = to[0] == '\0' ? NULL : disk_entry(folder, to);
    folder_apply(&folder->folder, &change);
    inode->links += to[0] == '\0' ? 0 : 1;
    for (int64_t i = 0; i < 2; i++) {
        struct inode *const less = i == 0 ? gone : replaced;
        if (less != NULL) {
            less->links--;
            inode_settle(less);
        }
    }
    void *changes = folder->changes;
    memory_reserve(&changes, &folder->change_capacity, (size_t)folder->change_count + 1,
                   sizeof *folder->changes, "simulated folder");
    folder->changes = changes;
    folder->changes[folder->change_count++] = change;
}

static void flushed_set(struct inode *inode, size_t size_bytes)
{
    memory_release(inode->flushed);
    inode->flushed = memory_take(size_bytes + 1, 1, "simulated disk");
    memcpy(inode->flushed, inode->data == NULL ? inode->flushed : inode->data, size_bytes);
    inode->flushed_bytes = size_bytes;
}

void disk_flush(struct inode *inode)
{
    if (inode->is_folder) {
        folder_copy_all(&inode->flushed_folder, &inode->folder);
        inode->change_count = 0;
    } else if (inode->node == DISK_NODE_SHARED) {
        flushed_set(inode, inode->size_bytes);
    }
}

/* "/proc/self/fd/N" and "/proc/P/fd/N". */
static struct inode *descriptor_find(const char *path)
{
    long long number = 0;
    int descriptor = 0;
    const struct process *process = machine_process();
    if (sscanf(path, "/proc/self/fd/%d", &descriptor) != 1) {
        if (sscanf(path, "/proc/%lld/fd/%d", &number, &descriptor) != 2) {
            return NULL;
        }
        process = machine_find(number);
    }
    enum { FIRST = 1000 };
    const int index = descriptor - FIRST;
    return process == NULL || index < 0 || index >= MACHINE_DESCRIPTORS_MAX ||
                   process->files[index] == NULL
               ? NULL
               : process->files[index]->inode;
}

/* Where the path's walk begins; *rest is what follows. */
static struct inode *walk_begin(const char *path, const char **rest)
{
    static const char shared[] = "/sim";
    static const char memory[] = "/dev/shm";
    const size_t shared_length = strlen(shared);
    const size_t memory_length = strlen(memory);
    if (strncmp(path, shared, shared_length) == 0) {
        *rest = path + shared_length;
        return disk.root;
    }
    if (strncmp(path, memory, memory_length) == 0) {
        *rest = path + memory_length;
        return disk.memories[machine_process()->node];
    }
    *rest = "";
    return strncmp(path, "/proc/", 6) == 0 ? descriptor_find(path) : NULL;
}

bool disk_is_path(const char *path)
{
    return strncmp(path, "/sim", 4) == 0 || strncmp(path, "/dev/shm", 8) == 0 ||
           (strncmp(path, "/proc/", 6) == 0 && strstr(path, "/fd/") != NULL);
}

/* One name of a path into `name`; returns what follows it. */
static const char *name_next(const char *rest, char name[DISK_NAME_BYTES])
{
    while (*rest == '/') {
        rest++;
    }
    const size_t length = strcspn(rest, "/");
    INVARIANT(length < DISK_NAME_BYTES);
    memcpy(name, rest, length);
    name[length] = '\0';
    return rest + length;
}

struct inode *disk_find(const char *path)
{
    const char *rest;
    struct inode *inode = walk_begin(path, &rest);
    char name[DISK_NAME_BYTES];
    for (rest = name_next(rest, name); inode != NULL && name[0] != '\0';
         rest = name_next(rest, name)) {
        if (strcmp(name, ".") == 0) {
            continue;
        }
        if (!inode->is_folder) {
            errno = ENOTDIR;
            return NULL;
        }
        inode = disk_entry(inode, name);
    }
    if (inode == NULL) {
        errno = ENOENT;
    }
    return inode;
}

struct inode *disk_parent(const char *path, const char **name)
{
    const char *const slash = strrchr(path, '/');
    INVARIANT(slash != NULL);
    *name = slash + 1;
    char *const folder = memory_text(path);
    folder[slash - path] = '\0';
    struct inode *const inode = disk_find(folder);
    memory_release(folder);
    if (inode != NULL && !inode->is_folder) {
        errno = ENOTDIR;
        return NULL;
    }
    return inode;
}

struct open_file *disk_file_open(struct inode *inode)
{
    struct open_file *const file = memory_take(1, sizeof *file, "simulated open file");
    file->inode = inode;
    inode->users++;
    return file;
}

void disk_file_close(struct open_file *file)
{
    struct inode *const inode = file->inode;
    inode->exclusive = inode->exclusive == file ? NULL : inode->exclusive;
    inode->shared -= file->shares ? 1 : 0;
    inode->users--;
    inode_settle(inode);
    machine_wake(inode);
    memory_release(file);
}

void *disk_map(struct process *process, struct inode *inode, size_t size_bytes)
{
    int64_t place = 0;
    while (place < MAPS_MAX && disk.maps[place].address != NULL) {
        place++;
    }
    INVARIANT(place < MAPS_MAX);
    struct map map = {.process = process, .size_bytes = size_bytes};
    if (inode->node == DISK_NODE_SHARED) {
        map.address = memory_take(size_bytes, 1, "simulated map");
        memcpy(map.address, inode->data,
               inode->size_bytes < size_bytes ? inode->size_bytes : size_bytes);
    } else {
        INVARIANT(inode->memory != NULL && size_bytes <= inode->size_bytes);
        map.inode = inode;
        map.address = inode->memory;
        inode->users++;
    }
    disk.maps[place] = map;
    return map.address;
}

static void map_drop(struct map *place)
{
    const struct map map = *place;
    *place = (struct map){0};
    if (map.inode == NULL) {
        memory_release(map.address);
    } else {
        map.inode->users--;
        inode_settle(map.inode);
    }
}

bool disk_unmap(struct process *process, void *address)
{
    for (int64_t i = 0; i < MAPS_MAX; i++) {
        if (disk.maps[i].address == address && disk.maps[i].process == process) {
            map_drop(&disk.maps[i]);
            return true;
        }
    }
    return false;
}

void disk_release(struct process *process)
{
    for (int64_t i = 0; i < MAPS_MAX; i++) {
        if (disk.maps[i].address != NULL && disk.maps[i].process == process) {
            map_drop(&disk.maps[i]);
        }
    }
    for (int64_t i = 0; i < MACHINE_DESCRIPTORS_MAX; i++) {
        if (process->files[i] != NULL) {
            disk_file_close(process->files[i]);
            process->files[i] = NULL;
        }
    }
}

void disk_node_lost(int64_t node)
{
    struct folder *const folder = &disk.memories[node]->folder;
    for (int64_t i = 0; i < folder->count; i++) {
        folder->entries[i].inode->links--;
        inode_settle(folder->entries[i].inode);
    }
    folder->count = 0;
}

/* What the disk has of a file: the flushed bytes, the newest ones, or a front part of these. */
static void file_cut(struct inode *inode)
{
    const bool longer = inode->size_bytes > inode->flushed_bytes;
    const int64_t news = longer ? (int64_t)(inode->size_bytes - inode->flushed_bytes) : 0;
    const bool same =
        !longer && inode->size_bytes == inode->flushed_bytes &&
        (inode->size_bytes == 0 || memcmp(inode->data, inode->flushed, inode->size_bytes) == 0);
    if (same) {
        return;
    }
    const int64_t choice = machine_chance(MACHINE_CHANCE_DISK, 3);
    if (choice == 0) { /* old */
        memory_release(inode->data);
        inode->capacity = inode->flushed_bytes + 1;
        inode->data = memory_take(inode->capacity, 1, "simulated disk");
        memcpy(inode->data, inode->flushed_bytes == 0 ? inode->data : inode->flushed,
               inode->flushed_bytes);
        inode->size_bytes = inode->flushed_bytes;
    } else if (choice == 1 && news > 0) { /* torn */
        inode->size_bytes -= (size_t)machine_chance(MACHINE_CHANCE_DISK, news);
    }
    flushed_set(inode, inode->size_bytes);
}

static void folder_cut(struct inode *inode)
{
    const int64_t kept = machine_chance(MACHINE_CHANCE_DISK, inode->change_count + 1);
    for (int64_t i = 0; i < kept; i++) {
        folder_apply(&inode->flushed_folder, &inode->changes[i]);
    }
    inode->change_count = 0;
    folder_copy_all(&inode->folder, &inode->flushed_folder);
    for (int64_t i = 0; i < inode->folder.count; i++) {
        struct inode *const inner = inode->folder.entries[i].inode;
        if (inner->is_folder) {
            folder_cut(inner);
        } else {
            file_cut(inner);
        }
    }
}

void disk_power_cut(void)
{
    folder_cut(disk.root);
    for (int64_t i = 0; i < MACHINE_NODES_MAX; i++) {
        disk_node_lost(i);
    }
}

void disk_fail(int reason, int64_t duration_ns)
{
    disk.failure = reason;
    disk.failure_end_ns = machine_now_ns() + duration_ns;
}

int disk_failure(void)
{
    return machine_now_ns() < disk.failure_end_ns ? disk.failure : 0;
}

static bool inode_flip(struct inode *inode)
{
    if (!inode->is_folder) {
        if (inode->users > 0 || inode->size_bytes == 0) {
            return false;
        }
        const int64_t byte = machine_chance(MACHINE_CHANCE_DISK, (int64_t)inode->size_bytes);
        inode->data[byte] =
            (unsigned char)(inode->data[byte] ^ (1U << machine_chance(MACHINE_CHANCE_DISK, 8)));
        flushed_set(inode, inode->size_bytes);
        return true;
    }
    const int64_t first = machine_chance(MACHINE_CHANCE_DISK, inode->folder.count);
    for (int64_t i = 0; i < inode->folder.count; i++) {
        if (inode_flip(inode->folder.entries[(first + i) % inode->folder.count].inode)) {
            return true;
        }
    }
    return false;
}

bool disk_flip(const char *path)
{
    struct inode *const inode = disk_find(path);
    return inode != NULL && inode_flip(inode);
}

int64_t disk_memory_files(int64_t node)
{
    return disk.memories[node]->folder.count;
}
