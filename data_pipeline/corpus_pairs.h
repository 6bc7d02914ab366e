/* Cuts documents into pairs of text for next-sentence prediction (BERT) and sentence-order
 * prediction (ALBERT). A sentence is a line of the document; a line of more than half a pair is cut
 * into equal pieces. For each pair a length is aimed at: the most that fits, or with p = 0.1 a
 * uniform one from 2 on. Sentences are taken until they reach it and split at random into A and B,
 * each of at least one sentence.
 *   Next sentence: with p = 0.5, and where one sentence is left, B is not the rest but text of
 * another document of the same side, from a random sentence on; the rest is put back for the next
 * pair. Label 0: B follows A; 1: it is from elsewhere. Sentence order: with p = 0.5 A and B are
 * exchanged. A single sentence is split in its middle: no text of another document ever comes in.
 * Label 0: in order; 1: exchanged. What is too long loses tokens one by one, from the longer of the
 * two, at the front or the back alike. Pairs of under CORPUS_PAIR_TOKENS_MIN tokens are dropped. A
 * pure function of (seed, copy, document); `copy` gives other cuts of the same text. Not
 * thread-safe: one cutter, one thread. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_PAIRS_H
#define SHARDLM_DATA_PIPELINE_CORPUS_PAIRS_H

#include "data_pipeline/corpus_folder.h"
#include "data_pipeline/data_options.h"

enum { CORPUS_PAIR_TOKENS_MIN = 4 };

/* A place in the corpus. */
struct corpus_place {
    uint32_t document;
    uint32_t offset; /* first token */
};

struct corpus_pair {
    struct corpus_place first;
    struct corpus_place second;
    uint16_t first_count; /* tokens, >= 1 */
    uint16_t second_count;
    int32_t label;
};

struct corpus_pair_rules {
    enum data_pairs kind; /* not none */
    int64_t tokens_max;   /* of A and B together, 8 to 65535 */
    uint64_t seed;
    int64_t copy;
};

struct corpus_pair_cutter {
    const struct corpus *corpus; /* borrowed until deinit, as is `documents` */
    struct corpus_pair_rules rules;
    const uint32_t *documents; /* (document_count) of the side, rising */
    int64_t document_count;
    int64_t *sentences; /* (sentence_count + 1) first token of each in the document; its end */
    size_t sentences_capacity;
    int64_t sentence_count;
    int64_t own;        /* number in `documents` of the document that is being cut */
    int64_t next;       /* its first sentence that is not used */
    int64_t pair_count; /* tried in this document */
};

/* The corpus must know its lines. */
void corpus_pair_cutter_init(struct corpus_pair_cutter *cutter, const struct corpus *corpus,
                             const struct corpus_pair_rules *rules, const uint32_t *documents,
                             int64_t document_count);
void corpus_pair_cutter_deinit(struct corpus_pair_cutter *cutter); /* accepts a zeroed cutter */
/* Begins documents[number]. */
void corpus_pair_cutter_begin(struct corpus_pair_cutter *cutter, int64_t number);
/* The next pair of the document; false at its end. */
bool corpus_pair_cutter_next(struct corpus_pair_cutter *cutter, struct corpus_pair *pair);

#endif
