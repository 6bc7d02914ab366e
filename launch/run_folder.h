/* The folder of a run: RUN/config.yaml (as resolved), RUN/journal.jsonl, RUN/checkpoints/, RUN/lock
 * (held while a job works on the run, so that two cannot). */
#ifndef SHARDLM_LAUNCH_RUN_FOLDER_H
#define SHARDLM_LAUNCH_RUN_FOLDER_H

#include "launch/config.h"

/* Replaces model.vocabulary 0 by the corpus' number, so that a stored configuration says what was
 * trained. Reads the corpus' manifest; STATUS_INPUT or STATUS_FORMAT if there is none. */
MUST_CHECK enum status run_config_resolve(struct config *config, struct error *error);
/* STATUS_INPUT if the folder holds a run already. */
MUST_CHECK enum status run_folder_vacant(const char *run, struct error *error);
/* Makes the folder with its configuration. */
MUST_CHECK enum status run_folder_make(const char *run, const struct config *config,
                                       struct error *error);
/* The stored configuration with `sets` applied, which may only change keys that cannot change
 * results (shard., lease., checkpoint., evaluation., restart.). */
MUST_CHECK enum status run_folder_config(const char *run, const char *const *sets,
                                         int64_t set_count, struct config *config,
                                         struct error *error);
/* Holds the run for this process until it ends. STATUS_INPUT if another job holds it. */
MUST_CHECK enum status run_folder_lock(const char *run, struct error *error);
/* Waits until no job holds the run, without holding it. STATUS_INPUT after `seconds`. */
MUST_CHECK enum status run_folder_wait(const char *run, double seconds, struct error *error);

/* Does a job hold the run now? Asks without getting into the way of one that stands already. */
bool run_folder_held(const char *run);

#endif
