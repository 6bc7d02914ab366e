/* Files and paths. errno stays in here: every message names the path and the system's reason.
 * "Durable" means: the content and the directory entry are on stable storage when the call returns.
 */
#ifndef SHARDLM_BASE_FILE_H
#define SHARDLM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

enum { PATH_BYTES = 4096 };

/* "%s/%s" into `path`; STATUS_LIMIT if it does not fit. */
MUST_CHECK enum status path_join(char path[PATH_BYTES], const char *folder, const char *name,
                                 struct error *error);
const char *path_name(const char *path); /* what follows the last slash; borrows */
void path_folder(const char *path, char folder[PATH_BYTES]); /* "." if there is no slash */
/* `path` as seen from the folder of the file `from` (absolute paths stay as they are). */
MUST_CHECK enum status path_relative_to_file(char out[PATH_BYTES], const char *from,
                                             const char *path, struct error *error);

/* `path` from the root: behind the current folder unless it begins with a slash. Links and ".."
 * stay; "." and a leading
 * "./" go. */
MUST_CHECK enum status path_absolute(char out[PATH_BYTES], const char *path, struct error *error);

bool file_exists(const char *path);
bool folder_exists(const char *path);
MUST_CHECK enum status file_size(const char *path, int64_t *size_bytes, struct error *error);
/* Whole file; *data has a terminating zero behind size_bytes; caller frees with memory_release.
 * STATUS_INPUT if it does not exist or is no regular file, STATUS_LIMIT above size_limit_bytes. */
MUST_CHECK enum status file_read(const char *path, size_t size_limit_bytes, char **data,
                                 size_t *size_bytes, struct error *error);
/* Writes PATH.tmp-PID, flushes it, renames it over `path`, flushes the folder. Durable; whole or
 * not at all. */
MUST_CHECK enum status file_write_durable(const char *path, const void *data, size_t size_bytes,
                                          struct error *error);
/* The same for content that lies in several places. */
struct file_piece {
    const void *data;
    size_t size_bytes;
};
MUST_CHECK enum status file_write_durable_pieces(const char *path, const struct file_piece *pieces,
                                                 int64_t count, struct error *error);
/* The same for a secret: nobody but the owner may read it, whatever the umask. */
MUST_CHECK enum status file_write_private(const char *path, const void *data, size_t size_bytes,
                                          struct error *error);
MUST_CHECK enum status file_flush(const char *path,
                                  struct error *error); /* fsync of a closed file */
MUST_CHECK enum status folder_flush(const char *path, struct error *error); /* fsync of a folder */
MUST_CHECK enum status folder_make(const char *path,
                                   struct error *error); /* with parents; fine if there */
MUST_CHECK enum status folder_remove(const char *path,
                                     struct error *error); /* with content; fine if absent; of a
                                                              link, the link alone */
MUST_CHECK enum status file_rename(const char *from, const char *to, struct error *error);
MUST_CHECK enum status file_remove(const char *path, struct error *error); /* fine if absent */
MUST_CHECK enum status file_digest(const char *path, struct digest *digest, int64_t *size_bytes,
                                   struct error *error);

/* Names in a folder, byte order, without "." and "..". */
struct folder_list {
    char **names;
    int64_t count;
};
MUST_CHECK enum status folder_list_open(struct folder_list *list, const char *path,
                                        struct error *error);
void folder_list_close(struct folder_list *list);

/* Read-only memory map of a whole file. An empty file maps to data == NULL, size 0. */
struct file_map {
    const unsigned char *data;
    size_t size_bytes;
};
MUST_CHECK enum status file_map_open(struct file_map *map, const char *path, struct error *error);
void file_map_close(struct file_map *map);

/* Reads a regular file from its first to its last byte, in pieces. */
struct file_reader {
    int descriptor;         /* -1 when closed */
    const char *path;       /* borrowed until close */
    int64_t position_bytes; /* how much was read */
    int64_t size_bytes;     /* when it was opened */
};
MUST_CHECK enum status file_reader_open(struct file_reader *reader, const char *path,
                                        struct error *error);
/* Fills `data` but for the last piece: *got < size_bytes says that the end was reached. */
MUST_CHECK enum status file_reader_next(struct file_reader *reader, void *data, size_t size_bytes,
                                        size_t *got, struct error *error);
void file_reader_close(struct file_reader *reader);

#endif
