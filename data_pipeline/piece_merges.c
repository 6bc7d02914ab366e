/* SentencePiece's BPE: a text starts as its characters (and user pieces, which stay whole); then,
 * as long as there is one, the neighbouring pair whose text is the piece of the highest score (the
 * leftmost of equals) becomes one. Unused pieces are ways to others: what they are at the end is
 * taken apart again, as it was last put together. */
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "data_pipeline/candidate_heap.h"
#include "data_pipeline/unigram_search.h"

enum { KEPT_PARTS = 1 << 16 }; /* scratch for longer texts is given back */

#define NO_RANK UINT32_MAX

/* A part of the text; a list, so that merging moves nothing. */
struct part {
    uint32_t begin;
    uint32_t end;      /* == begin: merged into the one before */
    uint32_t previous; /* place in the list */
    uint32_t next;     /* the number of parts: none */
    bool frozen;
};

struct span {
    uint32_t begin;
    uint32_t end;
};

struct piece_merges_work {
    const char *text;
    struct part *parts;
    uint32_t count;
    size_t part_capacity;
    struct candidate_heap heap;
    uint32_t *left_bytes; /* by id of an unused piece: of the left part when it was last made */
    size_t left_capacity;
    struct span *spans; /* that wait to be taken apart */
    size_t span_count;
    size_t span_capacity;
};

static int compare_scores(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a < b) - (a > b);
}

void piece_merges_seal(struct unigram *model, size_t count)
{
    double *const sorted = memory_take(count, sizeof *sorted, "scores of pieces");
    size_t kept = 0;
    for (size_t id = 0; id < count; id++) {
        sorted[id] = model->scores[id];
    }
    qsort(sorted, count, sizeof *sorted, compare_scores);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || sorted[i] < sorted[kept - 1]) {
            sorted[kept++] = sorted[i];
        }
    }
    model->ranks = memory_take(count, sizeof *model->ranks, "ranks of pieces");
    for (size_t id = 0; id < count; id++) {
        const uint8_t type = model->types[id];
        const bool merges =
            model->search == PIECE_SEARCH_MERGES &&
            (type == PIECE_TYPE_NORMAL || type == PIECE_TYPE_USER || type == PIECE_TYPE_UNUSED);
        const double *const place =
            bsearch(&model->scores[id], sorted, kept, sizeof *sorted, compare_scores);
        model->ranks[id] = merges ? (uint32_t)(place - sorted) : NO_RANK;
        model->has_unused = model->has_unused || (merges && type == PIECE_TYPE_UNUSED);
    }
    memory_release(sorted);
}

void piece_merges_work_close(struct piece_merges_work *work)
{
    if (work != NULL) {
        memory_release(work->parts);
        candidate_heap_deinit(&work->heap);
        memory_release(work->left_bytes);
        memory_release(work->spans);
        memory_release(work);
    }
}

/* The piece that bytes [begin, end) are, or -1. */
static int32_t find_piece(const struct unigram *model, const struct piece_merges_work *work,
                          uint32_t begin, uint32_t end)
{
    uint32_t node = TRIE_ROOT;
    for (uint32_t at = begin; at < end && node != TRIE_NONE; at++) {
        node = piece_trie_step(&model->pieces, node, (unsigned char)work->text[at]);
    }
    return node == TRIE_NONE ? -1 : model->pieces.cells[node].id;
}

/* The candidate that begins at `place`, or NO_CANDIDATE; *id is what it would become. */
static uint64_t candidate_at(const struct unigram *model, const struct piece_merges_work *work,
                             uint32_t place, int32_t *id)
{
    const struct part *const left = &work->parts[place];
    if (left->end == left->begin || left->next == work->count || left->frozen ||
        work->parts[left->next].frozen) {
        return NO_CANDIDATE;
    }
    *id = find_piece(model, work, left->begin, work->parts[left->next].end);
    return *id < 0 || model->ranks[*id] == NO_RANK ? NO_CANDIDATE
                                                   : candidate_make(model->ranks[*id], place);
}

/* The same, to be put on the heap: how it would be made is kept. */
static uint64_t offer_at(const struct unigram *model, struct piece_merges_work *work,
                         uint32_t place)
{
    int32_t id = -1;
    const uint64_t candidate = candidate_at(model, work, place, &id);
    if (candidate != NO_CANDIDATE && model->types[id] == PIECE_TYPE_UNUSED) {
        const struct part *const left = &work->parts[place];
        work->left_bytes[id] = left->end - left->begin;
    }
    return candidate;
}

