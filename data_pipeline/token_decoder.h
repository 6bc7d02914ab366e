/* The chain of decoders that a tokenizer.json names: each makes another list of texts of the one
 * before it, and at the end they are joined. Known are ByteLevel, Replace, ByteFallback, Fuse,
 * Strip, Metaspace, BPEDecoder and Sequence. Without decoder blanks
 * stand between the tokens. As Hugging Face does it. */
#ifndef SHARDLM_DATA_PIPELINE_TOKEN_DECODER_H
#define SHARDLM_DATA_PIPELINE_TOKEN_DECODER_H

#include "base/json.h"
#include "data_pipeline/pattern.h"
#include "data_pipeline/token_table.h"

enum { DECODER_STEPS_MAX = 16 };

enum decoder_kind {
    DECODER_KIND_BYTES,      /* byte symbols */
    DECODER_KIND_REPLACE,    /* a text by another */
    DECODER_KIND_EXPRESSION, /* what a pattern matches */
    DECODER_KIND_FALLBACK,   /* runs of <0x00> to <0xFF> */
    DECODER_KIND_FUSE,       /* one text of all */
    DECODER_KIND_STRIP,      /* a character at both ends */
    DECODER_KIND_METASPACE,  /* U+2581 become blanks, those of the first token go */
    DECODER_KIND_SUFFIX,     /* the suffix of words becomes a blank */
};

struct decoder_step {
    enum decoder_kind kind;
    struct token_text text; /* what is looked for: a symbol, a suffix, a character */
    struct token_text content;
    struct pattern pattern;
    size_t left; /* of STRIP: how many go at most */
    size_t right;
    bool strips; /* METASPACE */
};

struct token_decoder {
    bool joins; /* there is no decoder */
    struct decoder_step steps[DECODER_STEPS_MAX];
    size_t count;
};

/* From the value of "decoder" (NULL or null: none). Texts are kept in `arena`. */
MUST_CHECK enum status token_decoder_read(struct token_decoder *decoder, const json_t *value,
                                          struct arena *arena, const char *where,
                                          struct error *error);
void token_decoder_deinit(struct token_decoder *decoder); /* accepts a zeroed struct */
/* Is it ByteLevel and nothing else? */
bool token_decoder_is_bytes(const struct token_decoder *decoder);
/* The text of `count` tokens, with room for a zero behind it; caller frees with memory_release. */
void token_decode(const struct token_decoder *decoder, const struct token_text *tokens,
                  size_t count, char **text, size_t *size_bytes);

#endif
