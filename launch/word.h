/* What one word that a person typed can mean: an integer, a real number, or nearly a known name.
 * Strict: the whole word must fit, without spaces, signs of grouping, hexadecimal, infinity or NaN;
 * the locale plays no part. */
#ifndef SHARDLM_LAUNCH_WORD_H
#define SHARDLM_LAUNCH_WORD_H

#include <stdbool.h>
#include <stdint.h>

bool word_integer(const char *word,
                  int64_t *value);                /* decimal, optional sign; false if too large */
bool word_real(const char *word, double *value);  /* 12, 0.5, .5, 1e-3; false if too large */
bool word_boolean(const char *word, bool *value); /* true, false */

/* Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`; only the first 63
 * bytes count. */
int64_t word_distance(const char *a, const char *b);

#endif
