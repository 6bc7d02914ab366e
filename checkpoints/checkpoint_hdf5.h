/* The few HDF5 calls that every file of a checkpoint needs, with errors in our words. HDF5 prints nothing itself.
 * Files are new each time, serial, in the format of HDF5 1.10 (virtual datasets need it), without creation times, so
 * that equal content gives equal bytes. File locks are off: they fail on many network file systems, and a part has
 * one writer by construction. */
#ifndef SHARDLM_CHECKPOINTS_CHECKPOINT_HDF5_H
#define SHARDLM_CHECKPOINTS_CHECKPOINT_HDF5_H

#include <hdf5.h>

#include "base/error.h"

/* Fails with "could not ACTION \"PATH\": REASON", where REASON is what HDF5 found first. To be called right after the
 * failed HDF5 call: the next one forgets the reason. */
enum status hdf5_fail(struct error *error, enum status status, const char *action,
                      const char *path);

/* Creates or truncates; STATUS_IO. */
MUST_CHECK enum status hdf5_create(hid_t *file, const char *path, struct error *error);
/* Writes out, closes and flushes to stable storage; STATUS_IO. The file is closed in any case. */
MUST_CHECK enum status hdf5_finish(hid_t file, const char *path, struct error *error);
/* Read-only; STATUS_FORMAT if it is no HDF5 file. */
MUST_CHECK enum status hdf5_open(hid_t *file, const char *path, struct error *error);
/* Closes with everything that is still open in it; accepts a negative handle. For files that were only read, and on
 * the way out of an error. */
void hdf5_abandon(hid_t file);

/* Makes the group "a/b/c" with parents. */
MUST_CHECK enum status hdf5_group_make(hid_t file, const char *name, const char *path,
                                       struct error *error);
/* A fixed-length text attribute of `object`. */
MUST_CHECK enum status hdf5_attribute_text(hid_t object, const char *name, const char *text,
                                           const char *path, struct error *error);
/* A scalar attribute; `file_type` is what stands in the file, `memory_type` what `value` points to. */
MUST_CHECK enum status hdf5_attribute_scalar(hid_t object, const char *name, hid_t file_type,
                                             hid_t memory_type, const void *value, const char *path,
                                             struct error *error);
/* Reads a text attribute of exactly `size_bytes` characters and adds a zero; STATUS_FORMAT. */
MUST_CHECK enum status hdf5_attribute_text_read(hid_t object, const char *name, size_t size_bytes,
                                                char *text, const char *path, struct error *error);

#endif
