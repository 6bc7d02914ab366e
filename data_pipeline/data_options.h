/* Options of the data side, filled by launch/config.c from its one table, and which of them there can be. */
#ifndef SHARDLM_DATA_PIPELINE_DATA_OPTIONS_H
#define SHARDLM_DATA_PIPELINE_DATA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"

enum { DATA_SLOTS_MAX = 1 << 20 /* in a step: the dropout key has room for 2^20 */ };

enum data_objective {
    DATA_OBJECTIVE_DYNAMIC_MASK,    /* new masks every epoch */
    DATA_OBJECTIVE_STATIC_MASK,     /* `mask_copies` fixed masks per sequence, used in turn */
    DATA_OBJECTIVE_WHOLE_WORD_MASK, /* dynamic, all pieces of a word together */
    DATA_OBJECTIVE_NGRAM_MASK,      /* dynamic, one to three words in a row (ALBERT) */
    DATA_OBJECTIVE_SPAN_MASK,   /* dynamic, one to ten words in a row, replaced alike (SpanBERT) */
    DATA_OBJECTIVE_CAUSAL,      /* nothing is masked: each next token is predicted (GPT) */
    DATA_OBJECTIVE_PERMUTATION, /* nothing is masked: some words, each from the context and those
                                   before it in a random order (XLNet) */
};

enum data_packing {
    DATA_PACKING_FULL,     /* a stream of documents with separators, cut into full sequences */
    DATA_PACKING_DOCUMENT, /* a sequence never holds two documents; rows hold several sequences */
    DATA_PACKING_FULL_SENTENCES,     /* FULL-SENTENCES: the stream, cut where a line begins */
    DATA_PACKING_DOCUMENT_SENTENCES, /* DOC-SENTENCES: documents, cut where a line begins */
};

enum data_pairs {
    DATA_PAIRS_NONE,
    DATA_PAIRS_NEXT_SENTENCE,  /* does B follow A, or is it from another document? (BERT) */
    DATA_PAIRS_SENTENCE_ORDER, /* do A and B stand in order, or are they exchanged? (ALBERT) */
};

struct data_options {
    char corpus[PATH_BYTES]; /* folder made by `corpus build`, or "synthetic" */
    enum data_objective objective;
    enum data_packing packing; /* without pairs; pairs are packed as documents are */
    enum data_pairs pairs;
    int64_t pair_copies;      /* different cuts of the text into pairs, used in turn by epoch */
    double mask_fraction;     /* share of a sequence's real tokens that is predicted */
    double mask_share;        /* of those: replaced by the mask token; default 0.8 */
    double random_share;      /* of those: replaced by a random token; default 0.1 (the rest is kept) */
    int64_t mask_copies;      /* static_mask only; default 10 */
    int64_t chain_rows;       /* permutation: rows that follow each other in text and slot; 0: 1 */
    bool bi_data;             /* permutation: half of the chains are read backwards */
    int64_t sequence_tokens;  /* T: length of a full sequence, special tokens included */
    double held_out;          /* share of documents kept from training, chosen by hash of their content */
    bool skip_bad_shards;     /* go on without a damaged corpus shard (recorded) instead of refusing */
    bool checked; /* data_source_check() has found all corpus shards good, here or in a process beside */
};

struct step_options {
    int64_t tokens;      /* token budget of a step; a multiple of slot_tokens */
    int64_t slot_tokens; /* token budget of a slot; a multiple of sequence_tokens */
};

/* chain_rows, whether it is given or not. */
static inline int64_t data_chain_rows(const struct data_options *options)
{
    return options->chain_rows == 0 ? 1 : options->chain_rows;
}

/* STATUS_INPUT names the key that is out of range or does not go with others. */
MUST_CHECK enum status data_options_check(const struct data_options *options,
                                          const struct step_options *step, struct error *error);

#endif
