/* See corpus_pairs.h. */
#include "data_pipeline/corpus_pairs.h"

#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/corpus_line_walk.h"

static const double short_share = 0.1;
static const double turned_share = 0.5; /* B from elsewhere, or exchanged */

/* Tokens [begin, end) of a document. */
struct stretch {
    int64_t document;
    int64_t begin;
    int64_t end;
};

static int64_t stretch_length(const struct stretch *stretch)
{
    return stretch->end - stretch->begin;
}

void corpus_pair_cutter_init(struct corpus_pair_cutter *cutter, const struct corpus *corpus,
                             const struct corpus_pair_rules *rules, const uint32_t *documents,
                             int64_t document_count)
{
    INVARIANT(rules->kind != DATA_PAIRS_NONE);
    INVARIANT(rules->tokens_max >= 2 * CORPUS_PAIR_TOKENS_MIN && rules->tokens_max <= UINT16_MAX);
    *cutter = (struct corpus_pair_cutter){
        .corpus = corpus,
        .rules = *rules,
        .documents = documents,
        .document_count = document_count,
    };
}

void corpus_pair_cutter_deinit(struct corpus_pair_cutter *cutter)
{
    memory_release(cutter->sentences);
    *cutter = (struct corpus_pair_cutter){0};
}

/* Sentences of a line with `length` tokens: pieces of at most half a pair, so that two fit. */
static int64_t piece_count(const struct corpus_pair_cutter *cutter, int64_t length)
{
    const int64_t longest = cutter->rules.tokens_max / 2;
    return (length + longest - 1) / longest;
}

void corpus_pair_cutter_begin(struct corpus_pair_cutter *cutter, int64_t number)
{
    const struct line_walk walk = line_walk_begin(cutter->corpus, cutter->documents[number]);
    cutter->own = number;
    cutter->next = 0;
    cutter->pair_count = 0;
    cutter->sentence_count = 0;
    for (int64_t line = 0; line < walk.count; line++) {
        const int64_t begin = line_walk_at(&walk, line);
        const int64_t length = line_walk_at(&walk, line + 1) - begin;
        const int64_t pieces = piece_count(cutter, length);
        memory_reserve((void **)&cutter->sentences, &cutter->sentences_capacity,
                       (size_t)(cutter->sentence_count + pieces + 1), sizeof *cutter->sentences,
                       "sentences");
        for (int64_t piece = 0; piece < pieces; piece++) {
            cutter->sentences[cutter->sentence_count++] = begin + length * piece / pieces;
        }
    }
    cutter->sentences[cutter->sentence_count] = walk.token_count;
}

/* Text of another document from a random sentence on: whole sentences until `wanted` tokens are
 * there or the document ends. */
static struct stretch draw_elsewhere(const struct corpus_pair_cutter *cutter,
                                     struct random_stream *stream, int64_t wanted)
{
    int64_t number = (int64_t)random_stream_below(stream, (uint64_t)(cutter->document_count - 1));
    number += number >= cutter->own;
    const int64_t document = cutter->documents[number];
    const struct line_walk walk = line_walk_begin(cutter->corpus, document);
    int64_t line = (int64_t)random_stream_below(stream, (uint64_t)walk.count);
    int64_t begin = line_walk_at(&walk, line);
    int64_t length = line_walk_at(&walk, line + 1) - begin;
    int64_t pieces = piece_count(cutter, length);
    int64_t piece = (int64_t)random_stream_below(stream, (uint64_t)pieces);
    const int64_t start = begin + length * piece / pieces;
    int64_t end = begin + length * (piece + 1) / pieces;
    while (end - start < wanted && end < walk.token_count) {
        if (++piece == pieces) {
            line++;
            begin = line_walk_at(&walk, line);
            length = line_walk_at(&walk, line + 1) - begin;
            pieces = piece_count(cutter, length);
            piece = 0;
        }
        end = begin + length * (piece + 1) / pieces;
    }
    return (struct stretch){.document = document, .begin = start, .end = end};
}

static void truncate(struct stretch *a, struct stretch *b, int64_t most,
                     struct random_stream *stream)
{
    while (stretch_length(a) + stretch_length(b) > most) {
        struct stretch *const longer = stretch_length(a) > stretch_length(b) ? a : b;
        if (random_stream_below(stream, 2) == 0) {
            longer->begin++;
        } else {
            longer->end--;
        }
    }
}

static struct corpus_place place_of(const struct stretch *stretch)
{
    return (struct corpus_place){(uint32_t)stretch->document, (uint32_t)stretch->begin};
}

/* Splits sentences [first, end) into A and B and moves on; false if that gives no pair. */
static bool cutter_split(struct corpus_pair_cutter *cutter, int64_t first, int64_t end, int64_t aim,
                         struct random_stream *stream, struct corpus_pair *pair)
{
    const bool order = cutter->rules.kind == DATA_PAIRS_SENTENCE_ORDER;
    const int64_t document = cutter->documents[cutter->own];
    const int64_t begin = cutter->sentences[first];
    const bool single = end - first == 1;
    const int64_t split =
        single ? end
               : first + 1 + (int64_t)random_stream_below(stream, (uint64_t)(end - first - 1));
    const bool turned = random_stream_unit(stream) < turned_share;
    struct stretch a = {document, begin, cutter->sentences[split]};
    struct stretch b = {document, cutter->sentences[split], cutter->sentences[end]};
    bool elsewhere = false;
    cutter->next = end;
    if (order && single) {
        a.end = begin + stretch_length(&a) / 2;
        b.begin = a.end;
    } else if (!order && (single || turned) && cutter->document_count > 1) {
        elsewhere = true;
        b = draw_elsewhere(cutter, stream, aim - stretch_length(&a));
        cutter->next = split; /* the rest is put back */
    }
    truncate(&a, &b, cutter->rules.tokens_max, stream);
    const bool exchanged = order && turned;
    const struct stretch *const one = exchanged ? &b : &a;
    const struct stretch *const two = exchanged ? &a : &b;
    *pair = (struct corpus_pair){
        .first = place_of(one),
        .second = place_of(two),
        .first_count = (uint16_t)stretch_length(one),
        .second_count = (uint16_t)stretch_length(two),
        .label = elsewhere || exchanged,
    };
    return stretch_length(&a) > 0 && stretch_length(&b) > 0 &&
           stretch_length(&a) + stretch_length(&b) >= CORPUS_PAIR_TOKENS_MIN;
}

bool corpus_pair_cutter_next(struct corpus_pair_cutter *cutter, struct corpus_pair *pair)
{
    const struct random_key key = random_key_make(cutter->rules.seed, RANDOM_PURPOSE_SENTENCE_PAIR,
                                                  (uint64_t)cutter->rules.copy);
    const uint64_t document = cutter->documents[cutter->own];
    while (cutter->next < cutter->sentence_count) {
        struct random_stream stream =
            random_stream_make(key, document << 32 | (uint64_t)cutter->pair_count++);
        const int64_t most = cutter->rules.tokens_max;
        const int64_t aim = random_stream_unit(&stream) < short_share
                                ? 2 + (int64_t)random_stream_below(&stream, (uint64_t)(most - 1))
                                : most;
        const int64_t first = cutter->next;
        int64_t end = first + 1;
        while (end < cutter->sentence_count &&
               cutter->sentences[end] - cutter->sentences[first] < aim) {
            end++;
        }
        if (cutter_split(cutter, first, end, aim, &stream, pair)) {
            return true;
        }
    }
    return false;
}
