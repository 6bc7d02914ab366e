/* The inside of the search for pieces, for its two users: whole texts (tokenizer_unigram.c) and
 * words (unigram_words.c). */
#ifndef SHARDLM_DATA_PIPELINE_UNIGRAM_SEARCH_H
#define SHARDLM_DATA_PIPELINE_UNIGRAM_SEARCH_H

#include "data_pipeline/tokenizer_unigram.h"
#include "data_pipeline/word_cache.h"

/* The best row of pieces that ends at a byte. */
struct best_row {
    double score;
    int32_t id;     /* its last piece */
    uint32_t begin; /* of that piece; NO_ROW: none ends here */
};

#define NO_ROW UINT32_MAX

struct unigram_work {
    struct normal_text
        normal; /* a text as the model has it, or a part of one, its words prefixed */
    struct best_row *rows;
    size_t row_capacity;
    struct unigram_piece *pieces;
    size_t piece_count;
    size_t piece_capacity;
    struct word_cache cache; /* of words without their U+2581 */
};

/* Appends the pieces of a text, begin and end in its bytes; returns the place of the first. */
size_t unigram_cover(const struct unigram *model, struct unigram_work *work, const char *text,
                     size_t size_bytes);

#endif
