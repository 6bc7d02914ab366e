/* See corpus_index.h. */
#include "data_pipeline/corpus_index.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/corpus_line_walk.h"

/* Tokens of a sequence that are not text: <s> and </s>. */
enum { SEQUENCE_ENDS = 2, PAIR_ENDS = 3 /* a second </s> */ };

static_assert((int)CORPUS_SEQUENCE_TOKENS_MAX - (int)PAIR_ENDS <= UINT16_MAX, "counts of a pair");
static_assert((int)CORPUS_PAIR_SEQUENCE_TOKENS_MIN - (int)PAIR_ENDS >=
                  2 * (int)CORPUS_PAIR_TOKENS_MIN,
              "least pair");
static_assert((int)CORPUS_PAIR_TOKENS_MIN == (int)CORPUS_PIECE_TOKENS_MIN, "sequences in a row");

static bool index_takes(const struct corpus_index *index, int64_t document)
{
    return corpus_is_held_out(corpus_document_hash(index->corpus, document),
                              index->options.held_out) == index->options.take_held_out;
}

/* Are lengths of sequences kept? Elsewhere they follow from the places. */
static bool index_has_counts(const struct corpus_index_options *options)
{
    return options->pairs != DATA_PAIRS_NONE || options->packing == DATA_PACKING_DOCUMENT_SENTENCES;
}

static void index_add_place(struct corpus_index *index, struct corpus_place place)
{
    memory_reserve((void **)&index->places, &index->places_capacity, (size_t)index->place_count + 1,
                   sizeof *index->places, "corpus index");
    index->places[index->place_count++] = place;
}

