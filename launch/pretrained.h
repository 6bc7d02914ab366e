/* What a CHECKPOINT argument names, ready to use: a checkpoint folder, a run folder (its newest
 * good checkpoint) or a Hugging Face folder. Gives options, weights and tokenizer. */
#ifndef SHARDLM_LAUNCH_PRETRAINED_H
#define SHARDLM_LAUNCH_PRETRAINED_H

#include "base/file.h"
#include "checkpoints/checkpoint.h"
#include "kernels/kernels.h"
#include "launch/config.h"
#include "model/parameters.h"

/* The checkpoint that `path` (checkpoint or run) names. STATUS_INPUT if it is neither. */
MUST_CHECK enum status checkpoint_find(const char *path, char found[PATH_BYTES],
                                       struct error *error);

struct pretrained {
    char path[PATH_BYTES];      /* what was opened */
    char tokenizer[PATH_BYTES]; /* folder; empty: none */
    struct config config; /* as stored; for a Hugging Face folder the defaults, with its network */
    struct checkpoint *checkpoint; /* NULL for a Hugging Face folder */
    struct parameter_table table;
    float *weights; /* (table.element_count) */
    bool *fresh;    /* (table.row_count) the folder lacks this tensor: initial values stand there */
    int64_t fresh_count;
};

/* Verifies a checkpoint's digests first. Everything must be there: fresh_count is 0. */
MUST_CHECK enum status pretrained_open(struct pretrained *pretrained, const char *path,
                                       struct error *error);
/* The same, but a Hugging Face folder may lack heads, in whole or in part: their tensors get the
 * initial values of seed 1. For those who train further, or do not look at heads. */
MUST_CHECK enum status pretrained_open_encoder(struct pretrained *pretrained, const char *path,
                                               struct error *error);
void pretrained_close(struct pretrained *pretrained); /* accepts a zeroed one */

/* Options and table of an open checkpoint. Caller releases the table. */
MUST_CHECK enum status checkpoint_network(const struct checkpoint *checkpoint, const char *path,
                                          struct config *config, struct parameter_table *table,
                                          struct error *error);
/* Recomputes the fingerprint of its state; STATUS_FORMAT if the checkpoint says another. */
MUST_CHECK enum status checkpoint_fingerprint(const struct checkpoint *checkpoint, const char *path,
                                              struct digest *fingerprint, struct error *error);

/* The kernels that the configuration asks for. */
MUST_CHECK enum status kernels_open_configured(struct kernels *kernels,
                                               const struct numerics_options *options,
                                               struct error *error);

#endif
