/* Small files written and copied durably, with a look back: what is on the disk equals what was in memory. */
#ifndef SHARDLM_CHECKPOINTS_FOLDER_COPY_H
#define SHARDLM_CHECKPOINTS_FOLDER_COPY_H

#include "base/error.h"
#include "base/file.h"

/* file_write_durable(), then reads back; STATUS_IO if that differs. */
MUST_CHECK enum status file_write_checked(const char *path, const void *data, size_t size_bytes,
                                          struct error *error);
/* Copies the regular files of `from` (each at most 1 GiB; not those in its folders) into `to`, which is made if
 * absent, and flushes it. */
MUST_CHECK enum status folder_copy(const char *from, const char *to, struct error *error);

#endif
