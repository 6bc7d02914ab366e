/* The checkpoints of a run: which there are, which is the newest good one, which may go. */
#ifndef SHARDLM_CHECKPOINTS_CATALOG_H
#define SHARDLM_CHECKPOINTS_CATALOG_H

#include "base/error.h"
#include "base/file.h"
#include "checkpoints/checkpoint_options.h"

struct catalog_entry {
    int64_t step;
    char path[PATH_BYTES];
};

struct catalog {
    struct catalog_entry *entries; /* ascending step */
    int64_t count;
};

/* `root` is RUN/checkpoints; an absent folder gives an empty catalog. */
MUST_CHECK enum status catalog_open(struct catalog *catalog, const char *root, struct error *error);
void catalog_close(struct catalog *catalog); /* accepts a zeroed catalog */
/* Newest checkpoint whose digests all hold; damaged ones are reported through log_line (warn) and passed over.
 * STATUS_FORMAT if there are checkpoints and none is good; STATUS_INPUT if there is none. */
MUST_CHECK enum status catalog_newest_good(const char *root, char path[PATH_BYTES], int64_t *step,
                                           struct error *error);
/* Removes what the options do not keep; never the newest, never `protect_step` (-1: none), and leftovers of interrupted
 * writes (".step-*.partial") other than `writing_step`'s. */
MUST_CHECK enum status catalog_retain(const char *root, const struct checkpoint_options *options,
                                      int64_t protect_step, int64_t writing_step,
                                      struct error *error);

#endif
