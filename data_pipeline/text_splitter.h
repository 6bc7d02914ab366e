/* The chain of pre-tokenisers that a tokenizer.json names: each cuts the words of the one before it
 * into smaller ones, and some change their text. Known are Split (by a text or an expression, with
 * each behaviour, inverted too), ByteLevel, Metaspace, Digits, Punctuation, Whitespace,
 * WhitespaceSplit, BertPreTokenizer and Sequence. As Hugging Face does it. */
#ifndef SHARDLM_DATA_PIPELINE_TEXT_SPLITTER_H
#define SHARDLM_DATA_PIPELINE_TEXT_SPLITTER_H

#include "base/json.h"
#include "data_pipeline/normal_text.h"
#include "data_pipeline/pattern.h"
#include "data_pipeline/token_table.h"

enum { SPLITTER_STEPS_MAX = 16 };

enum splitter_kind {
    SPLITTER_KIND_PATTERN,
    SPLITTER_KIND_TEXT,
    SPLITTER_KIND_DIGITS,
    SPLITTER_KIND_PUNCTUATION,
    SPLITTER_KIND_SPACES,
    SPLITTER_KIND_WORDS,     /* Whitespace: runs of \w, and of what is neither \w nor space */
    SPLITTER_KIND_BYTES,     /* ByteLevel: the text becomes byte symbols */
    SPLITTER_KIND_METASPACE, /* blanks become U+2581 */
};

/* What becomes of the matches of a step. */
enum split_behavior {
    SPLIT_BEHAVIOR_ISOLATED,
    SPLIT_BEHAVIOR_REMOVED,
    SPLIT_BEHAVIOR_MERGED_PREVIOUS,
    SPLIT_BEHAVIOR_MERGED_NEXT,
    SPLIT_BEHAVIOR_CONTIGUOUS,
};

enum splitter_prefix { /* in the order of names in the file */
                       SPLITTER_PREFIX_NEVER,
                       SPLITTER_PREFIX_FIRST, /* of a text */
                       SPLITTER_PREFIX_ALWAYS,
};

struct splitter_step {
    enum splitter_kind kind;
    enum split_behavior behavior;
    bool inverted; /* what lies between the matches counts as matches */
    struct pattern pattern;
    struct token_text text;      /* of TEXT; of METASPACE its symbol; not empty */
    enum splitter_prefix prefix; /* of BYTES (a blank) and METASPACE */
    bool cuts;                   /* of both: at the GPT-2 pattern's words, at the symbols */
};

struct text_splitter {
    struct splitter_step steps[SPLITTER_STEPS_MAX];
    size_t count;
};

/* From the value of "pre_tokenizer" (NULL or null: none). Texts are kept in `arena`. */
MUST_CHECK enum status text_splitter_read(struct text_splitter *splitter, const json_t *value,
                                          struct arena *arena, const char *where,
                                          struct error *error);
void text_splitter_deinit(struct text_splitter *splitter); /* accepts a zeroed struct */
/* Do words come out as byte symbols? */
bool text_splitter_makes_bytes(const struct text_splitter *splitter);

struct split_word {
    size_t begin;
    size_t end;
    bool opens; /* the whole text begins with it: see text_split */
};
struct split_words {
    struct normal_text text;
    bool opens; /* the whole text may begin here */
    struct split_word *items;
    size_t count;
    size_t capacity;
};
struct text_splitter_work { /* one thread's scratch; release with text_splitter_work_deinit */
    struct split_words words[2];
    struct normal_text prefixed;
};
void text_splitter_work_deinit(struct text_splitter_work *work);

/* Does it matter which word the whole text begins with, and can only places tell? (A normaliser may
 * drop the first characters: then no word opens the text.) */
bool text_splitter_needs_origins(const struct text_splitter *splitter, bool normalized);
/* Words of bytes [begin, end) of a normalised text, none of them empty; in the work until the next
 * call. `opens`: the whole text begins at `begin`; with places only what stands at place 0 does. */
const struct split_words *text_split(const struct text_splitter *splitter,
                                     struct text_splitter_work *work,
                                     const struct normal_text *text, size_t begin, size_t end,
                                     bool opens);

#endif
