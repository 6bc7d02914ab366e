/* Tokens that are found in the text before it is cut into words: <mask>, <s>, and what a user
 * added. At each place the longest one wins, matches do not overlap, the earliest comes first.
 * First those that are not `normalized`, then the others in what remains, which the caller has
 * normalised if its kind of tokenizer does that (their texts here are normal forms then). */
#ifndef SHARDLM_DATA_PIPELINE_ADDED_TOKENS_H
#define SHARDLM_DATA_PIPELINE_ADDED_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct added_token {
    const char *text; /* kept by the owner of the tokenizer's vocabulary; empty: never found */
    size_t size_bytes;
    int32_t id;
    bool special;     /* left out by decode on request */
    bool strip_left;  /* takes the white space before it */
    bool strip_right; /* and behind it */
    bool single_word; /* only where no word character touches it */
    bool normalized;
};

struct added_tokens {
    struct added_token *items; /* longest first: the first that fits is the longest */
    size_t count;
    size_t capacity;
    bool has_normalized;
    bool opens[256]; /* does a token begin with this byte? */
};

/* One part of a text: an added token, or plain text (token == NULL). */
struct text_part {
    const struct added_token *token;
    size_t begin;
    size_t end;
};

void added_tokens_add(struct added_tokens *tokens,
                      const struct added_token *token); /* copies *token */
void added_tokens_deinit(struct added_tokens *tokens);  /* accepts a zeroed list */
const struct added_token *added_tokens_find(const struct added_tokens *tokens,
                                            int32_t id); /* or NULL */

/* Where the search stands. */
struct added_scan {
    const struct added_tokens *tokens;
    const char *text;
    size_t size_bytes;
    size_t at;                /* all before it is given out */
    struct text_part waiting; /* a token whose plain text before it was given out first */
    bool normalized;          /* looks for tokens that are normalized, else for the others */
    bool skip_specials;       /* special tokens are plain text */
};
/* Next part in order, never empty; false at the end. Ask until false. */
bool added_scan_next(struct added_scan *scan, struct text_part *part);

#endif
