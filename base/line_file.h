/* A text file to which whole lines are added and nothing else is done: a journal. A write that
 * fails half-way takes its half back, one that a kill cut short is cut off when the file is opened
 * again, and a file that was removed or lost (a folder that vanished, a stale handle) is begun
 * anew. One process adds at a time. */
#ifndef SHARDLM_BASE_LINE_FILE_H
#define SHARDLM_BASE_LINE_FILE_H

#include "base/file.h"

struct line_file {
    int descriptor;        /* -1: closed, or lost */
    char path[PATH_BYTES]; /* empty: closed */
};

MUST_CHECK enum status line_file_open(struct line_file *file, const char *path,
                                      struct error *error);
/* Adds bytes that end with a newline: all of them or none. */
MUST_CHECK enum status line_file_append(struct line_file *file, const char *text, size_t size_bytes,
                                        struct error *error);
void line_file_close(struct line_file *file); /* accepts a zeroed one */

#endif
