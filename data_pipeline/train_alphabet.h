/* Where training begins: the tokens that are there before the first merge, and each counted word as
 * a row of their ids. */
#ifndef SHARDLM_DATA_PIPELINE_TRAIN_ALPHABET_H
#define SHARDLM_DATA_PIPELINE_TRAIN_ALPHABET_H

#include "data_pipeline/token_table.h"
#include "data_pipeline/word_counts.h"

struct word_row {
    size_t begin; /* in `symbols`: where the word's text begins in counts->text */
    size_t count;
    int64_t weight; /* how often the word occurs */
};

/* Byte-level: the 256 byte symbols in code point order. `symbols` has room for counts->text_bytes
 * ids, `rows` for counts->word_count. */
void train_alphabet_bytes(struct token_table *names, const struct word_counts *counts,
                          struct word_row *rows, int32_t *symbols);

/* WordPiece: characters that begin words, by code point, then characters within words behind "##",
 * by code point. Only the `character_max` most frequent characters (of equals the lower ones) are
 * taken; a word with another one has an empty row, as it is unknown to the tokenizer as a whole. */
void train_alphabet_characters(struct token_table *names, const struct word_counts *counts,
                               size_t character_max, struct word_row *rows, int32_t *symbols);

#endif
