/* A piece is alive or has the score DEAD; the tree is built anew when pieces are pruned. Places in
 * a word are bytes. Sums over ways to write a word are logarithms of sums of exponentials. */
#include "data_pipeline/train_unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/piece_trie.h"

enum { ROUNDS_OF_EM = 2, ALIVE = 1 };

#define NOTHING    (-HUGE_VAL) /* logarithm of 0 */
#define NO_PLACE   SIZE_MAX
#define NEGLIGIBLE 50.0 /* exp(-50) changes no sum of doubles */

static const double shrink_factor = 0.75;
static const double first_vocabulary = 1.1; /* times the wanted one: EM ends there */
static const double expected_min = 0.5;     /* rarer pieces go */
static const double unknown_penalty = 10;
static const double required_step = 0.0005;
static const double score_steps = 8192; /* of one; see push_row */

/* The best way to write the beginning of a word. */
struct best_place {
    double score;
    size_t begin; /* of its last piece; NO_PLACE: there is none */
    int32_t id;   /* -1: an unknown character */
};

struct loss {
    double value;
    int32_t id;
};

struct unigram_training {
    const struct weighted_word *words;
    size_t word_count;
    struct train_seeds seeds;
    double *scores; /* by piece; DEAD or a logarithm of a probability */
    uint8_t *flags; /* by piece */
    double *counts; /* by piece: expected, or on best ways */
    int64_t alive;
    double lowest; /* of all scores */
    struct piece_trie trie;
    double *before; /* by place: logarithm of the probability of what is before it */
    double *behind;
    struct best_place *best;
    size_t place_capacity;
};

static size_t character_bytes(unsigned char first)
{
    return first < 0xc0 ? 1 : (first < 0xe0 ? 2 : (first < 0xf0 ? 3 : 4));
}

static double log_add(double a, double b)
{
    const double high = a > b ? a : b;
    const double low = a > b ? b : a;
    return low < high - NEGLIGIBLE ? high : high + log1p(exp(low - high));
}

/* Derivative of the logarithm of the gamma function, x > 0. */
static double digamma(double x)
{
    double result = 0;
    for (; x < 7; x++) {
        result -= 1 / x;
    }
    x -= 0.5;
    const double square = 1 / (x * x);
    const double fourth = square * square;
    return result + log(x) + square / 24 - 7 * fourth / 960 + 31 * fourth * square / 8064 -
           127 * fourth * fourth / 30720;
}

static void build_trie(struct unigram_training *training)
{
    piece_trie_deinit(&training->trie);
    piece_trie_init(&training->trie, training->seeds.pieces.texts, training->flags, ALIVE,
                    (size_t)training->seeds.pieces.count);
}

/* A walk over the pieces that begin at one place; the last one is an unknown character where no
 * piece is a single character. */
struct piece_walk {
    const struct unigram_training *training;
    const char *text; /* from the place on */
    size_t left;      /* bytes of it */
    size_t single;    /* of its first character */
    size_t taken;
    uint32_t node;
    bool has_single;
};

static struct piece_walk walk_from(const struct unigram_training *training, const char *text,
                                   size_t size_bytes, size_t at)
{
    return (struct piece_walk){.training = training,
                               .text = text + at,
                               .left = size_bytes - at,
                               .single = character_bytes((unsigned char)text[at]),
                               .node = TRIE_ROOT};
}

/* The next piece, its bytes and score; false at the end. */
static inline bool walk_next(struct piece_walk *walk, int32_t *id, size_t *size_bytes,
                             double *score)
{
    const struct unigram_training *const training = walk->training;
    while (walk->node != TRIE_NONE && walk->taken < walk->left) {
        walk->node =
            piece_trie_step(&training->trie, walk->node, (unsigned char)walk->text[walk->taken++]);
        if (walk->node == TRIE_NONE) {
            break;
        }
        *id = training->trie.cells[walk->node].id;
        if (*id >= 0 && (training->flags[*id] & ALIVE) != 0) {
            *size_bytes = walk->taken;
            *score = training->scores[*id];
            walk->has_single = walk->has_single || *size_bytes == walk->single;
            return true;
        }
    }
    walk->node = TRIE_NONE;
    if (walk->has_single) {
        return false;
    }
    walk->has_single = true;
    *id = -1;
    *size_bytes = walk->single;
    *score = training->lowest - unknown_penalty;
    return true;
}

