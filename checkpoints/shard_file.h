/* One part of a checkpoint: an HDF5 file with the weights and moments of one parameter group.
 *
 *     weights/NAME  adamw/first/NAME  adamw/second/NAME     32-bit little-endian floats, (rows, cols) or (rows),
 *                                                           contiguous, attribute "xxh3_128": digest of the data
 *
 * The digests are taken from memory before anything is written, so that shard_file_check() finds what went wrong on
 * the way to the file. Padding between tensors is not stored: it is zero by definition. */
#ifndef SHARDLM_CHECKPOINTS_SHARD_FILE_H
#define SHARDLM_CHECKPOINTS_SHARD_FILE_H

#include "base/error.h"
#include "checkpoints/checkpoint.h"

enum { SHARD_FILE_NAME_BYTES = 192 };

/* HDF5 group of an array: "weights", "adamw/first", "adamw/second". */
const char *checkpoint_array_name(enum checkpoint_array array);
/* "parts/GROUP.h5", relative to the checkpoint. */
void shard_file_name(char name[SHARD_FILE_NAME_BYTES], const struct parameter_table *table,
                     int64_t group);

/* Writes and flushes the part; a failed part is removed. arrays[a]: (group.count). STATUS_IO. */
MUST_CHECK enum status shard_file_write(const char *path, const struct parameter_table *table,
                                        int64_t group,
                                        const float *const arrays[CHECKPOINT_ARRAY_COUNT],
                                        struct error *error);
/* Reads every tensor of the group back and compares it with its digest; STATUS_FORMAT. */
MUST_CHECK enum status shard_file_check(const char *path, const struct parameter_table *table,
                                        int64_t group, struct error *error);
/* Elements [first, first + count) of the flat space, all inside the group, into `out` (count); what is padding is
 * left as it is. STATUS_FORMAT if a tensor is missing, of another shape or another kind. */
MUST_CHECK enum status shard_file_read(const char *path, const struct parameter_table *table,
                                       int64_t group, enum checkpoint_array array, int64_t first,
                                       int64_t count, float *out, struct error *error);

#endif
