/* BPE with the parts that a tokenizer.json names (Llama, Mistral, Qwen, Falcon, BLOOM, CLIP,
 * GPT-1): text is normalised and cut into words, which start as the ids of their characters;
 * characters without token are the tokens of their bytes or unknown. Merges are those of a
 * byte-level BPE (tokenizer_bytebpe.h), whose own file is faster where it can say the same. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_CHARBPE_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_CHARBPE_H

#include "data_pipeline/text_normalizer.h"
#include "data_pipeline/text_splitter.h"
#include "data_pipeline/token_decoder.h"
#include "data_pipeline/tokenizer_bytebpe.h"

struct charbpe {
    struct text_normalizer normalizer;
    struct text_splitter splitter;
    struct token_decoder decoder;
    bool byte_fallback;       /* <0x00> to <0xFF> for characters without token */
    struct token_text prefix; /* of each character of a word but the first; may be empty */
    struct token_text suffix; /* of the last one */
    /* What follows is made by charbpe_seal. */
    const struct bytebpe *bpe; /* borrowed: merges, unknown token and their settings */
    bool makes_bytes;          /* tokens are byte symbols */
    bool needs_origins;        /* text must come with places even if nobody asks for them */
    int32_t byte_ids[256];     /* of <0x00> …; -1: not in the vocabulary */
    int32_t ascii_ids[128];    /* of characters that are neither first with a prefix nor last */
};

void charbpe_seal(struct charbpe *model, const struct bytebpe *bpe); /* which is sealed */
void charbpe_deinit(struct charbpe *model);                          /* accepts a zeroed struct */

struct charbpe_work; /* one thread's word cache and scratch */
struct charbpe_work *charbpe_work_open(void);
void charbpe_work_close(struct charbpe_work *work); /* accepts NULL */
void charbpe_work_reset(struct charbpe_work *work); /* before use with another model */

/* Does the token begin a word wherever it stands? Where words are marked at their ends every token
 * is said to. */
bool charbpe_begins_word(const struct charbpe *model, struct token_text text);
/* Appends the ids of bytes [begin, end) of a normalised text; `opens`: the whole text begins there.
 */
void charbpe_encode(const struct charbpe *model, struct charbpe_work *work,
                    const struct normal_text *text, size_t begin, size_t end, bool opens,
                    struct token_list *out);

/* One token of a text; [begin, end) of the original. */
struct charbpe_token {
    int32_t id;
    size_t begin;
    size_t end;
    int64_t word; /* its number in this text */
};
/* The same with places and the number of `words`; the text has origins. In the work until the next
 * call. */
const struct charbpe_token *charbpe_encode_places(const struct charbpe *model,
                                                  struct charbpe_work *work,
                                                  const struct normal_text *text, size_t begin,
                                                  size_t end, bool opens, size_t *count,
                                                  int64_t *words);

#endif