static void reserve_places(struct unigram_training *training, size_t count)
{
    if (count <= training->place_capacity) {
        return;
    }
    memory_release(training->before);
    memory_release(training->behind);
    memory_release(training->best);
    training->place_capacity = 2 * count;
    training->before = memory_take(2 * count, sizeof *training->before, "places of a word");
    training->behind = memory_take(2 * count, sizeof *training->behind, "places of a word");
    training->best = memory_take(2 * count, sizeof *training->best, "places of a word");
}

/* Adds how often each piece is expected in a word. */
static void expect_word(struct unigram_training *training, const struct weighted_word *word)
{
    const size_t end = word->size_bytes;
    double *const before = training->before;
    double *const behind = training->behind;
    int32_t id = 0;
    size_t size_bytes = 0;
    double score = 0;
    for (size_t at = 0; at <= end; at++) {
        before[at] = NOTHING;
        behind[at] = NOTHING;
    }
    before[0] = 0;
    behind[end] = 0;
    for (size_t at = 0; at < end; at++) {
        if (before[at] > NOTHING) {
            struct piece_walk walk = walk_from(training, word->bytes, end, at);
            while (walk_next(&walk, &id, &size_bytes, &score)) {
                before[at + size_bytes] = log_add(before[at + size_bytes], before[at] + score);
            }
        }
    }
    for (size_t at = end; at-- > 0;) {
        if (before[at] > NOTHING) {
            struct piece_walk walk = walk_from(training, word->bytes, end, at);
            while (walk_next(&walk, &id, &size_bytes, &score)) {
                const double rest = score + behind[at + size_bytes];
                behind[at] = log_add(behind[at], rest);
                if (id >= 0) {
                    training->counts[id] +=
                        (double)word->weight * exp(before[at] + rest - before[end]);
                }
            }
        }
    }
}

static void kill_piece(struct unigram_training *training, int64_t id)
{
    training->flags[id] = 0;
    training->alive--;
}

static bool is_required(const struct unigram_training *training, int64_t id)
{
    return id < training->seeds.required_count;
}

/* One step of expectation maximisation, with the digamma function in the place of the logarithm,
 * which favours few pieces. */
static void improve(struct unigram_training *training)
{
    const int64_t count = training->seeds.pieces.count;
    memset(training->counts, 0, (size_t)count * sizeof *training->counts);
    for (size_t i = 0; i < training->word_count; i++) {
        expect_word(training, &training->words[i]);
    }
    double sum = 0;
    for (int64_t id = 0; id < count; id++) {
        if ((training->flags[id] & ALIVE) == 0) {
            continue;
        }
        if (training->counts[id] < expected_min) {
            if (!is_required(training, id)) {
                kill_piece(training, id);
                continue;
            }
            training->counts[id] = expected_min;
        }
        sum += training->counts[id];
    }
    const double log_sum = digamma(sum);
    training->lowest = 0;
    for (int64_t id = 0; id < count; id++) {
        if ((training->flags[id] & ALIVE) != 0) {
            training->scores[id] = digamma(training->counts[id]) - log_sum;
            training->lowest = fmin(training->lowest, training->scores[id]);
        }
    }
}

/* Best ways to write all beginnings of a text, without the piece `without` (-1: with all). */
static void find_best(struct unigram_training *training, const char *text, size_t size_bytes,
                      int32_t without)
{
    struct best_place *const best = training->best;
    for (size_t at = 0; at <= size_bytes; at++) {
        best[at] = (struct best_place){0, at == 0 ? 0 : NO_PLACE, -1};
    }
    for (size_t at = 0; at < size_bytes; at++) {
        if (best[at].begin == NO_PLACE) {
            continue;
        }
        struct piece_walk walk = walk_from(training, text, size_bytes, at);
        int32_t id = 0;
        size_t taken = 0;
        double score = 0;
        while (walk_next(&walk, &id, &taken, &score)) {
            struct best_place *const place = &best[at + taken];
            if ((id < 0 || id != without) &&
                (place->begin == NO_PLACE || best[at].score + score > place->score)) {
                *place = (struct best_place){best[at].score + score, at, id};
            }
        }
    }
}

