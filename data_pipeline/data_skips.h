/* Data that a run passes over: after a rollback, training goes on from an earlier step with data
 * behind that of the bad one. From step `from_step` on, data is that of `steps` steps later;
 * entries add up. Kept in RUN/skips.json: with configuration, corpus and seed it determines the
 * run. */
#ifndef SHARDLM_DATA_PIPELINE_DATA_SKIPS_H
#define SHARDLM_DATA_PIPELINE_DATA_SKIPS_H

#include "base/error.h"

enum { DATA_SKIPS_MAX = 64 };

/* Flat, so that it can be broadcast. */
struct data_skips {
    int64_t count;
    struct data_skip {
        int64_t from_step;
        int64_t steps;
    } list[DATA_SKIPS_MAX];
};

/* The step, counted in data, that step `step` of training reads. */
int64_t data_skips_step(const struct data_skips *skips, int64_t step);
/* STATUS_LIMIT if there are DATA_SKIPS_MAX already. */
MUST_CHECK enum status data_skips_add(struct data_skips *skips, int64_t from_step, int64_t steps,
                                      struct error *error);
/* RUN/skips.json; an absent file gives none. */
MUST_CHECK enum status data_skips_read(struct data_skips *skips, const char *run,
                                       struct error *error);
/* Durable. */
MUST_CHECK enum status data_skips_write(const struct data_skips *skips, const char *run,
                                        struct error *error);

#endif