static void index_add_pair(struct corpus_index *index, const struct corpus_pair *pair)
{
    memory_reserve((void **)&index->pairs, &index->pairs_capacity, (size_t)index->place_count + 1,
                   sizeof *index->pairs, "corpus index");
    index->pairs[index->place_count++] = *pair;
    index->pair_tokens += pair->first_count + pair->second_count;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* FULL: the places where the stream is cut. */
static void index_cut_stream(struct corpus_index *index)
{
    const int64_t piece_tokens = index->options.sequence_tokens - SEQUENCE_ENDS;
    int64_t row_tokens = 0;
    int64_t row_parts = 0;
    for (int64_t document = 0; document < index->corpus->document_count; document++) {
        if (!index_takes(index, document)) {
            continue;
        }
        const int64_t text_tokens = corpus_document_tokens(index->corpus, document);
        int64_t offset = 0;
        while (offset < text_tokens + 1) { /* one more for the separator */
            if (row_tokens == 0) {
                index_add_place(index, (struct corpus_place){(uint32_t)document, (uint32_t)offset});
                row_parts = 0;
            }
            row_parts += offset < text_tokens;
            index->parts_in_row_max = larger(index->parts_in_row_max, row_parts);
            const int64_t taken = smaller(piece_tokens - row_tokens, text_tokens + 1 - offset);
            offset += taken;
            row_tokens = row_tokens + taken == piece_tokens ? 0 : row_tokens + taken;
        }
    }
    if (row_tokens > 0 && row_tokens < CORPUS_PIECE_TOKENS_MIN) {
        index->place_count--;
    }
    index->row_count = index->place_count;
    index->sequences_in_row_max = 1;
}

/* How many of the tokens from `offset` on belong into a sequence that has room for `room` of them
 * and holds `held` already: whole lines, as many as fit; part of a line if a whole one leaves the
 * sequence shorter than the least. *line rises: offsets may only grow. 0: the next line begins a
 * new sequence. */
static int64_t lines_taken(const struct line_walk *walk, int64_t *line, int64_t offset,
                           int64_t room, int64_t held)
{
    if (walk->token_count - offset <= room) {
        return walk->token_count - offset;
    }
    while (line_walk_at(walk, *line + 1) <= offset + room) {
        (*line)++;
    }
    const int64_t taken = larger(line_walk_at(walk, *line) - offset, 0);
    return held + taken < CORPUS_PIECE_TOKENS_MIN ? larger(room, 0) : taken;
}

/* FULL_SENTENCES: the places where rows begin; a row ends where the next one begins. */
static void index_cut_sentences(struct corpus_index *index)
{
    const int64_t piece_tokens = index->options.sequence_tokens - SEQUENCE_ENDS;
    int64_t row_tokens = 0;
    int64_t row_parts = 0;
    for (int64_t document = 0; document < index->corpus->document_count; document++) {
        if (!index_takes(index, document) || corpus_document_tokens(index->corpus, document) == 0) {
            continue;
        }
        const struct line_walk walk = line_walk_begin(index->corpus, document);
        int64_t offset = 0;
        int64_t line = 0;
        while (offset < walk.token_count) {
            const int64_t held = row_tokens > 0 ? row_tokens + 1 : 0; /* with a separator */
            const int64_t taken =
                lines_taken(&walk, &line, offset, piece_tokens - held, row_tokens);
            if (taken > 0 && row_tokens == 0) {
                index_add_place(index, (struct corpus_place){(uint32_t)document, (uint32_t)offset});
                row_parts = 0;
            }
            row_parts += taken > 0;
            index->parts_in_row_max = larger(index->parts_in_row_max, row_parts);
            offset += taken;
            row_tokens = offset < walk.token_count ? 0 : held + taken;
        }
    }
    /* a last row that is too short is none, but the one before ends where it begins */
    index->row_count = index->place_count;
    index->row_count -= row_tokens > 0 && row_tokens < CORPUS_PIECE_TOKENS_MIN;
    index->sequences_in_row_max = 1;
}

/* A row that is being packed; of a sequence without a pair only the first place counts. */
struct open_row {
    int64_t token_count;
    int64_t sequence_count;
    struct corpus_pair *sequences;
};

struct packer {
    struct corpus_index *index;
    struct open_row rows[CORPUS_OPEN_ROWS]; /* oldest first */
    int64_t row_count;
};

static void packer_close_row(struct packer *packer, int64_t number)
{
    struct corpus_index *const index = packer->index;
    const struct open_row row = packer->rows[number];
    memory_reserve((void **)&index->row_begins, &index->row_begins_capacity,
                   (size_t)index->row_count + 2, sizeof *index->row_begins, "corpus index");
    index->row_begins[index->row_count++] = index->place_count;
    for (int64_t i = 0; i < row.sequence_count; i++) {
        if (index_has_counts(&index->options)) {
            index_add_pair(index, &row.sequences[i]);
        } else {
            index_add_place(index, row.sequences[i].first);
        }
    }
    index->row_begins[index->row_count] = index->place_count;
    index->sequences_in_row_max = larger(index->sequences_in_row_max, row.sequence_count);
    packer->row_count--;
    memmove(&packer->rows[number], &packer->rows[number + 1],
            (size_t)(packer->row_count - number) * sizeof row);
    packer->rows[packer->row_count] =
        (struct open_row){.sequences = row.sequences}; /* keeps its memory */
}

/* The fullest open row that has room for `needed` tokens, the oldest of equals; -1 if none has. */
static int64_t packer_best(const struct packer *packer, int64_t needed)
{
    const int64_t most = packer->index->options.sequence_tokens - needed;
    int64_t best = -1;
    for (int64_t i = 0; i < packer->row_count; i++) {
        const int64_t used = packer->rows[i].token_count;
        if (used <= most && (best < 0 || used > packer->rows[best].token_count)) {
            best = i;
        }
    }
    return best;
}

/* `needed` tokens, <s> and </s> among them. */
static void packer_add(struct packer *packer, const struct corpus_pair *sequence, int64_t needed)
{
    int64_t chosen = packer_best(packer, needed);
    if (chosen < 0) {
        if (packer->row_count == CORPUS_OPEN_ROWS) {
            packer_close_row(packer, packer_best(packer, 0));
        }
        chosen = packer->row_count++;
    }
    struct open_row *const row = &packer->rows[chosen];
    row->sequences[row->sequence_count++] = *sequence;
    row->token_count += needed;
    const int64_t room = packer->index->options.sequence_tokens - row->token_count;
    if (room < CORPUS_PIECE_TOKENS_MIN + SEQUENCE_ENDS) {
        packer_close_row(packer, chosen);
    }
}

/* DOCUMENT, DOCUMENT_SENTENCES: pieces of documents. Only a document's last may be too short. */
static void index_pack_documents(struct corpus_index *index, struct packer *packer)
{
    const int64_t piece_tokens = index->options.sequence_tokens - SEQUENCE_ENDS;
    const bool whole_lines = index->options.packing == DATA_PACKING_DOCUMENT_SENTENCES;
    for (int64_t document = 0; document < index->corpus->document_count; document++) {
        const int64_t text_tokens = corpus_document_tokens(index->corpus, document);
        if (!index_takes(index, document) || text_tokens == 0) {
            continue;
        }
        struct line_walk walk = {0};
        if (whole_lines) {
            walk = line_walk_begin(index->corpus, document);
        }
        int64_t line = 0;
        int64_t taken;
        for (int64_t offset = 0; offset < text_tokens; offset += taken) {
            taken = whole_lines ? lines_taken(&walk, &line, offset, piece_tokens, 0)
                                : smaller(piece_tokens, text_tokens - offset);
            if (taken >= CORPUS_PIECE_TOKENS_MIN) {
                const struct corpus_pair piece = {.first = {(uint32_t)document, (uint32_t)offset},
                                                  .first_count = (uint16_t)taken};
                packer_add(packer, &piece, taken + SEQUENCE_ENDS);
            }
        }
    }
}

static void packer_finish(struct packer *packer)
{
    while (packer->row_count > 0) {
        packer_close_row(packer, 0);
    }
}

/* PAIRS: each copy of its own, so that an epoch reads every document once. */
static void index_pack_pairs(struct corpus_index *index, struct packer *packer)
{
    const struct corpus *const corpus = index->corpus;
    uint32_t *const documents =
        memory_take((size_t)corpus->document_count, sizeof *documents, "corpus packing");
    int64_t count = 0;
    for (int64_t document = 0; document < corpus->document_count; document++) {
        if (index_takes(index, document)) {
            documents[count++] = (uint32_t)document;
        }
    }
    struct corpus_pair_rules rules = {
        .kind = index->options.pairs,
        .tokens_max = index->options.sequence_tokens - PAIR_ENDS,
        .seed = index->options.seed,
    };
    for (; rules.copy < index->options.pair_copies; rules.copy++) {
        struct corpus_pair_cutter cutter;
        struct corpus_pair pair;
        corpus_pair_cutter_init(&cutter, corpus, &rules, documents, count);
        for (int64_t i = 0; i < count; i++) {
            corpus_pair_cutter_begin(&cutter, i);
            while (corpus_pair_cutter_next(&cutter, &pair)) {
                packer_add(packer, &pair, pair.first_count + pair.second_count + PAIR_ENDS);
            }
        }
        corpus_pair_cutter_deinit(&cutter);
        packer_finish(packer);
        index->copy_begins[rules.copy + 1] = index->row_count;
    }
    memory_release(documents);
}

/* Rows of several sequences. */
static void index_pack(struct corpus_index *index)
{
    const int64_t sequences_in_row =
        index->options.sequence_tokens / (CORPUS_PIECE_TOKENS_MIN + SEQUENCE_ENDS);
    const bool pairs = index->options.pairs != DATA_PAIRS_NONE;
    struct packer *const packer = memory_take(1, sizeof *packer, "corpus packing");
    struct corpus_pair *const sequences = memory_take((size_t)(CORPUS_OPEN_ROWS * sequences_in_row),
                                                      sizeof *sequences, "corpus packing");
    packer->index = index;
    for (int64_t i = 0; i < CORPUS_OPEN_ROWS; i++) {
        packer->rows[i].sequences = sequences + i * sequences_in_row;
    }
    if (pairs) {
        index_pack_pairs(index, packer);
    } else {
        index_pack_documents(index, packer);
        packer_finish(packer);
    }
    memory_release(sequences);
    memory_release(packer);
    index->parts_in_row_max = index->sequences_in_row_max * (pairs ? 2 : 1);
}

static enum status index_check_lines(const struct corpus_index *index, const char *key,
                                     struct error *error)
{
    if (!corpus_has_lines(index->corpus)) {
        FAIL(error, STATUS_INPUT,
             "corpus \"%s\" does not know where lines begin, which %s needs: build it anew",
             index->corpus->folder, key);
    }
    return STATUS_OK;
}

static enum status index_check_pairs(const struct corpus_index *index, struct error *error)
{
    const struct corpus_index_options *const options = &index->options;
    INVARIANT(options->pair_copies >= 1 && options->pair_copies <= CORPUS_PAIR_COPIES_MAX);
    if (options->sequence_tokens < CORPUS_PAIR_SEQUENCE_TOKENS_MIN) {
        FAIL(error, STATUS_INPUT, "data.sequence_tokens is %lld, pairs need at least %d",
             (long long)options->sequence_tokens, CORPUS_PAIR_SEQUENCE_TOKENS_MIN);
    }
    return index_check_lines(index, "data.pairs", error);
}

enum status corpus_index_build(struct corpus_index *index, const struct corpus *corpus,
                               const struct corpus_index_options *options, struct error *error)
{
    INVARIANT(options->sequence_tokens >= CORPUS_SEQUENCE_TOKENS_MIN &&
              options->sequence_tokens <= CORPUS_SEQUENCE_TOKENS_MAX);
    if (corpus->document_count > (int64_t)UINT32_MAX) {
        FAIL(error, STATUS_LIMIT, "corpus \"%s\" has %lld documents, more than %lu", corpus->folder,
             (long long)corpus->document_count, (unsigned long)UINT32_MAX);
    }
    *index = (struct corpus_index){.corpus = corpus, .options = *options};
    if (options->pairs != DATA_PAIRS_NONE) {
        TRY(index_check_pairs(index, error));
        index_pack(index);
        return STATUS_OK;
    }
    switch (options->packing) {
    case DATA_PACKING_FULL:
        index_cut_stream(index);
        break;
    case DATA_PACKING_FULL_SENTENCES:
        TRY(index_check_lines(index, "data.packing full_sentences", error));
        index_cut_sentences(index);
        break;
    case DATA_PACKING_DOCUMENT_SENTENCES:
        TRY(index_check_lines(index, "data.packing document_sentences", error));
        index_pack(index);
        break;
    case DATA_PACKING_DOCUMENT:
        index_pack(index);
        break;
    }
    return STATUS_OK;
}

void corpus_index_deinit(struct corpus_index *index)
{
    memory_release(index->places);
    memory_release(index->pairs);
    memory_release(index->row_begins);
    *index = (struct corpus_index){0};
}

/* Copies text of a document to the end of the row, as a part of its own. */
static void row_add_part(struct corpus_row *row, const struct corpus *corpus, int64_t document,
                         int64_t offset, int64_t count)
{
    corpus_document_copy(corpus, document, offset, count, row->ids + row->token_count);
    row->parts[row->part_count++] = (struct corpus_part){
        .document = document, .offset = offset, .begin = row->token_count, .count = count};
    row->token_count += count;
}

static void row_read_stream(const struct corpus_index *index, struct corpus_place place,
                            struct corpus_row *row)
{
    const struct corpus *const corpus = index->corpus;
    const int64_t row_end = index->options.sequence_tokens - 1; /* the last token is </s> */
    int64_t offset = place.offset;
    for (int64_t document = place.document;
         document < corpus->document_count && row->token_count < row_end; document++) {
        if (!index_takes(index, document)) {
            continue;
        }
        const int64_t text_tokens = corpus_document_tokens(corpus, document);
        const int64_t count = smaller(row_end - row->token_count, text_tokens - offset);
        if (count > 0) {
            row_add_part(row, corpus, document, offset, count);
        }
        if (row->token_count < row_end) {
            row->ids[row->token_count++] = corpus->facts.specials.eos;
        }
        offset = 0;
    }
}

/* FULL_SENTENCES: from one row's place to the next one's; separators between documents. */
static void row_read_sentences(const struct corpus_index *index, int64_t number,
                               struct corpus_row *row)
{
    const struct corpus *const corpus = index->corpus;
    const int64_t row_end = index->options.sequence_tokens - 1;
    const struct corpus_place place = index->places[number];
    struct corpus_place end = {(uint32_t)corpus->document_count, 0};
    if (number + 1 < index->place_count) {
        end = index->places[number + 1];
    }
    int64_t offset = place.offset;
    for (int64_t document = place.document; document < corpus->document_count; document++) {
        const int64_t stop = document < end.document ? corpus_document_tokens(corpus, document)
                                                     : (int64_t)end.offset;
        if (document > end.document || row->token_count == row_end) {
            break;
        }
        if (!index_takes(index, document) || stop <= offset) {
            continue;
        }
        if (row->part_count > 0) {
            row->ids[row->token_count++] = corpus->facts.specials.eos;
        }
        row_add_part(row, corpus, document, offset,
                     smaller(stop - offset, row_end - row->token_count));
        offset = 0;
    }
}

static void row_begin_sequence(const struct corpus_index *index, struct corpus_row *row)
{
    row->labels[row->sequence_count] = -1;
    row->sequence_begins[row->sequence_count++] = (int32_t)row->token_count;
    row->ids[row->token_count++] = index->corpus->facts.specials.bos;
}

/* A sequence without B ends here. */
static void row_end_sequence(const struct corpus_index *index, struct corpus_row *row)
{
    row->ids[row->token_count++] = index->corpus->facts.specials.eos;
    row->second_begins[row->sequence_count - 1] = (int32_t)row->token_count;
}

static void row_read_pair(const struct corpus_index *index, const struct corpus_pair *pair,
                          struct corpus_row *row)
{
    row_begin_sequence(index, row);
    row_add_part(row, index->corpus, pair->first.document, pair->first.offset, pair->first_count);
    row_end_sequence(index, row);
    row_add_part(row, index->corpus, pair->second.document, pair->second.offset,
                 pair->second_count);
    row->ids[row->token_count++] = index->corpus->facts.specials.eos;
    row->labels[row->sequence_count - 1] = pair->label;
}

void corpus_index_read(const struct corpus_index *index, int64_t row, struct corpus_row *out)
{
    INVARIANT(row >= 0 && row < index->row_count);
    out->token_count = 0;
    out->sequence_count = 0;
    out->part_count = 0;
    if (index->options.pairs != DATA_PAIRS_NONE) {
        for (int64_t i = index->row_begins[row]; i < index->row_begins[row + 1]; i++) {
            row_read_pair(index, &index->pairs[i], out);
        }
        return;
    }
    if (index->options.packing == DATA_PACKING_FULL) {
        row_begin_sequence(index, out);
        row_read_stream(index, index->places[row], out);
        row_end_sequence(index, out);
        return;
    }
    if (index->options.packing == DATA_PACKING_FULL_SENTENCES) {
        row_begin_sequence(index, out);
        row_read_sentences(index, row, out);
        row_end_sequence(index, out);
        return;
    }
    const int64_t piece_tokens = index->options.sequence_tokens - SEQUENCE_ENDS;
    for (int64_t i = index->row_begins[row]; i < index->row_begins[row + 1]; i++) {
        const bool counted = index_has_counts(&index->options);
        const struct corpus_place place = counted ? index->pairs[i].first : index->places[i];
        const int64_t left =
            counted ? index->pairs[i].first_count
                    : corpus_document_tokens(index->corpus, place.document) - place.offset;
        row_begin_sequence(index, out);
        row_add_part(out, index->corpus, place.document, place.offset, smaller(piece_tokens, left));
        row_end_sequence(index, out);
    }
}
