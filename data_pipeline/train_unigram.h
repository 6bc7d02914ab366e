/* Training of a unigram model, after SentencePiece (Kudo 2018): from many pieces, expectation
 * maximisation makes their probabilities, the pieces whose loss costs least likelihood go, and so
 * on until the vocabulary is small enough. Characters stay. One thread; the result depends on the
 * set of words and their weights only. */
#ifndef SHARDLM_DATA_PIPELINE_TRAIN_UNIGRAM_H
#define SHARDLM_DATA_PIPELINE_TRAIN_UNIGRAM_H

#include "base/json.h"
#include "data_pipeline/train_seeds.h"

struct unigram_train_options {
    int64_t piece_count; /* fewer if the text does not give more */
    double coverage;     /* share of all characters that get a piece */
};

/* Sorts `words`. Appends rows [piece, score], highest score first, to the array `rows`.
 * STATUS_INPUT if there are more characters than pieces. */
MUST_CHECK enum status train_unigram(struct weighted_word *words, size_t count,
                                     const struct unigram_train_options *options, json_t *rows,
                                     struct error *error);

#endif
