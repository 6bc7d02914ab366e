/* The inside of the search for pieces, for those who take part: whole texts (tokenizer_unigram.c),
 * words (unigram_words.c) and merges (piece_merges.c). */
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

struct piece_merges_work;

struct unigram_work {
    struct normal_text
        normal; /* a text as the model has it, or a part of one, its words prefixed */
    struct best_row *rows;
    size_t row_capacity;
    struct unigram_piece *pieces;
    size_t piece_count;
    size_t piece_capacity;
    struct word_cache cache;          /* of words without their U+2581 */
    struct piece_merges_work *merges; /* made when first needed */
};

/* Appends the pieces of a text, begin and end in its bytes; returns the place of the first. */
size_t unigram_cover(const struct unigram *model, struct unigram_work *work, const char *text,
                     size_t size_bytes);
/* Appends one piece. */
void unigram_push(struct unigram_work *work, int32_t id, size_t begin, size_t end);

/* Length of the character at `text` by its first byte; normalised text is UTF-8. size_bytes > 0. */
static inline size_t unigram_character_bytes(const char *text, size_t size_bytes)
{
    const unsigned char first = (unsigned char)text[0];
    const size_t length = first < 0xc0 ? 1 : (first < 0xe0 ? 2 : (first < 0xf0 ? 3 : 4));
    return length < size_bytes ? length : size_bytes;
}

/* Makes the ranks of the model's `count` pieces. */
void piece_merges_seal(struct unigram *model, size_t count);
/* Appends the pieces of a text by merging, begin and end in its bytes. */
void piece_merges(const struct unigram *model, struct unigram_work *work, const char *text,
                  size_t size_bytes);
void piece_merges_work_close(struct piece_merges_work *work); /* accepts NULL */

#endif
