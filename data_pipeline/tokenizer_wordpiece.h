/* The WordPiece model of BERT: a word is covered from left to right by the longest pieces of the
 * vocabulary; all but the first are written with a prefix ("##"). A word that cannot be covered, or
 * is too long, is unknown as a whole. Knows nothing of added tokens and files. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_WORDPIECE_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_WORDPIECE_H

#include "data_pipeline/bert_normalizer.h"
#include "data_pipeline/piece_trie.h"
#include "data_pipeline/tokenizer.h"

struct wordpiece {
    struct bert_normalizer normalizer; /* all false: text is taken as it is */
    bool has_normalizer;               /* the file names one */
    bool has_decoder;                  /* pieces are joined to words, else blanks between all */
    bool cleanup;                      /* decoding takes the blank before "." and the like */
    const char *prefix;                /* of pieces within a word; in the tokenizer's arena */
    size_t prefix_bytes;
    int64_t characters_max; /* longer words are unknown */
    int32_t unknown;
    /* What follows is made by wordpiece_seal. */
    struct piece_trie trie;
    uint32_t inner_node; /* where pieces within a word begin; TRIE_NONE: there are none */
};

/* Builds the tables; pieces are the texts whose flags (enum token_flag, by id) say so. */
void wordpiece_seal(struct wordpiece *model, const struct token_text *texts, const uint8_t *flags,
                    size_t count);
void wordpiece_deinit(struct wordpiece *model); /* accepts a zeroed struct */

struct wordpiece_work; /* one thread's word cache and scratch */
struct wordpiece_work *wordpiece_work_open(void);
void wordpiece_work_close(struct wordpiece_work *work); /* accepts NULL */
void wordpiece_work_reset(struct wordpiece_work *work); /* before use with another model */

/* Appends the ids of a text between added tokens. */
void wordpiece_encode(const struct wordpiece *model, struct wordpiece_work *work, const char *text,
                      size_t size_bytes, struct token_list *out);
/* The same for text that is normalised already. */
void wordpiece_encode_normal(const struct wordpiece *model, struct wordpiece_work *work,
                             const char *text, size_t size_bytes, struct token_list *out);
/* Appends the ids of one normalised word. */
void wordpiece_encode_word(const struct wordpiece *model, struct wordpiece_work *work,
                           const char *word, size_t size_bytes, struct token_list *out);

#endif
