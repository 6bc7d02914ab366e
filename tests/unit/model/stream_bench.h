/* A tiny XLNet and a tiny batch of chained sequences for it. */
#ifndef SHARDLM_TESTS_UNIT_MODEL_STREAM_BENCH_H
#define SHARDLM_TESTS_UNIT_MODEL_STREAM_BENCH_H

#include "data_pipeline/permutation.h"
#include "tests/unit/model/model_bench.h"

static inline struct model_options xlnet_tiny(double dropout)
{
    struct model_options options = options_tiny(MODEL_NORM_POST, dropout);
    options.family = MODEL_FAMILY_XLNET;
    options.hidden = 14;
    options.heads = 2;
    options.position_offset = 0;
    options.pad_id = -1;
    options.memory_tokens = 9;
    return options;
}

/* The tiny batch as a chain of two sequences and one that begins anew. Sequence 0 predicts nothing;
 * in the others the place of rank (place + 1)·5 mod 13 comes first for the lowest: 7, 10, 1, 4 in
 * the longest. */
static inline struct batch batch_chained(bool permuted, bool reversed)
{
    struct batch batch = batch_tiny();
    int64_t kept = 0;
    enum permutation_kind kinds[40] = {0};
    int32_t ranks[40];
    for (int64_t k = 0; k < batch.target_count; k++) {
        if (batch.target_rows[k] >= batch.starts[1]) {
            kinds[batch.target_rows[k]] = PERMUTATION_KIND_TARGET;
            batch.target_rows[kept] = batch.target_rows[k];
            batch.target_ids[kept++] = batch.target_ids[k];
        }
    }
    batch.target_count = kept;
    kinds[batch.starts[2] - 1] = PERMUTATION_KIND_FUNCTIONAL;
    for (int64_t row = 0; row < batch.token_count; row++) {
        ranks[row] = (batch.positions[row] + 1) * 5 % 13;
    }
    permutation_make_orders(kinds, ranks, batch.token_count, batch.orders, batch.horizons);
    batch.permuted = permuted;
    batch.chained = true;
    for (int64_t b = 0; b < batch.sequence_count; b++) {
        batch.continues[b] = b == 1;
        batch.reversed[b] = reversed && b < 2;
    }
    return batch;
}

#endif