static void count_best(struct unigram_training *training)
{
    memset(training->counts, 0, (size_t)training->seeds.pieces.count * sizeof *training->counts);
    for (size_t i = 0; i < training->word_count; i++) {
        const struct weighted_word *const word = &training->words[i];
        find_best(training, word->bytes, word->size_bytes, -1);
        for (size_t at = word->size_bytes; at > 0; at = training->best[at].begin) {
            if (training->best[at].id >= 0) {
                training->counts[training->best[at].id] += (double)word->weight;
            }
        }
    }
}

/* Likelihood that goes with a piece whose occurrences are written in the next best way; negative:
 * it is not the best way anyway. `sum`: all pieces on best ways; `words`: weight of all words. */
static double loss_of(struct unigram_training *training, int32_t id, double sum, double words)
{
    const struct token_text text = training->seeds.pieces.texts[id];
    find_best(training, text.bytes, text.size_bytes, id);
    const struct best_place *const best = training->best;
    if (best[text.size_bytes].score >= training->scores[id]) {
        return -1;
    }
    double alternatives = 0;
    for (size_t at = text.size_bytes; at > 0; at = best[at].begin) {
        alternatives++;
    }
    const double count = training->counts[id];
    const double log_sum = log(sum + count * (alternatives - 1));
    double alternative = 0;
    for (size_t at = text.size_bytes; at > 0; at = best[at].begin) {
        const double others = best[at].id >= 0 ? training->counts[best[at].id] : 0;
        alternative += log(others + count) - log_sum;
    }
    return count / words * (log(count) - log(sum) - alternative);
}

static int loss_order(const void *a, const void *b)
{
    const struct loss *const x = a;
    const struct loss *const y = b;
    if (x->value < y->value || x->value > y->value) {
        return x->value < y->value ? 1 : -1;
    }
    return (x->id > y->id) - (x->id < y->id);
}

/* Keeps `wanted` pieces, or shrink_factor of them if that is more: those whose loss costs most. */
static void prune(struct unigram_training *training, int64_t wanted)
{
    const int64_t count = training->seeds.pieces.count;
    const int64_t shrunk = (int64_t)(shrink_factor * (double)training->alive);
    const int64_t target = shrunk > wanted ? shrunk : wanted;
    struct loss *const losses = memory_take((size_t)count, sizeof *losses, "losses of pieces");
    size_t loss_count = 0;
    double sum = 0;
    double words = 0;
    count_best(training);
    for (int64_t id = 0; id < count; id++) {
        sum += training->counts[id];
    }
    for (size_t i = 0; i < training->word_count; i++) {
        words += (double)training->words[i].weight;
    }
    for (int32_t id = (int32_t)training->seeds.required_count; id < count; id++) {
        if ((training->flags[id] & ALIVE) != 0) {
            const double loss = training->counts[id] > 0 ? loss_of(training, id, sum, words) : -1;
            losses[loss_count++] = (struct loss){loss, id};
        }
    }
    qsort(losses, loss_count, sizeof *losses, loss_order);
    for (size_t i = loss_count; i-- > 0;) {
        if (losses[i].value >= 0 && training->alive <= target) {
            break;
        }
        kill_piece(training, losses[i].id);
    }
    memory_release(losses);
    build_trie(training);
}

/* Highest score first; of equals the earlier piece. */
static int score_order(const void *a, const void *b)
{
    return loss_order(a, b);
}

/* Scores are rounded to few digits of a binary fraction: their decimal form is exact, whoever reads
 * it gets the same number, and sums of them are exact in any order. */
static void push_row(json_t *rows, struct token_text text, double score)
{
    json_t *const row = json_array();
    const int failed =
        json_array_append_new(row, json_stringn(text.bytes, text.size_bytes)) +
        json_array_append_new(row, json_real(round(score * score_steps) / score_steps)) +
        json_array_append_new(rows, row);
    INVARIANT(failed == 0);
}

