/* The inside of a tokenizer, for the files that make, read and write one; everybody else uses
 * tokenizer.h. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_PARTS_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_PARTS_H

#include "base/json.h"
#include "data_pipeline/added_tokens.h"
#include "data_pipeline/token_table.h"
#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_bytebpe.h"
#include "data_pipeline/tokenizer_template.h"

struct tokenizer {
    struct token_table vocabulary; /* all tokens by id, in byte symbols */
    uint8_t *flags;                /* by id */
    size_t flag_capacity;
    struct bytebpe bpe;
    struct added_tokens added; /* their texts are the vocabulary's */
    json_t *post_processor;    /* as in the file; NULL: none */
    struct tokenizer_template template;
    /* What follows is made by tokenizer_seal. */
    struct arena arena;
    struct token_text *bytes; /* what each id stands for */
    struct tokenizer_specials specials;
    struct digest fingerprint;
};

/* An empty one, to be filled and sealed. */
struct tokenizer *tokenizer_new(void);
/* Names token `id` (given in order 0, 1, 2 …). False if the text is there already. */
MUST_CHECK bool tokenizer_name(struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                               uint8_t flags);
/* Makes an added token of a named one; the other fields are as in *token. */
void tokenizer_add_token(struct tokenizer *tokenizer, const struct added_token *token);
/* Checks what was filled in and builds the tables. `where` names the file in messages. */
MUST_CHECK enum status tokenizer_seal(struct tokenizer *tokenizer, const char *where,
                                      struct error *error);
/* The work's model part, emptied first if another tokenizer used it last. */
struct bytebpe_work *tokenizer_work_for(const struct tokenizer *tokenizer,
                                        struct tokenizer_work *work);
/* {"type": "RobertaProcessing", …} with <s> and </s>; NULL where the vocabulary lacks them. */
json_t *tokenizer_roberta_processor(const struct token_table *vocabulary);

#endif
