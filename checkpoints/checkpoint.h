/* A checkpoint: the whole logical state of a run at a step, independent of how many workers wrote it.
 *
 *     step-00000500/manifest.json       written last: names, sizes and XXH3-128 digests of every other file
 *                   state.h5            virtual datasets over the parts: weights/NAME, adamw/first/NAME,
 *                                       adamw/second/NAME with Hugging Face parameter names;
 *                                       attributes: step, profile, fingerprint, …
 *                   parts/GROUP.h5      one per parameter group (fixed logical parts, never per rank)
 *                   config.yaml         the resolved configuration
 *                   tokenizer/          tokenizer files of the corpus, so that the checkpoint can be used alone
 *
 * Written into ".step-NNNNNNNN.partial", flushed, then renamed: a folder that is listed is whole.
 * Serial HDF5, new files each time; only one thread of a process may be inside these calls at a time. */
#ifndef SHARDLM_CHECKPOINTS_CHECKPOINT_H
#define SHARDLM_CHECKPOINTS_CHECKPOINT_H

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/parameters.h"

enum { CHECKPOINT_PROFILE_BYTES = 512 };

/* Which of the state's flat arrays. */
enum checkpoint_array {
    CHECKPOINT_ARRAY_WEIGHTS,
    CHECKPOINT_ARRAY_FIRST,  /* first moment */
    CHECKPOINT_ARRAY_SECOND, /* second moment */
    CHECKPOINT_ARRAY_COUNT,
};

/* What is kept beside the arrays. */
struct checkpoint_meta {
    int64_t step;   /* updates done */
    int64_t tokens; /* tokens seen in training */
    uint64_t seed;
    struct digest fingerprint; /* of weights, moments and counters: shard/fingerprint.h */
    struct digest corpus;      /* data_source_fingerprint */
    char profile[CHECKPOINT_PROFILE_BYTES]; /* numeric profile */
    double held_out_loss;                   /* of the last evaluation, NaN if none */
    int64_t loss_mean;  /* of the steps before, units of 2^-32 nats; judges loss spikes */
    int64_t loss_count; /* steps in it; 0: not known */
};

/* Writing, in three acts: one process begins; then each part is written by whoever holds it (any process that sees the
 * folder); then one process publishes. `root` is RUN/checkpoints. */
MUST_CHECK enum status checkpoint_begin(const char *root, int64_t step, char partial[PATH_BYTES],
                                        struct error *error);
/* Writes and flushes parts/GROUP.h5 from the group's elements (group.count each). */
MUST_CHECK enum status checkpoint_part_write(const char *partial,
                                             const struct parameter_table *table, int64_t group,
                                             const float *const arrays[CHECKPOINT_ARRAY_COUNT],
                                             struct error *error);
/* Checks that every part is there and reads back right, writes state.h5, config, tokenizer (folder, may be NULL) and
 * the manifest, flushes all and renames. An older folder of the same step is replaced. */
MUST_CHECK enum status checkpoint_publish(const char *partial, const char *root,
                                          const struct parameter_table *table,
                                          const struct checkpoint_meta *meta,
                                          const char *config_yaml, const char *tokenizer_folder,
                                          char published[PATH_BYTES], struct error *error);

struct checkpoint; /* open for reading */

/* Opens a published checkpoint and checks manifest, presence and sizes; `verify` also recomputes every digest. */
MUST_CHECK enum status checkpoint_open(struct checkpoint **checkpoint, const char *path,
                                       bool verify, struct error *error);
void checkpoint_close(struct checkpoint *checkpoint); /* accepts NULL */
const struct checkpoint_meta *checkpoint_meta(const struct checkpoint *checkpoint);
/* Text of config.yaml; borrowed. */
const char *checkpoint_config(const struct checkpoint *checkpoint);
/* Path of its tokenizer folder, or NULL; borrowed. */
const char *checkpoint_tokenizer(const struct checkpoint *checkpoint);
/* Elements [first, first + count) of the flat space of `table`, padding as 0. STATUS_FORMAT if a tensor of the table is
 * missing in the checkpoint or has another shape. */
MUST_CHECK enum status checkpoint_read(const struct checkpoint *checkpoint,
                                       const struct parameter_table *table,
                                       enum checkpoint_array array, int64_t first, int64_t count,
                                       float *out, struct error *error);

#endif
