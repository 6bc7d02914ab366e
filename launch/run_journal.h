/* A run's journal, read: RUN/journal.jsonl (docs/formats/run.md). What is no whole JSON object, a
 * line that is just being written, say, is passed over. */
#ifndef SHARDLM_LAUNCH_RUN_JOURNAL_H
#define SHARDLM_LAUNCH_RUN_JOURNAL_H

#include "base/json.h"

/* Called for each line, first to last; the line is borrowed. */
typedef void (*run_journal_take)(void *context, const json_t *line);

/* Lines that lie wholly in the last `last_bytes` of the file (0: all). STATUS_INPUT if there is no
 * journal. */
MUST_CHECK enum status run_journal_read(const char *run, int64_t last_bytes, run_journal_take take,
                                        void *context, struct error *error);

/* "step" of a line that tells of a step, else -1. */
int64_t run_journal_step(const json_t *line);

#endif
