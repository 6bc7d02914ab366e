/* The byte-level BPE model: words of bytes to ids, by the merges in their order. A word starts as
 * the ids of its byte symbols; then, as long as there is one, the neighbouring pair with the lowest
 * rank (the leftmost of equals) becomes one token. Knows nothing of added tokens and files. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_BYTEBPE_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_BYTEBPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data_pipeline/token_table.h"
#include "data_pipeline/tokenizer.h"

struct bpe_merge {
    int32_t left;
    int32_t right;
    int32_t result;
};

struct bpe_slot; /* hash table from pair to rank and result */

struct bytebpe {
    struct bpe_merge *merges; /* by rank */
    size_t merge_count;
    size_t merge_capacity;
    int32_t unknown;    /* id for bytes without symbol in the vocabulary, or -1: they are dropped */
    bool fuse_unknown;  /* neighbouring unknown bytes become one id */
    bool ignore_merges; /* a word that is in the vocabulary is taken whole */
    bool add_prefix_space; /* text that does not begin with a blank gets one */
    bool use_pattern;      /* cut into words by the GPT-2 pattern, else a text is one word */
    /* What follows is made by bytebpe_seal. */
    int32_t byte_ids[256]; /* -1: not in the vocabulary */
    struct bpe_slot *slots;
    unsigned slot_shift;
    const struct token_table *vocabulary; /* borrowed */
    const uint8_t *flags;                 /* borrowed; enum token_flag, by id */
};

/* Builds the tables from merges and vocabulary, which must stay (of it, tokens without
 * TOKEN_FLAG_IN_MODEL do not exist here). False if a pair stands twice among the merges; then *rank
 * is the second one. */
MUST_CHECK bool bytebpe_seal(struct bytebpe *bpe, const struct token_table *vocabulary,
                             const uint8_t *flags, size_t *rank);
void bytebpe_deinit(struct bytebpe *bpe); /* accepts a zeroed struct */

struct bytebpe_work; /* one thread's word cache and scratch */
struct bytebpe_work *bytebpe_work_open(void);
void bytebpe_work_close(struct bytebpe_work *work); /* accepts NULL */
void bytebpe_work_reset(struct bytebpe_work *work); /* before use with another model */

/* Appends the ids of a text between added tokens. */
void bytebpe_encode(const struct bytebpe *bpe, struct bytebpe_work *work, const char *text,
                    size_t size_bytes, struct token_list *out);
/* Appends the ids of one word (size_bytes >= 1). */
void bytebpe_encode_word(const struct bytebpe *bpe, struct bytebpe_work *work, const char *word,
                         size_t size_bytes, struct token_list *out);
/* The id of a token of the model, or -1. */
int32_t bytebpe_find(const struct bytebpe *bpe, const char *text, size_t size_bytes);
/* Merges `count` ids of a word in place; returns how many are left. */
size_t bytebpe_merge(const struct bytebpe *bpe, struct bytebpe_work *work, int32_t *ids,
                     size_t count);
/* `text` with its prefix blank if it gets one: in the work's buffer until the next call, or `text`
 * itself. */
const char *bytebpe_prefixed(const struct bytebpe *bpe, struct bytebpe_work *work, const char *text,
                             size_t *size_bytes);

#endif
