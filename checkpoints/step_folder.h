/* Names below RUN/checkpoints. Only "step-NNNNNNNN" (at least eight digits) is a checkpoint; the others are states
 * on the way to and from one:
 *
 *     .step-N.partial ──publish──▶ step-N ──retain──▶ .step-N.removed ──▶ nothing
 *                                  │  ▲
 *              publish of the same step, before the new one takes its place; back if that fails
 *                                  ▼  │
 *                              .step-N.replaced      whole; stands for step-N while there is none
 */
#ifndef SHARDLM_CHECKPOINTS_STEP_FOLDER_H
#define SHARDLM_CHECKPOINTS_STEP_FOLDER_H

#include "base/error.h"
#include "base/file.h"

enum step_folder {
    STEP_FOLDER_PUBLISHED,
    STEP_FOLDER_PARTIAL,  /* being written, or left by a writer that died */
    STEP_FOLDER_REPLACED, /* the older of two of one step */
    STEP_FOLDER_REMOVED,  /* being removed */
    STEP_FOLDER_COUNT,
};

/* ROOT/NAME; STATUS_LIMIT if it does not fit. step >= 0. */
MUST_CHECK enum status step_folder_path(char path[PATH_BYTES], const char *root,
                                        enum step_folder kind, int64_t step, struct error *error);
/* Kind and step of a name as step_folder_path() makes it; false for any other. */
bool step_folder_parse(const char *name, enum step_folder *kind, int64_t *step);

#endif
