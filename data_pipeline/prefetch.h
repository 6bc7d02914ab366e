/* One helper thread that fills batches ahead, so that compute never waits for data. The owner asks
 * in order and takes in the same order; at most PREFETCH_DEPTH batches are under way, and as many
 * as it holds stay as they are besides. */
#ifndef SHARDLM_DATA_PIPELINE_PREFETCH_H
#define SHARDLM_DATA_PIPELINE_PREFETCH_H

#include "data_pipeline/data_source.h"

enum { PREFETCH_DEPTH = 4 };

struct prefetch;

/* Keeps `source`. `held`: batches in use at once, at least 1. */
MUST_CHECK enum status prefetch_open(struct prefetch **prefetch, const struct data_source *source,
                                     int64_t held, struct error *error);
void prefetch_close(struct prefetch *prefetch);            /* ends the thread; accepts NULL */
bool prefetch_full(const struct prefetch *prefetch);
/* Asks for a slot; held_out: data_source_fill_held_out (step ignored). Not when full. */
void prefetch_ask(struct prefetch *prefetch, int64_t step, int64_t slot, bool held_out);
/* The oldest batch asked for, waiting until it is filled (STATUS_TIMEOUT after timeout_ms, naming
 * step and slot). The batch is borrowed until `held` more takes, or a drop or close. */
MUST_CHECK enum status prefetch_take(struct prefetch *prefetch, int64_t timeout_ms, int64_t *step,
                                     int64_t *slot, const struct batch **batch,
                                     struct error *error);
/* Forgets what was asked for and not taken. */
void prefetch_drop(struct prefetch *prefetch);

#endif
