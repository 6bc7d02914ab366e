/* See sampling.h. */
#include "data_pipeline/sampling.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* Counters below (draw->choice, part): 0 is the count's U; 1 + i decides token or word i. */
enum { COUNTER_COUNT = 0, COUNTER_FIRST = 1 };

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

void sampling_table_deinit(struct sampling_table *table)
{
    memory_release(table->flags);
    memory_release(table->ordinary);
    *table = (struct sampling_table){0};
}

void sampling_work_init(struct sampling_work *work, int64_t count)
{
    work->chosen = memory_take((size_t)count, 1, "sampling");
    work->words = memory_take((size_t)count, sizeof *work->words, "sampling");
}

void sampling_work_deinit(struct sampling_work *work)
{
    memory_release(work->chosen);
    memory_release(work->words);
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

/* Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S): every subset of `budget` tokens is equally likely. */
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

/* Pieces of the word that begins at `first`. */
static int64_t word_length(const struct sampling_table *table, const int32_t *ids, int64_t count,
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
        const int64_t length = word_length(table, ids, count, word);
        if (length <= left) {
            memset(work->chosen + word, 1, (size_t)length);
            left -= length;
        }
    }
}

/* One block decides: its first half which kind of replacement, its second half which token. */
static int32_t draw_replacement(const struct sampling_table *table,
                                const struct sampling_rules *rules,
                                const struct sampling_draw *draw, int64_t place, int32_t id)
{
    const struct random_block block = random_at(draw->replacement, draw->part, (uint64_t)place);
    const double kind = random_unit(block);
    if (kind < rules->mask_share) {
        return table->mask;
    }
    if (kind < rules->mask_share + rules->random_share) {
        const struct random_block second = {{block.word[2], block.word[3], 0, 0}};
        return table->ordinary[random_below(second, (uint64_t)table->ordinary_count)];
    }
    return id;
}

int64_t sampling_mask(const struct sampling_table *table, const struct sampling_rules *rules,
                      const struct sampling_draw *draw, struct sampling_work *work, int32_t *ids,
                      int64_t count, int64_t first_row, int32_t *target_rows, int32_t *target_ids)
{
    const int64_t maskable = count_maskable(table, ids, count);
    const int64_t budget = draw_budget(rules, draw, maskable);
    memset(work->chosen, 0, (size_t)count);
    if (rules->whole_words) {
        choose_words(table, draw, ids, count, budget, work);
    } else {
        choose_tokens(table, draw, ids, count, maskable, budget, work->chosen);
    }
    int64_t target_count = 0;
    for (int64_t i = 0; i < count; i++) {
        if (work->chosen[i]) {
            target_rows[target_count] = (int32_t)(first_row + i);
            target_ids[target_count] = ids[i];
            target_count++;
            ids[i] = draw_replacement(table, rules, draw, i, ids[i]);
        }
    }
    return target_count;
}
