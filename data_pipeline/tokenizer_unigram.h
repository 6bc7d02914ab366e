/* The models of SentencePiece. Unigram (ALBERT, XLNet): of all ways to write the normalised text as
 * a row of pieces, the one with the highest sum of scores; BPE (Llama 2): neighbours are merged by
 * the scores of what they become; and single characters. Pieces may hold blanks, written U+2581;
 * characters without piece are unknown, or, with byte fallback, the pieces of their bytes. Sums go
 * from left to right; a model file means sentencepiece 0.2, which adds floats and normalises by
 * itself, a tokenizer.json means Hugging Face's Unigram, which adds doubles and takes words. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_UNIGRAM_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_UNIGRAM_H

#include <stdbool.h>

#include "data_pipeline/character_map.h"
#include "data_pipeline/normal_text.h"
#include "data_pipeline/piece_trie.h"
#include "data_pipeline/text_normalizer.h"
#include "data_pipeline/tokenizer.h"

enum { UNIGRAM_SPACE_BYTES = 3 }; /* of U+2581, which stands for a blank */

enum piece_type { /* numbers of the file format */
                  PIECE_TYPE_NORMAL = 1,
                  PIECE_TYPE_UNKNOWN = 2,
                  PIECE_TYPE_CONTROL = 3, /* has no text */
                  PIECE_TYPE_USER = 4,    /* always one piece; not normalised */
                  PIECE_TYPE_UNUSED = 5,
                  PIECE_TYPE_BYTE = 6,
};

enum piece_search {
    PIECE_SEARCH_BEST_ROW,   /* unigram */
    PIECE_SEARCH_MERGES,     /* BPE */
    PIECE_SEARCH_CHARACTERS, /* nothing is merged */
};

/* When a word gets a U+2581 in front. */
enum word_prefix {
    WORD_PREFIX_NEVER,
    WORD_PREFIX_FIRST, /* of a text */
    WORD_PREFIX_ALWAYS,
};

/* What a tokenizer.json says of text and words. */
struct unigram_words {
    struct text_normalizer normalizer;
    bool split_at_spaces;    /* WhitespaceSplit: white space of all kinds goes */
    bool split_at_symbols;   /* Metaspace: a U+2581 begins a word */
    enum word_prefix prefix; /* of each part between spaces or added tokens */
    bool has_decoder;        /* Metaspace; else pieces are joined by blanks */
    bool decoder_strips;     /* U+2581 of the first piece go */
};

struct unigram {
    bool by_words; /* from a tokenizer.json */
    enum piece_search search;
    struct unigram_words words;
    char *file; /* the model file's bytes, written again by save; NULL by_words */
    size_t file_bytes;
    double *scores; /* by id; floats unless by_words */
    uint8_t *types; /* by id: enum piece_type */
    size_t piece_capacity;
    size_t type_capacity;
    const char *map_blob; /* in `file` */
    size_t map_bytes;
    const char *unknown_text; /* what an unknown piece decodes to, in `file` or static */
    size_t unknown_text_bytes;
    bool add_dummy_prefix;
    bool remove_extra_spaces;
    bool escape_spaces;
    bool space_is_suffix;
    bool byte_fallback;
    /* What follows is made by unigram_seal. */
    struct character_map map;
    struct piece_trie pieces;
    struct piece_trie user_pieces; /* at which the character map stops */
    uint32_t *ranks;               /* by id: its turn among the merges, of equal scores the same */
    bool has_unused;
    int32_t unknown;
    int32_t byte_ids[256];
    double lowest_score; /* of normal pieces; by_words of all */
    double highest_score;
};

/* Checks and builds the tables; texts by id. `where` names the file in messages. */
MUST_CHECK enum status unigram_seal(struct unigram *model, const struct token_text *texts,
                                    size_t count, const char *where, struct error *error);
void unigram_deinit(struct unigram *model); /* accepts a zeroed struct */

/* What piece `id`, which is `text`, adds to a sum. */
double unigram_score(const struct unigram *model, int32_t id, struct token_text text);

struct unigram_work; /* one thread's scratch and word cache */
struct unigram_work *unigram_work_open(void);
void unigram_work_reset(struct unigram_work *work); /* before use with another model */
void unigram_work_close(struct unigram_work *work); /* accepts NULL */

bool unigram_piece_begins_word(struct token_text text); /* it starts with U+2581 */

/* One piece of a text; [begin, end) of the original. */
struct unigram_piece {
    int32_t id;
    size_t begin;
    size_t end;
    int64_t word; /* its number in this text; set by unigram_encode_words only */
};
/* Not by_words. The pieces of a text that stands at `base` of the original; in the work until the
 * next call. With places, or begin and end are not set. */
const struct unigram_piece *unigram_encode(const struct unigram *model, struct unigram_work *work,
                                           const char *text, size_t size_bytes, size_t base,
                                           bool with_places, size_t *count);
/* By words. Appends the ids of bytes [begin, end) of a normalised text; `opens`: the whole text
 * begins here. */
void unigram_encode_ids(const struct unigram *model, struct unigram_work *work,
                        const struct normal_text *text, size_t begin, size_t end, bool opens,
                        struct token_list *out);
/* The same as pieces with places in the original and `words` of them; the text has origins. */
const struct unigram_piece *unigram_encode_words(const struct unigram *model,
                                                 struct unigram_work *work,
                                                 const struct normal_text *text, size_t begin,
                                                 size_t end, bool opens, size_t *count,
                                                 int64_t *words);

#endif
