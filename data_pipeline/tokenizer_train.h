/* Training of a byte-level BPE tokenizer, with the same merges as Hugging Face's trainer makes of
 * the same texts: words of the GPT-2 pattern are counted; ids go to special tokens, then to the 256
 * byte symbols in code point order, then to merges in the order they are made: the pair with the
 * highest count, of equals the one with the smallest left id, then right id. A text is cut into
 * words by itself, so where texts end matters (the reference takes lines with their newline). The
 * result depends on the multiset of texts only, not on their order. One thread. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_TRAIN_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_TRAIN_H

#include "data_pipeline/tokenizer.h"

enum { TRAIN_SPECIALS_MAX = 256 };

/* All different words together; memory is about ten times that. English prose of any size stays far
 * below. */
#define TRAIN_WORD_BYTES_MAX ((size_t)1 << 31)

struct tokenizer_train_options {
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
 * tokens. Closes the trainer in any case. */
MUST_CHECK enum status tokenizer_trainer_finish(struct tokenizer_trainer *trainer,
                                                struct tokenizer **tokenizer, struct error *error);

#endif