/* All characters, and of the other pieces those with the highest scores. Characters that EM made
 * nothing of get scores below all others, each its own. */
static void hand_over(struct unigram_training *training, int64_t piece_count, json_t *rows)
{
    const int64_t required = training->seeds.required_count;
    const int64_t count = training->seeds.pieces.count;
    struct loss *const picked = memory_take((size_t)count, sizeof *picked, "pieces");
    size_t picked_count = 0;
    for (int32_t id = 0; id < count; id++) {
        if ((training->flags[id] & ALIVE) != 0 && !is_required(training, id)) {
            picked[picked_count++] = (struct loss){training->scores[id], id};
        }
    }
    qsort(picked, picked_count, sizeof *picked, score_order);
    if ((int64_t)picked_count > piece_count - required) {
        picked_count = (size_t)(piece_count - required);
    }
    double below = training->lowest;
    for (int32_t id = 0; id < required; id++) {
        const bool rare = training->counts[id] <= expected_min;
        below -= rare ? required_step : 0;
        picked[picked_count++] = (struct loss){rare ? below : training->scores[id], id};
    }
    qsort(picked, picked_count, sizeof *picked, score_order);
    for (size_t i = 0; i < picked_count; i++) {
        push_row(rows, training->seeds.pieces.texts[picked[i].id], picked[i].value);
    }
    memory_release(picked);
}

static int word_order(const void *a, const void *b)
{
    const struct weighted_word *const x = a;
    const struct weighted_word *const y = b;
    const size_t shared = x->size_bytes < y->size_bytes ? x->size_bytes : y->size_bytes;
    const int order = memcmp(x->bytes, y->bytes, shared);
    return order != 0 ? order : (x->size_bytes > y->size_bytes) - (x->size_bytes < y->size_bytes);
}

static void start(struct unigram_training *training)
{
    const int64_t count = training->seeds.pieces.count;
    size_t longest = SEED_CHARACTERS_MAX * 4;
    for (size_t i = 0; i < training->word_count; i++) {
        longest = training->words[i].size_bytes > longest ? training->words[i].size_bytes : longest;
    }
    reserve_places(training, longest + 1);
    training->scores = memory_take((size_t)count, sizeof *training->scores, "scores of pieces");
    training->counts = memory_take((size_t)count, sizeof *training->counts, "counts of pieces");
    training->flags = memory_take((size_t)count, 1, "pieces");
    training->alive = count;
    double sum = 0;
    for (int64_t id = 0; id < count; id++) {
        sum += training->seeds.counts[id];
    }
    for (int64_t id = 0; id < count; id++) {
        training->flags[id] = ALIVE;
        training->scores[id] = log(training->seeds.counts[id] / sum);
        training->lowest = fmin(training->lowest, training->scores[id]);
    }
    build_trie(training);
}

enum status train_unigram(struct weighted_word *words, size_t count,
                          const struct unigram_train_options *options, json_t *rows,
                          struct error *error)
{
    qsort(words, count, sizeof *words, word_order);
    struct unigram_training training = {.words = words, .word_count = count};
    train_seeds_init(&training.seeds, words, count, options->coverage);
    enum status status = STATUS_OK;
    if (training.seeds.required_count > options->piece_count) {
        status = error_set(
            error, STATUS_INPUT, "vocabulary is too small: %lld pieces for %lld characters",
            (long long)options->piece_count, (long long)training.seeds.required_count);
    } else {
        const int64_t wanted = (int64_t)(first_vocabulary * (double)options->piece_count);
        start(&training);
        for (;;) {
            for (int i = 0; i < ROUNDS_OF_EM; i++) {
                improve(&training);
            }
            if (training.alive <= wanted) {
                break;
            }
            prune(&training, wanted);
        }
        hand_over(&training, options->piece_count, rows);
    }
    memory_release(training.before);
    memory_release(training.behind);
    memory_release(training.best);
    memory_release(training.scores);
    memory_release(training.counts);
    memory_release(training.flags);
    piece_trie_deinit(&training.trie);
    train_seeds_deinit(&training.seeds);
    return status;
}
