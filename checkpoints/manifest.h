/* manifest.json: what a checkpoint is and which files it consists of, with their sizes and digests. It is the last
 * file that is written, and it ends with a digest of its own bytes, so no flipped bit in a checkpoint stays unseen:
 *
 *     { "format": "shardlm checkpoint", "format_version": 1, "step": …, …, "files": [{"path": "config.yaml",
 *       "size_bytes": 7, "xxh3_128": "…"}, …],
 *       "digest": "XXH3-128 of all bytes before this line"
 *     }
 */
#ifndef SHARDLM_CHECKPOINTS_MANIFEST_H
#define SHARDLM_CHECKPOINTS_MANIFEST_H

#include "base/error.h"
#include "checkpoints/checkpoint.h"

enum {
    MANIFEST_PATH_BYTES = 512, /* of a file, relative to the checkpoint */
    MANIFEST_FILES_MAX = 1 << 14,
};

struct manifest_file {
    char path[MANIFEST_PATH_BYTES]; /* relative, without "." and ".." */
    int64_t size_bytes;
    struct digest digest;
};

struct manifest {
    struct checkpoint_meta meta;
    struct manifest_file *files; /* in the order of the file */
    size_t file_count;
    size_t capacity;
};

void manifest_deinit(struct manifest *manifest); /* accepts a zeroed manifest */
/* Adds a file that lies below `folder`, with the digest of its bytes as they read back now. */
MUST_CHECK enum status manifest_add(struct manifest *manifest, const char *folder, const char *path,
                                    struct error *error);
/* Entry of `path`, or NULL. */
const struct manifest_file *manifest_find(const struct manifest *manifest, const char *path);

/* FOLDER/manifest.json. Durable. */
MUST_CHECK enum status manifest_write(const struct manifest *manifest, const char *folder,
                                      struct error *error);
/* STATUS_INPUT if there is none, STATUS_FORMAT if it is damaged or of another format. */
MUST_CHECK enum status manifest_read(struct manifest *manifest, const char *folder,
                                     struct error *error);
/* Every file there and of its size; with `verify` also of its digest. STATUS_FORMAT names the first that is not. */
MUST_CHECK enum status manifest_check(const struct manifest *manifest, const char *folder,
                                      bool verify, struct error *error);

#endif
