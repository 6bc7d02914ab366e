/* See batch_writer.h. */
#include "data_pipeline/batch_writer.h"

#include <string.h>

#include "base/memory.h"

void batch_writer_init(struct batch_writer *writer, const struct data_options *options,
                       const struct sampling_table *table, const struct sampling_rules *rules,
                       int64_t sequences_max, int64_t parts_max)
{
    const size_t tokens = (size_t)options->sequence_tokens;
    struct corpus_row *const row = &writer->row;
    *writer = (struct batch_writer){.options = options, .table = table, .rules = rules};
    row->ids = memory_take(tokens, sizeof *row->ids, "slot");
    row->sequence_begins = memory_take((size_t)sequences_max, sizeof *row->sequence_begins, "slot");
    row->second_begins = memory_take((size_t)sequences_max, sizeof *row->second_begins, "slot");
    row->labels = memory_take((size_t)sequences_max, sizeof *row->labels, "slot");
    row->parts = memory_take((size_t)parts_max, sizeof *row->parts, "slot");
    sampling_work_init(&writer->sampling, options->sequence_tokens);
    chain_work_init(&writer->chain, options->sequence_tokens);
}

void batch_writer_deinit(struct batch_writer *writer)
{
    chain_work_deinit(&writer->chain);
    sampling_work_deinit(&writer->sampling);
    memory_release(writer->row.parts);
    memory_release(writer->row.labels);
    memory_release(writer->row.second_begins);
    memory_release(writer->row.sequence_begins);
    memory_release(writer->row.ids);
}

/* Masks the row, whose first token gets row `first_row` of the batch. */
static void write_masked(struct batch_writer *writer, struct batch *batch,
                         const struct chain_place *place, int64_t first_row)
{
    const struct corpus_row *const row = &writer->row;
    struct sampling_targets targets = {
        .count = batch->target_count,
        .rows = batch->target_rows,
        .ids = batch->target_ids,
        .left_rows = batch->left_rows,
        .right_rows = batch->right_rows,
        .span_places = batch->span_places,
    };
    for (int64_t i = 0; i < row->part_count; i++) {
        const struct corpus_part *const part = &row->parts[i];
        const struct sampling_draw draw = sampling_draw_make(
            writer->options, place->seed, place->epoch, part->document, part->offset);
        sampling_mask(writer->table, writer->rules, &draw, &writer->sampling,
                      row->ids + part->begin, part->count, first_row + part->begin, &targets);
    }
    batch->target_count = targets.count;
}

/* Each row of the sequence [begin, end) but the last predicts the next one's token. */
static void write_next(struct batch *batch, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i + 1 < end; i++) {
        const int64_t k = batch->target_count++;
        batch->target_rows[k] = (int32_t)i;
        batch->target_ids[k] = batch->ids[i + 1];
        batch->left_rows[k] = -1;
        batch->right_rows[k] = -1;
        batch->span_places[k] = -1;
    }
}

void batch_writer_append(struct batch_writer *writer, struct batch *batch,
                         const struct chain_place *place)
{
    if (writer->rules->objective == DATA_OBJECTIVE_PERMUTATION) {
        chain_append(batch, writer->table, place, &writer->row, &writer->chain);
        return;
    }
    const struct corpus_row *const row = &writer->row;
    const int64_t first_row = batch->token_count;
    const bool causal = writer->rules->objective == DATA_OBJECTIVE_CAUSAL;
    if (!causal) {
        write_masked(writer, batch, place, first_row);
    }
    memcpy(batch->ids + first_row, row->ids, (size_t)row->token_count * sizeof *row->ids);
    for (int64_t i = 0; i < row->sequence_count; i++) {
        const int64_t begin = row->sequence_begins[i];
        const int64_t end =
            i + 1 < row->sequence_count ? row->sequence_begins[i + 1] : row->token_count;
        batch->sequence_labels[batch->sequence_count] = row->labels[i];
        batch->starts[batch->sequence_count++] = (int32_t)(first_row + begin);
        for (int64_t j = begin; j < end; j++) {
            batch->positions[first_row + j] = (int32_t)(j - begin);
            batch->segments[first_row + j] = j >= row->second_begins[i];
        }
        if (causal) {
            write_next(batch, first_row + begin, first_row + end);
        }
    }
    batch->token_count += row->token_count;
    batch->starts[batch->sequence_count] = (int32_t)batch->token_count;
}

void batch_writer_begin(const struct batch_writer *writer, struct batch *batch,
                        struct random_key dropout_key, float sequence_weight)
{
    batch->permuted = writer->rules->objective == DATA_OBJECTIVE_PERMUTATION;
    batch->chained = batch->permuted;
    batch->sequence_weight = sequence_weight;
    batch->sequence_count = 0;
    batch->token_count = 0;
    batch->target_count = 0;
    batch->starts[0] = 0;
    batch->dropout_key = dropout_key;
}
