/* Substrings by a sorted array of suffixes: those that share their first D characters are
 * neighbours, and each maximal run of them is a substring of length D with its count. Suffixes end
 * with their word, and are compared up to the length that matters. */
#include "data_pipeline/train_seeds.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/unicode_form.h"
#include "data_pipeline/utf8.h"

enum {
    WORD_END = 0, /* also in the place of a character that is not covered */
    SPACE_SYMBOL = 0x2581,
    POINT_COUNT = 0x110000,
};

/* Coarse scripts: what Unicode's scripts are told apart for here. */
enum script {
    SCRIPT_ANY,
    SCRIPT_COMMON,
    SCRIPT_LATIN,
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_HANGUL,
    SCRIPT_HAN,
    SCRIPT_BLOCK /* and above: 128 code points each */
};

struct character_count {
    uint32_t code_point;
    int64_t count;
};

/* A run of suffixes that share `length` characters, still open to the right. */
struct open_run {
    size_t first;
    int length;
};

struct candidate {
    const uint32_t *begin;
    int length;
    int64_t covered;
};

struct seed_work {
    int64_t *counts;  /* by code point */
    bool *covered;    /* by code point */
    uint32_t *points; /* all words, each with WORD_END behind */
    int64_t *weights; /* of the word that each point is in */
    size_t point_count;
    const uint32_t **suffixes;
    size_t suffix_count;
    int64_t *sums; /* of weights before a suffix */
    struct candidate *candidates;
    size_t candidate_count;
    size_t candidate_capacity;
};

static bool is_han(uint32_t c)
{
    return (c >= 0x2e80 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0xff66 && c <= 0xff9d) || (c >= 0x20000 && c <= 0x3ffff); /* kana too */
}

static uint32_t script_of(uint32_t c, uint32_t before)
{
    if (c == SPACE_SYMBOL) {
        return SCRIPT_ANY;
    }
    if (unicode_is_mark(c)) {
        return before;
    }
    if (unicode_class_of(c) != UNICODE_CLASS_LETTER) {
        return SCRIPT_COMMON;
    }
    if (c < 0x370 || (c >= 0x1d00 && c <= 0x1eff) || (c >= 0x2c60 && c <= 0x2c7f) ||
        (c >= 0xa720 && c <= 0xa7ff) || (c >= 0xff21 && c <= 0xff5a)) {
        return SCRIPT_LATIN;
    }
    if (c < 0x400 || (c >= 0x1f00 && c <= 0x1fff)) {
        return SCRIPT_GREEK;
    }
    if (c < 0x530) {
        return SCRIPT_CYRILLIC;
    }
    if ((c >= 0xac00 && c <= 0xd7ff) || (c >= 0x1100 && c <= 0x11ff)) {
        return SCRIPT_HANGUL;
    }
    return is_han(c) ? SCRIPT_HAN : SCRIPT_BLOCK + (c >> 7);
}

/* May the characters be one piece? */
static bool is_piece(const uint32_t *points, int count)
{
    uint32_t before = SCRIPT_ANY;
    for (int i = 0; i < count; i++) {
        if (i > 0 && points[i] == SPACE_SYMBOL) {
            return false;
        }
        const uint32_t script = script_of(points[i], before);
        if (before != SCRIPT_ANY && script != SCRIPT_ANY && script != before) {
            return false;
        }
        before = script;
    }
    return true;
}

static int more_frequent_first(const void *a, const void *b)
{
    const struct character_count *const x = a;
    const struct character_count *const y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    return (x->code_point > y->code_point) - (x->code_point < y->code_point);
}

static void add_piece(struct train_seeds *seeds, const uint32_t *points, int count, double value)
{
    char text[SEED_CHARACTERS_MAX * UTF8_SEQUENCE_BYTES];
    size_t size_bytes = 0;
    for (int i = 0; i < count; i++) {
        size_bytes += utf8_encode(points[i], text + size_bytes);
    }
    const int64_t before = seeds->pieces.count;
    const int32_t id = token_table_add(&seeds->pieces, text, size_bytes);
    if (id == before) {
        seeds->counts[id] = value;
    }
}

/* Counts characters, and makes pieces of those that cover enough. */
static void take_characters(struct seed_work *work, struct train_seeds *seeds,
                            const struct weighted_word *words, size_t count, double coverage)
{
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < words[i].size_bytes;) {
            uint32_t code_point = 0;
            at += utf8_decode(words[i].bytes + at, words[i].size_bytes - at, &code_point, NULL);
            work->counts[code_point] += words[i].weight;
            total += words[i].weight;
        }
    }
    struct character_count *const all = memory_take(POINT_COUNT, sizeof *all, "characters");
    size_t different = 0;
    for (uint32_t code_point = 1; code_point < POINT_COUNT; code_point++) {
        if (work->counts[code_point] > 0) {
            all[different++] = (struct character_count){code_point, work->counts[code_point]};
        }
    }
    qsort(all, different, sizeof *all, more_frequent_first);
    int64_t sum = 0;
    for (size_t i = 0; i < different && (double)sum < coverage * (double)total; i++) {
        sum += all[i].count;
        work->covered[all[i].code_point] = true;
        add_piece(seeds, &all[i].code_point, 1, (double)all[i].count);
    }
    seeds->required_count = seeds->pieces.count;
    memory_release(all);
}

