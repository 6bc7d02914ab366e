/* The data side in one handle: corpus shards, held-out split, index of sequences, epoch plan and
 * sampling. What a slot holds is a pure function of (seed, step, slot, corpus fingerprint,
 * options); finding it takes O(1) in steps done. Immutable after open: any thread may fill its own
 * batch. */
#ifndef SHARDLM_DATA_PIPELINE_DATA_SOURCE_H
#define SHARDLM_DATA_PIPELINE_DATA_SOURCE_H

#include "base/error.h"
#include "base/hash.h"
#include "data_pipeline/batch.h"
#include "data_pipeline/data_options.h"
#include "data_pipeline/data_skips.h"
#include "data_pipeline/plan.h"

struct data_source;

/* Reads a share of the corpus shards, that of process `index` of `count` which see the same files.
 * *checked false: there is nothing to share (no corpus, or bad shards are to be left out). */
MUST_CHECK enum status data_source_check(const struct data_options *options, int64_t index,
                                         int64_t count, bool *checked, struct error *error);
/* Opens the corpus folder and builds index and plan. `synthetic_vocabulary` (> 0) is used, and
 * needed, only when options->corpus is "synthetic": random ids, full sequences, no files; for
 * benchmarks. Checks: shard digests, ids below the vocabulary, one tokenizer fingerprint
 * throughout. */
MUST_CHECK enum status data_source_open(struct data_source **source,
                                        const struct data_options *options,
                                        const struct step_options *step, uint64_t seed,
                                        int64_t synthetic_vocabulary, struct error *error);
void data_source_close(struct data_source *source); /* accepts NULL */

int64_t data_source_vocabulary(const struct data_source *source);
int64_t
data_source_slots(const struct data_source *source); /* slots in a step: tokens / slot_tokens */
struct digest data_source_fingerprint(const struct data_source *source);
/* Folder of the corpus' tokenizer files, or NULL for synthetic data. */
const char *data_source_tokenizer(const struct data_source *source);
/* The most that any slot, training or held-out, can hold. */
struct batch_limits data_source_limits(const struct data_source *source);
/* The sequence_weight of every training batch (batch.h). */
double data_source_label_weight(const struct data_source *source);
/* Passes over the training documents that are complete before `step` begins, as a fraction: 2.25
 * epochs. */
double data_source_epochs(const struct data_source *source, int64_t step);

/* What provenance.c needs to know: rows in a slot, the row at a place of one, and the index of the
 * training side (NULL: synthetic data). */
struct corpus_index;
int64_t data_source_slot_rows(const struct data_source *source);
struct plan_row data_source_row(const struct data_source *source, int64_t step, int64_t slot,
                                int64_t place);
const struct corpus_index *data_source_index(const struct data_source *source);

/* Passes data over from now on; before any slot is filled. Copies `skips`. */
void data_source_skip(struct data_source *source, const struct data_skips *skips);
/* The step, counted in data, that a step of training reads. */
int64_t data_source_step(const struct data_source *source, int64_t step);

/* Fills `batch` (made with data_source_limits) with slot `slot` of step `step`, steps counted
 * from 1. */
MUST_CHECK enum status data_source_fill(const struct data_source *source, int64_t step,
                                        int64_t slot, struct batch *batch, struct error *error);
/* Held-out documents, masked once with a fixed key: slot in [0, held_out_slots). No dropout is
 * implied. */
int64_t data_source_held_out_slots(const struct data_source *source);
MUST_CHECK enum status data_source_fill_held_out(const struct data_source *source, int64_t slot,
                                                 struct batch *batch, struct error *error);

#endif
