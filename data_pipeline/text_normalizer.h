/* The chain of normalisers that a tokenizer.json names: each makes a text of the one before it.
 * Known are those of released models: Precompiled, NFC, NFD, NFKC, NFKD, StripAccents, Lowercase,
 * Strip, Replace (of a text or an expression), Prepend, BertNormalizer and Sequence. As Hugging
 * Face does it, also where that differs from SentencePiece: Precompiled looks at whole grapheme
 * clusters of up to five bytes first, and takes the shortest rule. Places are right also where
 * Precompiled removes the first characters; the reference's are then too small by their number. */
#ifndef SHARDLM_DATA_PIPELINE_TEXT_NORMALIZER_H
#define SHARDLM_DATA_PIPELINE_TEXT_NORMALIZER_H

#include "base/json.h"
#include "data_pipeline/bert_normalizer.h"
#include "data_pipeline/character_map.h"
#include "data_pipeline/pattern.h"
#include "data_pipeline/token_table.h"
#include "data_pipeline/unicode_form.h"

enum { NORMALIZER_STEPS_MAX = 32 };

enum normalizer_kind {
    NORMALIZER_KIND_FORM,
    NORMALIZER_KIND_STRIP_ACCENTS,
    NORMALIZER_KIND_LOWERCASE,
    NORMALIZER_KIND_STRIP,
    NORMALIZER_KIND_REPLACE,
    NORMALIZER_KIND_REPLACE_BLANKS,  /* two or more */
    NORMALIZER_KIND_REPLACE_SPACES,  /* two or more of any white space, or one line end or tab */
    NORMALIZER_KIND_REPLACE_MATCHES, /* of a pattern */
    NORMALIZER_KIND_PRECOMPILED,
    NORMALIZER_KIND_PREPEND,
    NORMALIZER_KIND_BERT,
};

struct normalizer_step {
    enum normalizer_kind kind;
    enum unicode_form form;
    bool strip_left;
    bool strip_right;
    struct token_text pattern; /* of REPLACE; not empty */
    struct token_text content; /* of REPLACE… and PREPEND */
    struct pattern expression;
    struct bert_normalizer bert;
    char *map_blob;
    struct character_map map;
    bool plain[128]; /* by ASCII character: no rule applies to it alone (CR and LF aside) */
};

struct text_normalizer {
    struct normalizer_step steps[NORMALIZER_STEPS_MAX];
    size_t count;
};

struct text_normalizer_work { /* one thread's scratch; release with text_normalizer_work_deinit */
    struct normal_text texts[2];
    struct form_work form;
};
void text_normalizer_work_deinit(struct text_normalizer_work *work);

/* From the value of "normalizer" (NULL or null: none). Texts of steps are kept in `arena`. */
MUST_CHECK enum status text_normalizer_read(struct text_normalizer *normalizer, const json_t *value,
                                            struct arena *arena, const char *where,
                                            struct error *error);
void text_normalizer_deinit(struct text_normalizer *normalizer); /* accepts a zeroed struct */
/* Appends the normal form of a text that stands at `base` of the original. Bytes that are no UTF-8
 * count as U+FFFD, one for each maximal broken part. */
void text_normalize(const struct text_normalizer *normalizer, struct text_normalizer_work *work,
                    const char *text, size_t size_bytes, size_t base, struct normal_text *out);

#endif
