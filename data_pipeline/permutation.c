/* See permutation.h. Counters of the target key (part): 0, 1, … for the stretches, then
 * COUNTER_SINGLE + i for token i. */
#include "data_pipeline/permutation.h"

#include "base/error.h"
#include "data_pipeline/sampling_runs.h"

static const uint64_t COUNTER_SINGLE = UINT64_C(1) << 32;

static const struct sampling_run_lengths span_lengths = {
    PERMUTATION_SPAN_WORDS_MAX, {1.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0, 1.0 / 5.0}};

struct permutation_draw permutation_draw_make(uint64_t seed, int64_t epoch, int64_t document,
                                              int64_t offset)
{
    return (struct permutation_draw){
        .targets = random_key_make(seed, RANDOM_PURPOSE_PERMUTATION_TARGET, (uint64_t)epoch),
        .order = random_key_make(seed, RANDOM_PURPOSE_PERMUTATION_ORDER, (uint64_t)epoch),
        .part = ((uint64_t)document << 32) | (uint64_t)offset,
    };
}

int64_t permutation_span_words(double uniform)
{
    return sampling_run_length(&span_lengths, uniform);
}

static bool begins_word(const struct sampling_table *table, const int32_t *ids, int64_t place)
{
    const unsigned char flags = table->flags[ids[place]];
    if ((flags & SAMPLING_FLAG_SPECIAL) != 0) {
        return false;
    }
    return (flags & SAMPLING_FLAG_BEGINS_WORD) != 0 || place == 0 ||
           (table->flags[ids[place - 1]] & SAMPLING_FLAG_SPECIAL) != 0;
}

/* Marks up to `word_count` words from `begin` as targets: no more than `room` tokens, nothing over
 * a special token. Returns the place behind them. */
static int64_t mark_span(const struct sampling_table *table, const int32_t *ids, int64_t count,
                         int64_t begin, int64_t word_count, int64_t room,
                         enum permutation_kind *kinds)
{
    int64_t end = begin;
    for (int64_t i = 0; i < word_count && end < count; i++) {
        if ((table->flags[ids[end]] & SAMPLING_FLAG_SPECIAL) != 0) {
            break;
        }
        const int64_t length = sampling_word_length(table, ids, count, end);
        if (end + length - begin > room) {
            break;
        }
        end += length;
    }
    for (int64_t i = begin; i < end; i++) {
        kinds[i] = PERMUTATION_KIND_TARGET;
    }
    return end;
}

/* Spans of words with their context, from the left; returns the number of targets. */
static int64_t choose_spans(const struct sampling_table *table, const struct permutation_draw *draw,
                            const int32_t *ids, int64_t count, int64_t goal,
                            enum permutation_kind *kinds)
{
    int64_t target_count = 0;
    int64_t place = 0;
    for (uint64_t stretch = 0; place < count && target_count < goal; stretch++) {
        const struct random_block block = random_at(draw->targets, draw->part, stretch);
        const struct random_block second = {{block.word[2], block.word[3], 0, 0}};
        const int64_t left = goal - target_count;
        const int64_t drawn = permutation_span_words(random_unit(block));
        const int64_t words = drawn < left ? drawn : left;
        const int64_t before =
            (int64_t)random_below(second, (uint64_t)(words * PERMUTATION_CONTEXT));
        int64_t begin = place + before;
        while (begin < count && !begins_word(table, ids, begin)) {
            begin++;
        }
        if (begin >= count) {
            break;
        }
        const int64_t end = mark_span(table, ids, count, begin, words, left, kinds);
        const int64_t behind = (end - begin) * PERMUTATION_CONTEXT - before;
        target_count += end - begin;
        place = end + (behind > 0 ? behind : 0);
    }
    return target_count;
}

/* Every subset of `needed` of the `free` context tokens is equally likely (algorithm S, see
 * sampling.c). */
static void choose_singles(const struct permutation_draw *draw, int64_t count, int64_t free,
                           int64_t needed, enum permutation_kind *kinds)
{
    for (int64_t i = 0; i < count && needed > 0; i++) {
        if (kinds[i] != PERMUTATION_KIND_CONTEXT) {
            continue;
        }
        const struct random_block block =
            random_at(draw->targets, draw->part, COUNTER_SINGLE + (uint64_t)i);
        if (random_below(block, (uint64_t)free) < (uint64_t)needed) {
            kinds[i] = PERMUTATION_KIND_TARGET;
            needed--;
        }
        free--;
    }
}

int64_t permutation_choose_targets(const struct sampling_table *table,
                                   const struct permutation_draw *draw, const int32_t *ids,
                                   int64_t count, int64_t goal, enum permutation_kind *kinds)
{
    INVARIANT(count >= 0 && goal >= 0);
    int64_t free = 0;
    for (int64_t i = 0; i < count; i++) {
        const bool special = (table->flags[ids[i]] & SAMPLING_FLAG_SPECIAL) != 0;
        kinds[i] = special ? PERMUTATION_KIND_FUNCTIONAL : PERMUTATION_KIND_CONTEXT;
        free += !special;
    }
    const int64_t wanted = goal < free ? goal : free;
    const int64_t chosen = choose_spans(table, draw, ids, count, wanted, kinds);
    choose_singles(draw, count, free - chosen, wanted - chosen, kinds);
    return wanted;
}

void permutation_draw_ranks(const struct permutation_draw *draw, int64_t count, int64_t block,
                            int32_t *ranks)
{
    INVARIANT(count <= INT32_MAX && block >= 1);
    for (int64_t begin = 0; begin < count; begin += block) {
        const int64_t end = begin + block < count ? begin + block : count;
        for (int64_t i = begin; i < end; i++) { /* Fisher-Yates */
            const struct random_block bits = random_at(draw->order, draw->part, (uint64_t)i);
            const int64_t j = begin + (int64_t)random_below(bits, (uint64_t)(i - begin + 1));
            ranks[i] = (int32_t)i;
            const int32_t rank = ranks[j];
            ranks[j] = ranks[i];
            ranks[i] = rank;
        }
    }
}

void permutation_make_orders(const enum permutation_kind *kinds, const int32_t *ranks,
                             int64_t count, int32_t *orders, int32_t *horizons)
{
    for (int64_t i = 0; i < count; i++) {
        const bool context = kinds[i] == PERMUTATION_KIND_CONTEXT;
        orders[i] = context ? -1 : ranks[i];
        horizons[i] = context ? 0 : ranks[i] + (kinds[i] == PERMUTATION_KIND_FUNCTIONAL);
    }
}
