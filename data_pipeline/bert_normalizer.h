/* BERT's normaliser and its splitter of words, as in Hugging Face's BertNormalizer and
 * BertPreTokenizer: control characters go, white space becomes blanks, Chinese characters stand
 * apart, accents go, capitals become small; words end at white space, and each punctuation
 * character is a word. Every step looks at one character alone, so any part of a text between two
 * blanks may be normalised by itself. */
#ifndef SHARDLM_DATA_PIPELINE_BERT_NORMALIZER_H
#define SHARDLM_DATA_PIPELINE_BERT_NORMALIZER_H

#include "data_pipeline/normal_text.h"

struct bert_normalizer {
    bool clean_text;
    bool chinese_apart;
    bool strip_accents;
    bool lowercase;
};

/* Appends the normal form of `text`, which stands at `base` of the original. Bytes that are no
 * UTF-8 count as U+FFFD, one for each maximal broken part. */
void bert_normalize(const struct bert_normalizer *normalizer, const char *text, size_t size_bytes,
                    size_t base, struct normal_text *out);

/* The next word of a normalised text at or behind *begin; false at the end. The next search starts
 * at *end. */
bool bert_next_word(const char *text, size_t size_bytes, size_t *begin, size_t *end);

#endif
