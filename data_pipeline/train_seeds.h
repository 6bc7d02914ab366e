/* The pieces that training of a unigram model begins with: all characters that are frequent enough
 * together, and the substrings of words that cover most text (count times length). After
 * SentencePiece: substrings of at most SEED_CHARACTERS_MAX characters, of one script, in which
 * U+2581 stands first or not at all, and of those that always go on in the same way only the
 * longest. */
#ifndef SHARDLM_DATA_PIPELINE_TRAIN_SEEDS_H
#define SHARDLM_DATA_PIPELINE_TRAIN_SEEDS_H

#include "data_pipeline/token_table.h"

enum { SEED_CHARACTERS_MAX = 16, SEED_COUNT_MAX = 1000000 };

struct weighted_word {
    const char *bytes; /* UTF-8 */
    size_t size_bytes;
    int64_t weight;
};

struct train_seeds { /* release with train_seeds_deinit */
    struct token_table pieces;
    double *counts;         /* by piece: occurrences of characters, covered text of the others */
    int64_t required_count; /* the first pieces are the characters, most frequent first */
};

/* The result depends on the set of words only, not on their order; characters that are not within
 * `coverage` of all (0 to 1) are in no piece. */
void train_seeds_init(struct train_seeds *seeds, const struct weighted_word *words, size_t count,
                      double coverage);
void train_seeds_deinit(struct train_seeds *seeds); /* accepts a zeroed struct */

#endif
