/* The inside of a tokenizer, for the files that make, read and write one; everybody else uses
 * tokenizer.h. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_PARTS_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_PARTS_H

#include "base/json.h"
#include "data_pipeline/added_tokens.h"
#include "data_pipeline/token_table.h"
#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_bytebpe.h"
#include "data_pipeline/tokenizer_charbpe.h"
#include "data_pipeline/tokenizer_template.h"
#include "data_pipeline/tokenizer_unigram.h"
#include "data_pipeline/tokenizer_wordpiece.h"

enum tokenizer_kind {
    TOKENIZER_KIND_BYTEBPE,
    TOKENIZER_KIND_CHARBPE,
    TOKENIZER_KIND_WORDPIECE,
    TOKENIZER_KIND_UNIGRAM,
};

struct tokenizer {
    enum tokenizer_kind kind;
    struct token_table vocabulary; /* all tokens by id, as the files write them */
    uint8_t *flags;                /* by id */
    size_t flag_capacity;
    struct bytebpe bpe; /* of these, the one of the kind is in use; CHARBPE has both */
    struct charbpe charbpe;
    struct wordpiece wordpiece;
    struct unigram unigram;
    struct added_tokens added; /* their texts are the vocabulary's */
    json_t *post_processor;    /* as in the file; NULL: none */
    json_t *normalizer;        /* the same, of CHARBPE and of a unigram model by words */
    json_t *pre_tokenizer;
    json_t *decoder;
    struct tokenizer_template template;
    /* What follows is made by tokenizer_seal. */
    struct arena arena;
    struct token_text *bytes; /* what each id stands for in the text */
    struct token_text *shown; /* the texts, added tokens that are normalized in their normal form:
                                 what the decoder starts from */
    struct tokenizer_specials specials;
    struct digest fingerprint;
};

struct tokenizer_work {
    struct digest owner;      /* fingerprint of the tokenizer whose words are cached */
    struct bytebpe_work *bpe; /* each is made when a tokenizer of its kind first asks for it */
    struct charbpe_work *charbpe;
    struct wordpiece_work *wordpiece;
    struct unigram_work *unigram;
    struct normal_text normal;
    struct text_normalizer_work normalizer;
};

/* An empty one, to be filled and sealed. */
struct tokenizer *tokenizer_new(enum tokenizer_kind kind);
/* Names token `id` (given in order 0, 1, 2 …). False if the text is there already. */
MUST_CHECK bool tokenizer_name(struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                               uint8_t flags);
/* Makes an added token of a named one; the other fields are as in *token. */
void tokenizer_add_token(struct tokenizer *tokenizer, const struct added_token *token);
/* Checks what was filled in and builds the tables. `where` names the file in messages. */
MUST_CHECK enum status tokenizer_seal(struct tokenizer *tokenizer, const char *where,
                                      struct error *error);
/* Digest of all that was filled in; called by tokenizer_seal. */
struct digest tokenizer_digest(const struct tokenizer *tokenizer);
/* Makes the work ready for this tokenizer: its kind's part is there, and empty if another tokenizer
 * used it last. */
void tokenizer_work_ready(const struct tokenizer *tokenizer, struct tokenizer_work *work);
/* Does text become another before it is cut into words? (Unigram models of a model file do that by
 * themselves.) */
bool tokenizer_normalizes(const struct tokenizer *tokenizer);
/* Appends the normal form of a text that stands at `base` of the original. */
void tokenizer_normalize(const struct tokenizer *tokenizer, struct text_normalizer_work *work,
                         const char *text, size_t size_bytes, size_t base, struct normal_text *out);
/* What tokenizer.json says; the caller's. */
json_t *tokenizer_json(const struct tokenizer *tokenizer);
/* {"type": "RobertaProcessing", …} with <s> and </s>; NULL where the vocabulary lacks them. */
json_t *tokenizer_roberta_processor(const struct token_table *vocabulary);
/* {"type": "TemplateProcessing", …}: [CLS] A [SEP] and [CLS] A [SEP] B [SEP]; or NULL. */
json_t *tokenizer_bert_processor(const struct token_table *vocabulary);
/* The same for a SentencePiece model, which does not say: by the special pieces that it has,
 * ALBERT's, XLNet's (A <sep> <cls>), or <s> A </s>. */
json_t *tokenizer_piece_processor(const struct token_table *vocabulary);

#endif
