/* Text to token ids and back. One interface over several kinds: byte-level BPE (GPT-2, RoBERTa),
 * BPE with other parts (Llama, Qwen), WordPiece (BERT) and SentencePiece's unigram and BPE (ALBERT,
 * XLNet). Immutable after open: any number of
 * threads may encode at once, each with its own `struct token_list` and `struct tokenizer_work`.
 * Files: a folder with tokenizer.json (preferred), vocab.json + merges.txt or vocab.txt, in Hugging
 * Face's formats, or with spiece.model. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"

struct tokenizer;      /* vocabulary and merges */
struct tokenizer_work; /* scratch and word cache of one thread */

struct token_list { /* grows; release with token_list_deinit */
    int32_t *ids;
    size_t count;
    size_t capacity;
};
void token_list_deinit(struct token_list *list);
void token_list_add(struct token_list *list, int32_t id);
/* Where the next `more` ids may be written; the caller then adds their number to list->count. */
static inline int32_t *token_list_room(struct token_list *list, size_t more)
{
    if (list->capacity - list->count < more) {
        memory_reserve((void **)&list->ids, &list->capacity, list->count + more, sizeof *list->ids,
                       "token ids");
    }
    return list->ids + list->count;
}

/* Ids of the special tokens; -1 where the vocabulary has none. Of several, the first that is there.
 */
struct tokenizer_specials {
    int32_t bos; /* [CLS], <cls>, <s> */
    int32_t pad; /* <pad> */
    int32_t eos; /* [SEP], <sep>, </s> */
    int32_t unk;
    int32_t mask;
};

/* `path`: a folder, a tokenizer.json, a vocab.txt (of WordPiece) or a file that ends in .model (of
 * SentencePiece; its control pieces are the special tokens). STATUS_FORMAT names file,
 * place and expectation. */
MUST_CHECK enum status tokenizer_open(struct tokenizer **tokenizer, const char *path,
                                      struct error *error);
void tokenizer_close(struct tokenizer *tokenizer); /* accepts NULL */
/* Writes tokenizer.json, and vocab.json with merges.txt or vocab.txt, into `folder` (made if
 * absent), as Hugging Face reads them; or spiece.model. */
MUST_CHECK enum status tokenizer_save(const struct tokenizer *tokenizer, const char *folder,
                                      struct error *error);
/* Writes tokenizer.json alone, which says the same of any tokenizer. */
MUST_CHECK enum status tokenizer_save_json(const struct tokenizer *tokenizer, const char *folder,
                                           struct error *error);

int64_t tokenizer_vocabulary(
    const struct tokenizer *tokenizer); /* number of ids, special tokens included */
struct tokenizer_specials tokenizer_specials(const struct tokenizer *tokenizer);
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);
/* Does the piece begin a word wherever it stands: its text starts with a blank or another white
 * space of ASCII (byte-level BPE), it is no continuation ("##", WordPiece), it starts with U+2581
 * (unigram, BPE with other parts), or it is a special token? (The first piece of a text begins one
 * too.) For whole-word masks. */
bool tokenizer_begins_word(const struct tokenizer *tokenizer, int32_t id);
/* Name of a token as the files write it (byte symbols, "Ġthe"); borrows. NULL outside the
 * vocabulary. */
const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id);
int32_t tokenizer_token_id(const struct tokenizer *tokenizer, const char *name); /* or -1 */
/* Digest of vocabulary, merges, special tokens and settings: equal digests encode alike. */
struct digest tokenizer_fingerprint(const struct tokenizer *tokenizer);

struct tokenizer_work *tokenizer_work_open(void);
void tokenizer_work_close(struct tokenizer_work *work);

/* Appends the ids of `text` (valid UTF-8, may hold U+0000, below 4 GiB) to `out`. Special tokens
 * written in the text (<mask>, ...) become their ids when `parse_specials`. Adds no <s> … </s>.
 * Bytes that are no UTF-8 do no harm (byte-level BPE encodes them as they stand, WordPiece drops
 * them, a unigram model takes each for U+FFFD); who wants them replaced by U+FFFD first calls
 * utf8_repair. */
void tokenizer_encode(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                      const char *text, size_t size_bytes, bool parse_specials,
                      struct token_list *out);
/* Where a token comes from. Ends are exclusive; a token that is part of a character covers all of
 * it. Trimmed of white space where the tokenizer's post-processor asks for it. */
struct token_place {
    size_t byte_begin;
    size_t byte_end;
    size_t character_begin; /* in code points */
    size_t character_end;
    int64_t word; /* number of the word that it is part of; an added token counts as one */
};
struct token_places { /* grows; release with token_places_deinit */
    struct token_place *items;
    size_t count;
    size_t capacity;
};
void token_places_deinit(struct token_places *places);
/* As tokenizer_encode, with the place of each id; both lists are emptied first. Slower. */
void tokenizer_encode_places(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                             const char *text, size_t size_bytes, bool parse_specials,
                             struct token_list *out, struct token_places *places);

enum truncation {
    TRUNCATION_NONE,
    TRUNCATION_LONGEST_FIRST,
    TRUNCATION_ONLY_FIRST,
    TRUNCATION_ONLY_SECOND,
};
struct wrap_options {
    size_t token_count_max; /* truncates and pads to it; special tokens count */
    enum truncation truncation;
    bool pad;
};
/* The input of a model made of one text or two (second may be NULL): <s> A </s> or <s> A </s></s> B
 * </s>, whatever the tokenizer's post-processor says. Replaces the content of `ids`, and of `types`
 * (segment ids) unless NULL; padding (type 0) is what stands from *real_count on. STATUS_INPUT if
 * truncation cannot make it fit. */
MUST_CHECK enum status tokenizer_wrap(const struct tokenizer *tokenizer,
                                      const struct token_list *first,
                                      const struct token_list *second,
                                      const struct wrap_options *options, struct token_list *ids,
                                      struct token_list *types, size_t *real_count,
                                      struct error *error);

/* Text of ids; caller frees with memory_release. Special tokens are left out when `skip_specials`.
 * Bytes that are no UTF-8 (a character cut in two) become U+FFFD. STATUS_INPUT for an id outside
 * the vocabulary. */
MUST_CHECK enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids,
                                        size_t count, bool skip_specials, char **text,
                                        size_t *size_bytes, struct error *error);

#endif
