/* The two ends of training a unigram model: from texts to words, from pieces to a tokenizer. Words
 * are those of NFKC text between white space, each with a U+2581 in front. */
#ifndef SHARDLM_DATA_PIPELINE_TRAIN_UNIGRAM_TEXT_H
#define SHARDLM_DATA_PIPELINE_TRAIN_UNIGRAM_TEXT_H

#include "data_pipeline/text_normalizer.h"
#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_train.h"
#include "data_pipeline/word_counts.h"

struct unigram_text_work { /* release with unigram_text_work_deinit */
    struct text_normalizer_work normalizer;
    struct normal_text normal;
};
void unigram_text_work_deinit(struct unigram_text_work *work); /* accepts a zeroed struct */

/* Counts the words of a text. STATUS_LIMIT at TRAIN_WORD_BYTES_MAX. */
MUST_CHECK enum status unigram_text_count(struct word_counts *counts,
                                          struct unigram_text_work *work, const char *text,
                                          size_t size_bytes, struct error *error);
/* Trains on what was counted. */
MUST_CHECK enum status unigram_text_train(const struct word_counts *counts,
                                          const struct tokenizer_train_options *options,
                                          struct tokenizer **tokenizer, struct error *error);

#endif
