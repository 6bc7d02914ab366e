/* What the simulated cluster stores. Below "/sim" lies one disk that all nodes share and that keeps
 * only what was flushed when the power goes: of a file's newer bytes and of a folder's newer
 * entries some front part may be there as well. Below "/dev/shm" each node has memory of its own,
 * which lasts until the node goes. The calls themselves are in calls_files.c. */
#ifndef SHARDLM_TESTS_SIMULATION_DISK_H
#define SHARDLM_TESTS_SIMULATION_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_NAME_BYTES = 128, DISK_NODE_SHARED = -1 };

struct process;
struct inode;

struct entry {
    char name[DISK_NAME_BYTES];
    struct inode *inode;
};

struct folder {
    struct entry *entries;
    size_t capacity;
    int64_t count;
};

/* A change of a folder that is not flushed: `from` goes, if it is not empty; then `to` becomes
 * `inode`, if it is not empty. */
struct folder_change {
    char from[DISK_NAME_BYTES];
    char to[DISK_NAME_BYTES];
    struct inode *inode;
};

struct inode {
    int64_t number;
    int64_t node; /* whose memory it is, or DISK_NODE_SHARED */
    bool is_folder;
    unsigned char *data;
    size_t size_bytes, capacity;
    unsigned char *flushed;
    size_t flushed_bytes;
    struct folder folder, flushed_folder;
    struct folder_change *changes;
    size_t change_capacity;
    int64_t change_count;
    unsigned char *memory;       /* of a file in a node's memory */
    int64_t links, users;        /* names; open files and maps */
    struct open_file *exclusive; /* who holds its lock alone */
    int64_t shared;              /* how many hold it together */
};

struct open_file {
    struct inode *inode;
    size_t position;
    bool appends;
    bool shares; /* holds inode->shared */
};

void disk_open(void);
/* The inode at a path as the process that runs sees it, or NULL with errno. Last links are
 * followed. */
struct inode *disk_find(const char *path);
/* The folder that holds, or would hold, the last name of the path; *name points into it. */
struct inode *disk_parent(const char *path, const char **name);
struct inode *disk_entry(const struct inode *folder, const char *name); /* or NULL */
struct inode *disk_make(int64_t node, bool is_folder);
/* In `folder`, `from` (or "") goes and `to` (or "") becomes `inode`. */
void disk_change(struct inode *folder, const char *from, const char *to, struct inode *inode);
void disk_flush(struct inode *inode);
/* True if the path is one of the simulation's. */
bool disk_is_path(const char *path);

struct open_file *disk_file_open(struct inode *inode);
void disk_file_close(struct open_file *file);
/* Maps of a process are known by their address. */
void *disk_map(struct process *process, struct inode *inode, size_t size_bytes);
bool disk_unmap(struct process *process, void *address);
void disk_release(struct process *process); /* all that it holds */

void disk_node_lost(int64_t node); /* its memory is empty */
void disk_power_cut(void);         /* unflushed things may go; memory of all nodes too */
/* For so long every write fails with this errno. */
void disk_fail(int reason, int64_t duration_ns);
int disk_failure(void); /* errno, or 0 */
/* Flips a bit of a file below `path` that is not open, if there is one; false if not. */
bool disk_flip(const char *path);
/* How many files a node's memory has. */
int64_t disk_memory_files(int64_t node);

#endif
