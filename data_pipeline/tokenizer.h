/* Text to token ids and back. One interface over several kinds; byte-level BPE (GPT-2, RoBERTa) is the first, others
 * enter as further files behind the same calls. Immutable after open: any number of threads may encode at once,
 * each with its own `struct token_list` and `struct tokenizer_work`.
 * Files: a folder with tokenizer.json (preferred) or vocab.json + merges.txt, in Hugging Face's formats. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

struct tokenizer;      /* vocabulary and merges */
struct tokenizer_work; /* scratch and word cache of one thread */

struct token_list { /* grows; release with token_list_deinit */
    int32_t *ids;
    size_t count;
    size_t capacity;
};
void token_list_deinit(struct token_list *list);

/* Ids of the special tokens; -1 where the vocabulary has none. */
struct tokenizer_specials {
    int32_t bos;  /* <s>, [CLS] */
    int32_t pad;  /* <pad> */
    int32_t eos;  /* </s>, [SEP] */
    int32_t unk;
    int32_t mask;
};

/* `path`: a folder, or a tokenizer.json. STATUS_FORMAT names file, place and expectation. */
MUST_CHECK enum status tokenizer_open(struct tokenizer **tokenizer, const char *path,
                                      struct error *error);
void tokenizer_close(struct tokenizer *tokenizer); /* accepts NULL */
/* Writes tokenizer.json, vocab.json and merges.txt into `folder` (made if absent), as Hugging Face reads them. */
MUST_CHECK enum status tokenizer_save(const struct tokenizer *tokenizer, const char *folder,
                                      struct error *error);

int64_t tokenizer_vocabulary(const struct tokenizer *tokenizer); /* number of ids, special tokens included */
struct tokenizer_specials tokenizer_specials(const struct tokenizer *tokenizer);
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);
/* Does the piece begin a word (its text starts with a space or it opens a text)? For whole-word masks. */
bool tokenizer_begins_word(const struct tokenizer *tokenizer, int32_t id);
/* Digest of vocabulary, merges, special tokens and settings: equal digests encode alike. */
struct digest tokenizer_fingerprint(const struct tokenizer *tokenizer);

struct tokenizer_work *tokenizer_work_open(void);
void tokenizer_work_close(struct tokenizer_work *work);

/* Appends the ids of `text` (valid UTF-8, may hold U+0000) to `out`. Special tokens written in the text (<mask>, ...)
 * become their ids when `parse_specials`. Adds no <s> … </s>. */
void tokenizer_encode(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                      const char *text, size_t size_bytes, bool parse_specials,
                      struct token_list *out);
/* Text of ids; caller frees with memory_release. Special tokens are left out when `skip_specials`. Bytes that are no
 * UTF-8 (a character cut in two) become U+FFFD. STATUS_INPUT for an id outside the vocabulary. */
MUST_CHECK enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids,
                                        size_t count, bool skip_specials, char **text,
                                        size_t *size_bytes, struct error *error);

#endif
