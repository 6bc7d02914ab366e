/* What BERT's normaliser and its splitter of words ask of a code point. The facts are those of
 * Hugging Face tokenizers 0.23.3, which was asked code point by code point: classes of an old
 * Unicode (marks and punctuation added since about version 8 are none), lower case of a recent one,
 * each character by itself (no final sigma). Tables only; the rules are in bert_normalizer.c. */
#ifndef SHARDLM_DATA_PIPELINE_BERT_CHARACTERS_H
#define SHARDLM_DATA_PIPELINE_BERT_CHARACTERS_H

#include <stdbool.h>
#include <stdint.h>

enum bert_class {
    BERT_CLASS_OTHER = 0,
    BERT_CLASS_DROPPED = 1,     /* control and format characters, U+FFFD */
    BERT_CLASS_SPACE = 2,       /* becomes a blank when text is cleaned */
    BERT_CLASS_MARK = 3,        /* goes with the accents */
    BERT_CLASS_PUNCTUATION = 4, /* a word by itself */
};

enum { BERT_LOWER_MAX = 2, BERT_STRIP_MAX = 3 };

enum bert_class bert_class_of(uint32_t code_point);
bool bert_is_chinese(uint32_t code_point); /* CJK ideographs, which stand apart */
/* White space at which words are cut: more than BERT_CLASS_SPACE, if text was not cleaned. */
bool bert_is_split_space(uint32_t code_point);
/* Lower case; returns the number of code points, at least 1. */
int bert_lower(uint32_t code_point, uint32_t out[BERT_LOWER_MAX]);
/* Canonical decomposition without marks, one to BERT_STRIP_MAX code points; 0 for a mark. */
int bert_strip(uint32_t code_point, uint32_t out[BERT_STRIP_MAX]);

#endif
