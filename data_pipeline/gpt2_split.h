/* Cuts text into the words of the GPT-2 pattern, by hand, in one pass:
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * Every byte belongs to exactly one word. Ill-formed UTF-8 is safe: each maximal broken part counts
 * as a sign. */
#ifndef SHARDLM_DATA_PIPELINE_GPT2_SPLIT_H
#define SHARDLM_DATA_PIPELINE_GPT2_SPLIT_H

#include <stddef.h>

/* End of the word that begins at `begin` (begin < size_bytes); a word's end depends only on what
 * follows its begin. */
size_t gpt2_split_next(const char *text, size_t size_bytes, size_t begin);

#endif
