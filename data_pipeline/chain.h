/* Sequences as XLNet reads them: text, separator, class token last (segments 0, 0, 2); which tokens
 * are predicted, in which order (permutation.h); in a chain of rows that follow each other in the
 * corpus, so that a sequence may remember the ones before it; some chains from the last token to
 * the first. A sequence continues the one before it in the batch where its text does, in that
 * direction. All of it is a pure function of (seed, epoch, corpus, place): memory is made of the
 * slot's own tokens (model/streams.h), and no state passes from slot to slot. */
#ifndef SHARDLM_DATA_PIPELINE_CHAIN_H
#define SHARDLM_DATA_PIPELINE_CHAIN_H

#include "data_pipeline/batch.h"
#include "data_pipeline/corpus_index.h"
#include "data_pipeline/permutation.h"

enum { CHAIN_CLASS_SEGMENT = 2 };

/* Scratch, and the text of the sequence before. */
struct chain_work {
    enum permutation_kind *kinds; /* (T) */
    int32_t *ranks;               /* (T) */
    struct corpus_part first;     /* first and last part of the sequence before; count 0: none */
    struct corpus_part last;
};

struct chain_place {
    uint64_t seed;
    int64_t epoch;
    double fraction; /* of the ordinary tokens: predicted */
    bool begins;     /* the row is the first of its chain */
    bool reversed;
};

void chain_work_init(struct chain_work *work, int64_t sequence_tokens);
void chain_work_deinit(struct chain_work *work);

/* Whether chain `number` of the epoch's is read backwards: every other one in expectation. */
bool chain_is_reversed(uint64_t seed, int64_t epoch, int64_t number);
/* Puts the sequences of `row` behind what the batch holds; the row's ids are used up. */
void chain_append(struct batch *batch, const struct sampling_table *table,
                  const struct chain_place *place, struct corpus_row *row, struct chain_work *work);

#endif