static void take_points(struct seed_work *work, const struct weighted_word *words, size_t count)
{
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        room += words[i].size_bytes + 1;
    }
    work->points = memory_take(room, sizeof *work->points, "text to train on");
    work->weights = memory_take(room, sizeof *work->weights, "text to train on");
    work->suffixes = memory_take(room, sizeof *work->suffixes, "suffixes of words");
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < words[i].size_bytes;) {
            uint32_t code_point = 0;
            at += utf8_decode(words[i].bytes + at, words[i].size_bytes - at, &code_point, NULL);
            const bool covered = work->covered[code_point];
            if (covered) {
                work->suffixes[work->suffix_count++] = work->points + work->point_count;
            }
            work->weights[work->point_count] = words[i].weight;
            work->points[work->point_count++] = covered ? code_point : WORD_END;
        }
        work->points[work->point_count++] = WORD_END;
    }
}

/* Characters that two suffixes share, up to the longest piece. */
static int shared_length(const uint32_t *a, const uint32_t *b)
{
    int length = 0;
    while (length < SEED_CHARACTERS_MAX && a[length] == b[length] && a[length] != WORD_END) {
        length++;
    }
    return length;
}

static int suffix_order(const void *a, const void *b)
{
    const uint32_t *const x = *(const uint32_t *const *)a;
    const uint32_t *const y = *(const uint32_t *const *)b;
    const int length = shared_length(x, y);
    if (length < SEED_CHARACTERS_MAX && x[length] != y[length]) {
        return x[length] < y[length] ? -1 : 1;
    }
    return (x > y) - (x < y);
}

static void close_run(struct seed_work *work, struct open_run run, size_t end)
{
    const uint32_t *const begin = work->suffixes[run.first];
    if (run.length < 2 || !is_piece(begin, run.length)) {
        return;
    }
    memory_reserve((void **)&work->candidates, &work->candidate_capacity, work->candidate_count + 1,
                   sizeof *work->candidates, "substrings of words");
    const int64_t count = work->sums[end] - work->sums[run.first];
    work->candidates[work->candidate_count++] =
        (struct candidate){begin, run.length, count * run.length};
}

/* All runs of two suffixes and more; the lengths of the open ones grow from left to right. */
static void find_runs(struct seed_work *work)
{
    qsort(work->suffixes, work->suffix_count, sizeof *work->suffixes, suffix_order);
    work->sums = memory_take(work->suffix_count + 1, sizeof *work->sums, "counts of substrings");
    for (size_t i = 0; i < work->suffix_count; i++) {
        work->sums[i + 1] = work->sums[i] + work->weights[work->suffixes[i] - work->points];
    }
    struct open_run open[SEED_CHARACTERS_MAX + 1];
    int open_count = 0;
    for (size_t i = 1; i <= work->suffix_count; i++) {
        const int length =
            i < work->suffix_count ? shared_length(work->suffixes[i - 1], work->suffixes[i]) : 0;
        size_t first = i - 1;
        while (open_count > 0 && open[open_count - 1].length > length) {
            first = open[--open_count].first;
            close_run(work, open[open_count], i);
        }
        if (length > 0 && (open_count == 0 || open[open_count - 1].length < length)) {
            open[open_count++] = (struct open_run){first, length};
        }
    }
}

/* Most covered text first; of equals the smaller text, which is that of the earlier suffix. */
static int candidate_order(const void *a, const void *b)
{
    const struct candidate *const x = a;
    const struct candidate *const y = b;
    if (x->covered != y->covered) {
        return x->covered < y->covered ? 1 : -1;
    }
    const int shortest = x->length < y->length ? x->length : y->length;
    for (int i = 0; i < shortest; i++) {
        if (x->begin[i] != y->begin[i]) {
            return x->begin[i] < y->begin[i] ? -1 : 1;
        }
    }
    return (x->length > y->length) - (x->length < y->length);
}

void train_seeds_init(struct train_seeds *seeds, const struct weighted_word *words, size_t count,
                      double coverage)
{
    struct seed_work work = {0};
    *seeds = (struct train_seeds){0};
    token_table_init(&seeds->pieces);
    seeds->counts = memory_take(POINT_COUNT + SEED_COUNT_MAX, sizeof *seeds->counts, "pieces");
    work.counts = memory_take(POINT_COUNT, sizeof *work.counts, "counts of characters");
    work.covered = memory_take(POINT_COUNT, sizeof *work.covered, "characters");
    take_characters(&work, seeds, words, count, coverage);
    take_points(&work, words, count);
    find_runs(&work);
    if (work.candidate_count > 0) {
        qsort(work.candidates, work.candidate_count, sizeof *work.candidates, candidate_order);
    }
    for (size_t i = 0; i < work.candidate_count && i < SEED_COUNT_MAX; i++) {
        add_piece(seeds, work.candidates[i].begin, work.candidates[i].length,
                  (double)work.candidates[i].covered);
    }
    memory_release(work.candidates);
    memory_release(work.sums);
    memory_release(work.suffixes);
    memory_release(work.weights);
    memory_release(work.points);
    memory_release(work.covered);
    memory_release(work.counts);
}

void train_seeds_deinit(struct train_seeds *seeds)
{
    memory_release(seeds->counts);
    token_table_deinit(&seeds->pieces);
    *seeds = (struct train_seeds){0};
}
