/* Masks over several words in a row: n-grams (ALBERT) and spans (SpanBERT). A run's length in words
 * is drawn from a table; its first word is uniform among the words that are still free, and each
 * word is tried once. The run ends before a special token, a word that is taken, the part's end, or
 * a word that would exceed the budget, so lengths that are placed are somewhat shorter than drawn
 * ones. Runs never overlap; two may touch. */
#ifndef SHARDLM_DATA_PIPELINE_SAMPLING_RUNS_H
#define SHARDLM_DATA_PIPELINE_SAMPLING_RUNS_H

#include "data_pipeline/sampling.h"

enum { SAMPLING_COUNTER_FIRST = 1, SAMPLING_RUN_WORDS_MAX = 16 };

/* How long runs are: length l = 1 .. longest has a probability in proportion to weights[l - 1]. */
struct sampling_run_lengths {
    int64_t longest;
    double weights[SAMPLING_RUN_WORDS_MAX];
};

extern const struct sampling_run_lengths sampling_ngrams; /* 1/l, l <= 3 */
extern const struct sampling_run_lengths sampling_spans;  /* 0.2 * 0.8^(l - 1), l <= 10 */

/* The length for a uniform number in [0, 1): the distribution function, inverted. */
int64_t sampling_run_length(const struct sampling_run_lengths *lengths, double uniform);

/* Pieces of the word that begins at ids[first]. */
int64_t sampling_word_length(const struct sampling_table *table, const int32_t *ids, int64_t count,
                             int64_t first);

/* Sets work->chosen (zeroed by the caller) and, where chosen, span_begins and span_ends. */
void sampling_choose_runs(const struct sampling_table *table,
                          const struct sampling_run_lengths *lengths,
                          const struct sampling_draw *draw, const int32_t *ids, int64_t count,
                          int64_t budget, struct sampling_work *work);

#endif
