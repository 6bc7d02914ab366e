/* See word.h. */
#include "launch/word.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES_MAX = 63 };

/* Digits are taken downwards from zero, as the most negative number has no positive one. */
bool word_integer(const char *word, int64_t *value)
{
    const bool negative = *word == '-';
    const char *at = word + (negative || *word == '+' ? 1 : 0);
    int64_t sum = 0;
    if (*at == '\0') {
        return false;
    }
    for (; *at != '\0'; at++) {
        const int64_t digit = *at - '0';
        if (digit < 0 || digit > 9 || sum < (INT64_MIN + digit) / 10) {
            return false;
        }
        sum = sum * 10 - digit;
    }
    if (!negative && sum == INT64_MIN) {
        return false;
    }
    *value = negative ? sum : -sum;
    return true;
}

bool word_real(const char *word, double *value)
{
    const char *at = word + (*word == '-' || *word == '+' ? 1 : 0);
    const size_t whole = strspn(at, "0123456789");
    at += whole;
    size_t fraction = 0;
    if (*at == '.') {
        fraction = strspn(at + 1, "0123456789");
        at += 1 + fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '-' || *at == '+' ? 1 : 0;
        const size_t exponent = strspn(at, "0123456789");
        if (exponent == 0) {
            return false;
        }
        at += exponent;
    }
    if (*at != '\0') {
        return false;
    }
    const double parsed = strtod(word, NULL);
    if (!isfinite(parsed)) {
        return false;
    }
    *value = parsed;
    return true;
}

bool word_boolean(const char *word, bool *value)
{
    const bool is_true = strcmp(word, "true") == 0;
    if (!is_true && strcmp(word, "false") != 0) {
        return false;
    }
    *value = is_true;
    return true;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Damerau's distance restricted to neighbours: row i holds the distances of the first i bytes of
 * `a`. */
int64_t word_distance(const char *a, const char *b)
{
    const size_t a_length = strnlen(a, WORD_BYTES_MAX);
    const size_t b_length = strnlen(b, WORD_BYTES_MAX);
    int64_t row[WORD_BYTES_MAX + 1][WORD_BYTES_MAX + 1];
    for (size_t i = 0; i <= a_length; i++) {
        for (size_t j = 0; j <= b_length; j++) {
            if (i == 0 || j == 0) {
                row[i][j] = (int64_t)(i + j);
                continue;
            }
            const int64_t replace = row[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[i][j] = least(replace, 1 + least(row[i - 1][j], row[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[i][j] = least(row[i][j], row[i - 2][j - 2] + 1);
            }
        }
    }
    return row[a_length][b_length];
}
