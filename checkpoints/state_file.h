/* state.h5: the whole logical state as one HDF5 file, made of virtual datasets over the parts. It holds no numbers of
 * its own but attributes; source names are relative, so that a checkpoint's folder can be moved. For people's tools:
 * shardlm itself reads the manifest and the parts. */
#ifndef SHARDLM_CHECKPOINTS_STATE_FILE_H
#define SHARDLM_CHECKPOINTS_STATE_FILE_H

#include "base/error.h"
#include "checkpoints/checkpoint.h"

enum { CHECKPOINT_FORMAT_VERSION = 1 };

/* Writes and flushes; the parts lie in "parts/" beside `path`. STATUS_IO. */
MUST_CHECK enum status state_file_write(const char *path, const struct parameter_table *table,
                                        const struct checkpoint_meta *meta, struct error *error);

#endif
