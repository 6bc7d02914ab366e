/* See sampling_runs.h. */
#include "data_pipeline/sampling_runs.h"

const struct sampling_run_lengths sampling_ngrams = {3, {1.0, 1.0 / 2.0, 1.0 / 3.0}};

/* Powers of 0.8: a common factor does not matter. The tail above 10 is cut, not put on 10. */
const struct sampling_run_lengths sampling_spans = {
    10,
    {1.0, 0.8, 0.64, 0.512, 0.4096, 0.32768, 0.262144, 0.2097152, 0.16777216, 0.134217728},
};

int64_t sampling_run_length(const struct sampling_run_lengths *lengths, double uniform)
{
    double sum = 0;
    for (int64_t i = 0; i < lengths->longest; i++) {
        sum += lengths->weights[i];
    }
    double left = uniform * sum;
    int64_t length = 1;
    while (length < lengths->longest && left >= lengths->weights[length - 1]) {
        left -= lengths->weights[length - 1];
        length++;
    }
    return length;
}

/* Chooses the run of at most `word_count` words that begins at `first`; returns its pieces. */
static int64_t choose_run(const struct sampling_table *table, const int32_t *ids, int64_t count,
                          int64_t first, int64_t word_count, int64_t left,
                          struct sampling_work *work)
{
    int64_t end = first;
    for (int64_t i = 0; i < word_count && end < count; i++) {
        if ((table->flags[ids[end]] & SAMPLING_FLAG_SPECIAL) != 0 || work->chosen[end]) {
            break;
        }
        const int64_t length = sampling_word_length(table, ids, count, end);
        if (end + length - first > left) {
            break;
        }
        end += length;
    }
    for (int64_t i = first; i < end; i++) {
        work->chosen[i] = 1;
        work->span_begins[i] = (int32_t)first;
        work->span_ends[i] = (int32_t)end;
    }
    return end - first;
}

/* First words in the order of a Fisher-Yates shuffle; the second half of its block gives the
 * length. */
void sampling_choose_runs(const struct sampling_table *table,
                          const struct sampling_run_lengths *lengths,
                          const struct sampling_draw *draw, const int32_t *ids, int64_t count,
                          int64_t budget, struct sampling_work *work)
{
    int32_t *const words = work->words;
    const int64_t word_count = sampling_find_words(table, ids, count, words);
    int64_t left = budget;
    for (int64_t i = 0; i < word_count && left > 0; i++) {
        const struct random_block block =
            random_at(draw->choice, draw->part, SAMPLING_COUNTER_FIRST + (uint64_t)i);
        const int64_t j = i + (int64_t)random_below(block, (uint64_t)(word_count - i));
        const int32_t first = words[j];
        words[j] = words[i];
        words[i] = first;
        const struct random_block second = {{block.word[2], block.word[3], 0, 0}};
        const int64_t length = sampling_run_length(lengths, random_unit(second));
        left -= choose_run(table, ids, count, first, length, left, work);
    }
}
