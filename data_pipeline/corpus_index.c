/* See corpus_index.h. */
#include "data_pipeline/corpus_index.h"

#include <string.h>

#include "base/memory.h"

/* Tokens of a sequence that are not text: <s> and </s>. */
enum { SEQUENCE_ENDS = 2 };

static bool index_takes(const struct corpus_index *index, int64_t document)
{
    return corpus_is_held_out(corpus_document_hash(index->corpus, document),
                              index->options.held_out) == index->options.take_held_out;
}

static void index_add_place(struct corpus_index *index, struct corpus_place place)
{
    memory_reserve((void **)&index->places, &index->places_capacity, (size_t)index->place_count + 1,
                   sizeof *index->places, "corpus index");
    index->places[index->place_count++] = place;
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

/* A row that is being packed. */
struct open_row {
    int64_t token_count;
    int64_t place_count;
    struct corpus_place *places;
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
    for (int64_t i = 0; i < row.place_count; i++) {
        index_add_place(index, row.places[i]);
    }
    index->row_begins[index->row_count] = index->place_count;
    index->sequences_in_row_max = larger(index->sequences_in_row_max, row.place_count);
    packer->row_count--;
    memmove(&packer->rows[number], &packer->rows[number + 1],
            (size_t)(packer->row_count - number) * sizeof row);
    packer->rows[packer->row_count] = (struct open_row){.places = row.places}; /* keeps its memory */
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

static void packer_add(struct packer *packer, struct corpus_place place, int64_t text_tokens)
{
    const int64_t needed = text_tokens + SEQUENCE_ENDS;
    int64_t chosen = packer_best(packer, needed);
    if (chosen < 0) {
        if (packer->row_count == CORPUS_OPEN_ROWS) {
            packer_close_row(packer, packer_best(packer, 0));
        }
        chosen = packer->row_count++;
    }
    struct open_row *const row = &packer->rows[chosen];
    row->places[row->place_count++] = place;
    row->token_count += needed;
    const int64_t room = packer->index->options.sequence_tokens - row->token_count;
    if (room < CORPUS_PIECE_TOKENS_MIN + SEQUENCE_ENDS) {
        packer_close_row(packer, chosen);
    }
}

/* DOCUMENT: pieces of documents, packed. */
static void index_pack_documents(struct corpus_index *index)
{
    const int64_t piece_tokens = index->options.sequence_tokens - SEQUENCE_ENDS;
    const int64_t places_in_row =
        index->options.sequence_tokens / (CORPUS_PIECE_TOKENS_MIN + SEQUENCE_ENDS);
    struct packer *const packer = memory_take(1, sizeof *packer, "corpus packing");
    struct corpus_place *const places = memory_take((size_t)(CORPUS_OPEN_ROWS * places_in_row),
                                                    sizeof *places, "corpus packing");
    packer->index = index;
    for (int64_t i = 0; i < CORPUS_OPEN_ROWS; i++) {
        packer->rows[i].places = places + i * places_in_row;
    }
    for (int64_t document = 0; document < index->corpus->document_count; document++) {
        if (!index_takes(index, document)) {
            continue;
        }
        const int64_t text_tokens = corpus_document_tokens(index->corpus, document);
        for (int64_t offset = 0; offset + CORPUS_PIECE_TOKENS_MIN <= text_tokens;
             offset += piece_tokens) {
            packer_add(packer, (struct corpus_place){(uint32_t)document, (uint32_t)offset},
                       smaller(piece_tokens, text_tokens - offset));
        }
    }
    while (packer->row_count > 0) {
        packer_close_row(packer, 0);
    }
    memory_release(places);
    memory_release(packer);
    index->parts_in_row_max = index->sequences_in_row_max;
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
    if (options->packing == DATA_PACKING_FULL) {
        index_cut_stream(index);
    } else {
        index_pack_documents(index);
    }
    return STATUS_OK;
}

void corpus_index_deinit(struct corpus_index *index)
{
    memory_release(index->places);
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

static void row_begin_sequence(const struct corpus_index *index, struct corpus_row *row)
{
    row->sequence_begins[row->sequence_count++] = (int32_t)row->token_count;
    row->ids[row->token_count++] = index->corpus->facts.specials.bos;
}

static void row_end_sequence(const struct corpus_index *index, struct corpus_row *row)
{
    row->ids[row->token_count++] = index->corpus->facts.specials.eos;
}

void corpus_index_read(const struct corpus_index *index, int64_t row, struct corpus_row *out)
{
    INVARIANT(row >= 0 && row < index->row_count);
    out->token_count = 0;
    out->sequence_count = 0;
    out->part_count = 0;
    if (index->options.packing == DATA_PACKING_FULL) {
        row_begin_sequence(index, out);
        row_read_stream(index, index->places[row], out);
        row_end_sequence(index, out);
        return;
    }
    const int64_t piece_tokens = index->options.sequence_tokens - SEQUENCE_ENDS;
    for (int64_t i = index->row_begins[row]; i < index->row_begins[row + 1]; i++) {
        const struct corpus_place place = index->places[i];
        const int64_t left = corpus_document_tokens(index->corpus, place.document) - place.offset;
        row_begin_sequence(index, out);
        row_add_part(out, index->corpus, place.document, place.offset, smaller(piece_tokens, left));
        row_end_sequence(index, out);
    }
}
