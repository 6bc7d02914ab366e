/* See sampling.h. */
#include "data_pipeline/sampling.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data_pipeline/sampling_runs.h"

/* Counters below (draw->choice, part): 0 is the count's U; 1 + i decides token, word or run i. */
enum { COUNTER_COUNT = 0, COUNTER_FIRST = SAMPLING_COUNTER_FIRST };

static void table_mark_special(struct sampling_table *table, int32_t id)
{
    if (id >= 0 && id < table->vocabulary) {
        table->flags[id] |= SAMPLING_FLAG_SPECIAL;
    }
}

void sampling_table_init(struct sampling_table *table, const struct tokenizer *tokenizer,
                         int64_t vocabulary, struct tokenizer_specials specials)
{
    *table = (struct sampling_table){.vocabulary = vocabulary, .mask = specials.mask};
    table->flags = memory_take((size_t)vocabulary, 1, "sampling table");
    table->ordinary = memory_take((size_t)vocabulary, sizeof *table->ordinary, "sampling table");
    table_mark_special(table, specials.bos);
    table_mark_special(table, specials.pad);
    table_mark_special(table, specials.eos);
    table_mark_special(table, specials.unk);
    table_mark_special(table, specials.mask);
    for (int32_t id = 0; id < vocabulary; id++) {
        if (tokenizer != NULL && tokenizer_is_special(tokenizer, id)) {
            table_mark_special(table, id);
        }
        if (tokenizer != NULL && tokenizer_begins_word(tokenizer, id)) {
            table->flags[id] |= SAMPLING_FLAG_BEGINS_WORD;
        }
        if (!(table->flags[id] & SAMPLING_FLAG_SPECIAL)) {
            table->ordinary[table->ordinary_count++] = id;
        }
    }
}

void sampling_table_weigh(struct sampling_table *table, const int64_t *counts)
{
    INVARIANT(table->ordinary_ends == NULL && table->ordinary_count > 0);
    table->ordinary_ends =
        memory_take((size_t)table->ordinary_count, sizeof *table->ordinary_ends, "sampling table");
    int64_t sum = 0;
    for (int64_t i = 0; i < table->ordinary_count; i++) {
        sum += counts[table->ordinary[i]];
        table->ordinary_ends[i] = sum;
    }
    INVARIANT(sum > 0);
}

void sampling_table_deinit(struct sampling_table *table)
{
    memory_release(table->ordinary_ends);
    memory_release(table->flags);
    memory_release(table->ordinary);
    *table = (struct sampling_table){0};
}

void sampling_work_init(struct sampling_work *work, int64_t count)
{
    work->chosen = memory_take((size_t)count, 1, "sampling");
    work->words = memory_take((size_t)count, sizeof *work->words, "sampling");
    work->span_begins = memory_take((size_t)count, sizeof *work->span_begins, "sampling");
    work->span_ends = memory_take((size_t)count, sizeof *work->span_ends, "sampling");
}

void sampling_work_deinit(struct sampling_work *work)
{
    memory_release(work->chosen);
    memory_release(work->words);
    memory_release(work->span_begins);
    memory_release(work->span_ends);
    *work = (struct sampling_work){0};
}

struct sampling_draw sampling_draw_make(const struct data_options *options, uint64_t seed,
                                        int64_t epoch, int64_t document, int64_t offset)
{
    const bool fixed = options->objective == DATA_OBJECTIVE_STATIC_MASK;
    const uint64_t index = (uint64_t)(fixed ? epoch % options->mask_copies : epoch);
    return (struct sampling_draw){
        .choice = random_key_make(seed, RANDOM_PURPOSE_MASK_CHOICE, index),
        .replacement = random_key_make(seed, RANDOM_PURPOSE_MASK_REPLACEMENT, index),
        .part = ((uint64_t)document << 32) | (uint64_t)offset,
    };
}

int64_t sampling_targets_max(double fraction, int64_t count, int64_t part_count)
{
    const int64_t most = (int64_t)(fraction * (double)count) + part_count;
    return most < count ? most : count;
}

static bool is_special(const struct sampling_table *table, int32_t id)
{
    return (table->flags[id] & SAMPLING_FLAG_SPECIAL) != 0;
}

static int64_t count_maskable(const struct sampling_table *table, const int32_t *ids, int64_t count)
{
    int64_t maskable = 0;
    for (int64_t i = 0; i < count; i++) {
        maskable += !is_special(table, ids[i]);
    }
    return maskable;
}

/* int(fraction * n + U), at most n: the expected share is exactly `fraction`. */
static int64_t draw_budget(const struct sampling_rules *rules, const struct sampling_draw *draw,
                           int64_t maskable)
{
    const double uniform = random_unit(random_at(draw->choice, draw->part, COUNTER_COUNT));
    const int64_t budget = (int64_t)(rules->fraction * (double)maskable + uniform);
    return budget < maskable ? budget : maskable;
}

/* Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S): every subset of `budget` tokens is
 * equally likely. */
static void choose_tokens(const struct sampling_table *table, const struct sampling_draw *draw,
                          const int32_t *ids, int64_t count, int64_t maskable, int64_t budget,
                          unsigned char *chosen)
{
    uint64_t left = (uint64_t)maskable;
    uint64_t needed = (uint64_t)budget;
    for (int64_t i = 0; i < count && needed > 0; i++) {
        if (is_special(table, ids[i])) {
            continue;
        }
        const struct random_block block =
            random_at(draw->choice, draw->part, COUNTER_FIRST + (uint64_t)i);
        if (random_below(block, left) < needed) {
            chosen[i] = 1;
            needed--;
        }
        left--;
    }
}

