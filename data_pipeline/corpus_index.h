/* Rows of sequences over the documents of one side of a corpus (training or held out), found in
 * O(1). A row is the unit that slots are made of: at most T tokens, in one or several sequences
 * `<s> … </s>`.
 *   FULL: the documents in corpus order are one stream with `</s>` after each, cut into pieces of
 * T - 2 tokens; a row is one piece, so every row but the last has exactly T tokens.
 *   FULL_SENTENCES: the same stream, but pieces end where lines do, and separators stand between
 * documents only: as many whole lines as T - 2 tokens hold. A line is cut where not even
 * CORPUS_PIECE_TOKENS_MIN tokens would stand before it.
 *   DOCUMENT: each document is cut into pieces of at most T - 2 tokens (a piece under
 * CORPUS_PIECE_TOKENS_MIN is dropped), each a sequence; sequences are put into rows in corpus
 * order, best fit among the CORPUS_OPEN_ROWS rows that are still open, the fullest one closed when
 * none fits.
 *   DOCUMENT_SENTENCES: alike, of pieces that end where lines do.
 *   PAIRS (whatever the packing): sequences `<s> A </s> B </s>` of corpus_pairs.h, packed alike, in
 * several copies: rows [copy_begins[c], copy_begins[c + 1]) hold the text once, cut in another way.
 * Memory: FULL and FULL_SENTENCES 8 bytes a row; DOCUMENT 8 bytes a sequence and 8 a row;
 * DOCUMENT_SENTENCES, and PAIRS for each copy, 24 bytes a sequence and 8 a row. Immutable after
 * build: any thread may read. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_INDEX_H
#define SHARDLM_DATA_PIPELINE_CORPUS_INDEX_H

#include "data_pipeline/corpus_folder.h"
#include "data_pipeline/corpus_pairs.h"
#include "data_pipeline/data_options.h"

enum {
    CORPUS_PIECE_TOKENS_MIN = 4,
    CORPUS_OPEN_ROWS = 64,
    CORPUS_SEQUENCE_TOKENS_MIN = 8,
    CORPUS_SEQUENCE_TOKENS_MAX = 65536,
    CORPUS_PAIR_SEQUENCE_TOKENS_MIN = 16,
    CORPUS_PAIR_COPIES_MAX = 16,
};

struct corpus_index_options {
    int64_t sequence_tokens; /* T */
    enum data_packing packing;
    double held_out;    /* share */
    bool take_held_out; /* which side */
    enum data_pairs pairs;
    int64_t pair_copies; /* with pairs: 1 to CORPUS_PAIR_COPIES_MAX */
    uint64_t seed;       /* of the pairs */
};

struct corpus_index {
    const struct corpus *corpus; /* borrowed until deinit */
    struct corpus_index_options options;
    struct corpus_place
        *places; /* (place_count) FULL, FULL_SENTENCES: of each row; DOCUMENT: of each sequence, by
                    row; the offset may be the document's end in FULL: the separator comes next */
    size_t places_capacity;
    struct corpus_pair *pairs; /* (place_count) PAIRS, DOCUMENT_SENTENCES (first alone): of each
                                  sequence, by row; no places then */
    size_t pairs_capacity;
    int64_t place_count;
    int64_t *row_begins; /* (row_count + 1) first place of each row; NULL in FULL and
                            FULL_SENTENCES */
    size_t row_begins_capacity;
    int64_t row_count;
    int64_t copy_begins[CORPUS_PAIR_COPIES_MAX + 1]; /* PAIRS: first row of each copy */
    int64_t pair_tokens;                             /* PAIRS: tokens of text in all sequences */
    int64_t sequences_in_row_max;
    int64_t parts_in_row_max;
};

/* A stretch of one document within a row: what masks are drawn for. */
struct corpus_part {
    int64_t document;
    int64_t offset; /* of its first token in the document */
    int64_t begin;  /* of its first token in the row */
    int64_t count;
};

/* A row, read; the arrays are the caller's, with room for the index's maxima. */
struct corpus_row {
    int64_t token_count;
    int64_t sequence_count;
    int64_t part_count;
    int32_t *ids;             /* (T) */
    int32_t *sequence_begins; /* (sequences_in_row_max) */
    int32_t *second_begins;   /* (sequences_in_row_max) first token of B, else of what comes next */
    int32_t *labels;          /* (sequences_in_row_max) of the pair; -1: none */
    struct corpus_part *parts; /* (parts_in_row_max) */
};

/* STATUS_LIMIT above 2^32 documents; STATUS_INPUT if pairs are asked for and the corpus knows no
 * lines, or T is too small for pairs. A side without documents has 0 rows. */
MUST_CHECK enum status corpus_index_build(struct corpus_index *index, const struct corpus *corpus,
                                          const struct corpus_index_options *options,
                                          struct error *error);
void corpus_index_deinit(struct corpus_index *index); /* accepts a zeroed index */
void corpus_index_read(const struct corpus_index *index, int64_t row, struct corpus_row *out);

#endif
