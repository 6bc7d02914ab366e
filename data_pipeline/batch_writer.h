/* Rows of text become what a batch holds: tokens, sequences, and what is to be predicted of them.
 * One writer for each fill; it keeps the scratch of a row. */
#ifndef SHARDLM_DATA_PIPELINE_BATCH_WRITER_H
#define SHARDLM_DATA_PIPELINE_BATCH_WRITER_H

#include "data_pipeline/chain.h"
#include "data_pipeline/sampling.h"

struct batch_writer {
    const struct data_options *options; /* these three are borrowed */
    const struct sampling_table *table;
    const struct sampling_rules *rules;
    struct corpus_row row; /* to be filled before each append, and used up by it */
    struct sampling_work sampling;
    struct chain_work chain;
};

/* For rows of so many sequences and parts at most. */
void batch_writer_init(struct batch_writer *writer, const struct data_options *options,
                       const struct sampling_table *table, const struct sampling_rules *rules,
                       int64_t sequences_max, int64_t parts_max);
void batch_writer_deinit(struct batch_writer *writer);

/* Empties the batch. */
void batch_writer_begin(const struct batch_writer *writer, struct batch *batch,
                        struct random_key dropout_key, float sequence_weight);
/* Puts the row behind what the batch holds. */
void batch_writer_append(struct batch_writer *writer, struct batch *batch,
                         const struct chain_place *place);

#endif