int64_t sampling_find_words(const struct sampling_table *table, const int32_t *ids, int64_t count,
                            int32_t *words)
{
    int64_t word_count = 0;
    bool inside = false;
    for (int64_t i = 0; i < count; i++) {
        const bool special = is_special(table, ids[i]);
        const bool begins = (table->flags[ids[i]] & SAMPLING_FLAG_BEGINS_WORD) != 0;
        if (!special && (begins || !inside)) {
            words[word_count++] = (int32_t)i;
        }
        inside = !special;
    }
    return word_count;
}

int64_t sampling_word_length(const struct sampling_table *table, const int32_t *ids, int64_t count,
                             int64_t first)
{
    int64_t end = first + 1;
    while (end < count && table->flags[ids[end]] == 0) {
        end++;
    }
    return end - first;
}

/* Words in the order of a Fisher-Yates shuffle, each taken if it still fits the budget. */
static void choose_words(const struct sampling_table *table, const struct sampling_draw *draw,
                         const int32_t *ids, int64_t count, int64_t budget,
                         struct sampling_work *work)
{
    int32_t *const words = work->words;
    const int64_t word_count = sampling_find_words(table, ids, count, words);
    int64_t left = budget;
    for (int64_t i = 0; i < word_count && left > 0; i++) {
        const struct random_block block =
            random_at(draw->choice, draw->part, COUNTER_FIRST + (uint64_t)i);
        const int64_t j = i + (int64_t)random_below(block, (uint64_t)(word_count - i));
        const int32_t word = words[j];
        words[j] = words[i];
        words[i] = word;
        const int64_t length = sampling_word_length(table, ids, count, word);
        if (length <= left) {
            memset(work->chosen + word, 1, (size_t)length);
            left -= length;
        }
    }
}

/* An ordinary token: each alike, or by its count. */
static int32_t draw_token(const struct sampling_table *table, struct random_block block)
{
    if (table->ordinary_ends == NULL) {
        return table->ordinary[random_below(block, (uint64_t)table->ordinary_count)];
    }
    const int64_t total = table->ordinary_ends[table->ordinary_count - 1];
    const int64_t wanted = (int64_t)random_below(block, (uint64_t)total);
    int64_t begin = 0; /* the first token whose end lies above `wanted` is in [begin, end] */
    int64_t end = table->ordinary_count - 1;
    while (begin < end) {
        const int64_t middle = begin + (end - begin) / 2;
        if (table->ordinary_ends[middle] > wanted) {
            end = middle;
        } else {
            begin = middle + 1;
        }
    }
    return table->ordinary[begin];
}

/* The first half of the block at `kind_place` decides which kind of replacement, the second half of
 * that at `place` which token. */
static int32_t draw_replacement(const struct sampling_table *table,
                                const struct sampling_rules *rules,
                                const struct sampling_draw *draw, int64_t kind_place, int64_t place,
                                int32_t id)
{
    const double kind = random_unit(random_at(draw->replacement, draw->part, (uint64_t)kind_place));
    if (kind < rules->mask_share) {
        return table->mask;
    }
    if (kind < rules->mask_share + rules->random_share) {
        const struct random_block block = random_at(draw->replacement, draw->part, (uint64_t)place);
        return draw_token(table, (struct random_block){{block.word[2], block.word[3], 0, 0}});
    }
    return id;
}

static void choose(const struct sampling_table *table, const struct sampling_rules *rules,
                   const struct sampling_draw *draw, const int32_t *ids, int64_t count,
                   struct sampling_work *work)
{
    const int64_t maskable = count_maskable(table, ids, count);
    const int64_t budget = draw_budget(rules, draw, maskable);
    memset(work->chosen, 0, (size_t)count);
    switch (rules->objective) {
    case DATA_OBJECTIVE_DYNAMIC_MASK:
    case DATA_OBJECTIVE_STATIC_MASK:
        choose_tokens(table, draw, ids, count, maskable, budget, work->chosen);
        break;
    case DATA_OBJECTIVE_WHOLE_WORD_MASK:
        choose_words(table, draw, ids, count, budget, work);
        break;
    case DATA_OBJECTIVE_NGRAM_MASK:
        sampling_choose_runs(table, &sampling_ngrams, draw, ids, count, budget, work);
        break;
    case DATA_OBJECTIVE_SPAN_MASK:
        sampling_choose_runs(table, &sampling_spans, draw, ids, count, budget, work);
        break;
    case DATA_OBJECTIVE_CAUSAL:
    case DATA_OBJECTIVE_PERMUTATION:
        INVARIANT(rules->objective < DATA_OBJECTIVE_CAUSAL); /* they mask nothing */
    }
}

void sampling_mask(const struct sampling_table *table, const struct sampling_rules *rules,
                   const struct sampling_draw *draw, struct sampling_work *work, int32_t *ids,
                   int64_t count, int64_t first_row, struct sampling_targets *targets)
{
    const bool spans = rules->objective == DATA_OBJECTIVE_SPAN_MASK;
    choose(table, rules, draw, ids, count, work);
    for (int64_t i = 0; i < count; i++) {
        if (!work->chosen[i]) {
            continue;
        }
        const int64_t begin = spans ? work->span_begins[i] : i;
        const bool bounded = spans && begin > 0 && work->span_ends[i] < count;
        const int64_t k = targets->count++;
        targets->rows[k] = (int32_t)(first_row + i);
        targets->ids[k] = ids[i];
        targets->left_rows[k] = bounded ? (int32_t)(first_row + begin - 1) : -1;
        targets->right_rows[k] = bounded ? (int32_t)(first_row + work->span_ends[i]) : -1;
        targets->span_places[k] = bounded ? (int32_t)(i - begin) : -1;
        ids[i] = draw_replacement(table, rules, draw, begin, i, ids[i]);
    }
}