/* Cuts the text into its first parts. */
static void take_text(const struct unigram *model, struct piece_merges_work *work, const char *text,
                      size_t size_bytes)
{
    INVARIANT(size_bytes < UINT32_MAX);
    work->text = text;
    work->count = 0;
    for (size_t at = 0; at < size_bytes; work->count++) {
        const size_t left = size_bytes - at;
        const size_t user = piece_trie_longest(&model->user_pieces, text + at, left);
        const size_t length = user > 0 ? user : unigram_character_bytes(text + at, left);
        memory_reserve((void **)&work->parts, &work->part_capacity, (size_t)work->count + 1,
                       sizeof *work->parts, "parts of a text");
        work->parts[work->count] = (struct part){(uint32_t)at, (uint32_t)(at + length),
                                                 work->count - 1, work->count + 1, user > 0};
        at += length;
    }
    if (model->has_unused) {
        memory_reserve((void **)&work->left_bytes, &work->left_capacity, model->piece_capacity,
                       sizeof *work->left_bytes, "unused pieces of a text");
    }
}

static void merge(const struct unigram *model, struct piece_merges_work *work)
{
    struct candidate_heap *const heap = &work->heap;
    struct part *const parts = work->parts;
    heap->count = 0;
    for (uint32_t place = 0; place < work->count; place++) {
        candidate_heap_append(heap, offer_at(model, work, place));
    }
    candidate_heap_order(heap);
    while (heap->count > 0) {
        const uint64_t best = candidate_heap_take(heap);
        const uint32_t place = candidate_place(best);
        int32_t ignored = -1;
        if (candidate_at(model, work, place, &ignored) != best) {
            continue; /* one of the two has been merged since */
        }
        struct part *const left = &parts[place];
        struct part *const right = &parts[left->next];
        left->end = right->end;
        left->next = right->next;
        right->end = right->begin;
        if (left->next != work->count) {
            parts[left->next].previous = place;
        }
        if (place > 0) {
            candidate_heap_add(heap, offer_at(model, work, left->previous));
        }
        candidate_heap_add(heap, offer_at(model, work, place));
    }
}

static void push_span(struct piece_merges_work *work, uint32_t begin, uint32_t end)
{
    memory_reserve((void **)&work->spans, &work->span_capacity, work->span_count + 1,
                   sizeof *work->spans, "spans of a text");
    work->spans[work->span_count++] = (struct span){begin, end};
}

/* Appends the piece of a part; an unused one as what it was made of. */
static void add_part(const struct unigram *model, struct unigram_work *out, uint32_t begin,
                     uint32_t end)
{
    struct piece_merges_work *const work = out->merges;
    work->span_count = 0;
    push_span(work, begin, end);
    while (work->span_count > 0) {
        const struct span span = work->spans[--work->span_count];
        const size_t size_bytes = span.end - span.begin;
        const int32_t id = find_piece(model, work, span.begin, span.end);
        const bool usable = id >= 0 && model->types[id] != PIECE_TYPE_UNUSED;
        if (usable || id < 0 ||
            size_bytes == unigram_character_bytes(work->text + span.begin, size_bytes)) {
            unigram_push(out, usable ? id : model->unknown, span.begin, span.end);
        } else {
            const uint32_t middle = span.begin + work->left_bytes[id];
            push_span(work, middle, span.end);
            push_span(work, span.begin, middle);
        }
    }
}

void piece_merges(const struct unigram *model, struct unigram_work *out, const char *text,
                  size_t size_bytes)
{
    if (out->merges == NULL) {
        out->merges = memory_take(1, sizeof *out->merges, "scratch of a tokenizer");
    }
    struct piece_merges_work *const work = out->merges;
    take_text(model, work, text, size_bytes);
    merge(model, work);
    for (uint32_t place = 0; place < work->count; place = work->parts[place].next) {
        add_part(model, out, work->parts[place].begin, work->parts[place].end);
    }
    if (work->count > KEPT_PARTS) {
        piece_merges_work_close(work);
        out->merges = NULL;
    }
}
