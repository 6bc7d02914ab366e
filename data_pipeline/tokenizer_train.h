/* Training of tokenizers, one thread. The result depends on the multiset of texts only, not on
 * their order. Words are counted; then, as long as there is room, the neighbouring pair of tokens
 * with the highest count becomes one token, of equals the pair with the smallest left id, then
 * right id.
 *
 * Byte-level BPE: the same merges as Hugging Face's trainer makes of the same texts. Words are
 * those of the GPT-2 pattern; ids go to special tokens, then to the 256 byte symbols in code point
 * order, then to merges in the order they are made. A text is cut into words by itself, so where
 * texts end matters (the reference takes lines with their newline).
 *
 * WordPiece: as in Hugging Face's trainer, pairs are merged by their count (not by a likelihood),
 * with "##" before tokens within a word; but ids of equal rank are in code point order where the
 * reference takes the order of a hash table, so its vocabularies differ from run to run and ours
 * does not. Words are BERT's. Ids go to special tokens, characters that begin words, characters
 * within words, merges. Of more than TRAIN_CHARACTERS_MAX characters the rarest stay unknown.
 *
 * Unigram: no merges; see train_unigram.h and train_unigram_text.h. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_TRAIN_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_TRAIN_H

#include "data_pipeline/tokenizer.h"

enum { TRAIN_SPECIALS_MAX = 256, TRAIN_CHARACTERS_MAX = 1000 };

enum train_kind {
    TRAIN_KIND_BYTEBPE,
    TRAIN_KIND_WORDPIECE, /* "[UNK]" must be among the special tokens */
    TRAIN_KIND_UNIGRAM,   /* "<unk>" must be; min_frequency has no meaning */
};

/* All different words together; memory is about ten times that. English prose of any size stays far
 * below. */
#define TRAIN_WORD_BYTES_MAX ((size_t)1 << 31)

struct tokenizer_train_options {
    enum train_kind kind;
    bool cased;                  /* WordPiece: capitals and accents stay */
    int64_t vocabulary;          /* ids in all; fewer if no pair is frequent enough */
    int64_t min_frequency;       /* a pair that occurs less often is not merged; 2 is usual */
    const char *const *specials; /* names, in the order of their ids; borrowed until finish */
    int64_t special_count;
};

struct tokenizer_trainer;

/* STATUS_INPUT for options out of range. */
MUST_CHECK enum status tokenizer_trainer_open(struct tokenizer_trainer **trainer,
                                              const struct tokenizer_train_options *options,
                                              struct error *error);
void tokenizer_trainer_close(struct tokenizer_trainer *trainer); /* accepts NULL */
/* Counts the words of one text (valid UTF-8). STATUS_LIMIT at TRAIN_WORD_BYTES_MAX. */
MUST_CHECK enum status tokenizer_trainer_add(struct tokenizer_trainer *trainer, const char *text,
                                             size_t size_bytes, struct error *error);
/* Merges, and makes the tokenizer, with RoBERTa's post-processor if <s> and </s> are special
 * tokens, with BERT's if [CLS] and [SEP] are. Closes the trainer in any case. STATUS_INPUT if the
 * characters of WordPiece alone are more than the vocabulary. */
MUST_CHECK enum status tokenizer_trainer_finish(struct tokenizer_trainer *trainer,
                                                struct tokenizer **tokenizer, struct error *error);

#endif
