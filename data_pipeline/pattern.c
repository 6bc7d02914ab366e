/* Properties of characters are those of a newer Unicode than the library's: \p{L} becomes
 * [\p{L}\x{…}…], with what was added since. */
#include "data_pipeline/pattern.h"

#include <oniguruma.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/pattern_additions.h"

enum {
    PATTERN_BYTES_MAX = 4096,
    REPEATS_MAX = 10000,            /* product of all bounds: what a pattern may unfold to */
    RETRIES_MAX = 10 * 1000 * 1000, /* of one search */
    PROPERTY_BYTES = 16,            /* the longest property that is known to grow, and its escape */
    ADDITION_BYTES = 24,            /* "\x{1E6C0}-\x{1E6DE}" */
    MESSAGE_BYTES = 256,
};

/* A pattern as it is rewritten; room was made for the worst case. */
struct rewriting {
    char *bytes;
    size_t count;
    size_t capacity;
};

/* Product of the numbers behind "{" and ",", at most REPEATS_MAX + 1. */
static int64_t repeats_of(const char *text, size_t size_bytes)
{
    int64_t product = 1;
    for (size_t i = 1; i < size_bytes; i++) {
        const bool opens =
            (text[i - 1] == '{' && (i < 2 || text[i - 2] != 'x')) || text[i - 1] == ',';
        int64_t number = 0;
        for (size_t k = i; opens && k < size_bytes && text[k] >= '0' && text[k] <= '9'; k++) {
            number = number > REPEATS_MAX ? number : number * 10 + (text[k] - '0');
        }
        product *= number > 1 ? number : 1;
        if (product > REPEATS_MAX) {
            return REPEATS_MAX + 1;
        }
    }
    return product;
}

/* "[:" and a letter: classes that mean other characters in newer versions of the library. */
static bool has_named_class(const char *text)
{
    for (const char *at = strstr(text, "[:"); at != NULL; at = strstr(at + 1, "[:")) {
        if (at[2] == '^' || (at[2] >= 'a' && at[2] <= 'z')) {
            return true;
        }
    }
    return false;
}

static void put(struct rewriting *out, const char *bytes, size_t size_bytes)
{
    memory_reserve((void **)&out->bytes, &out->capacity, out->count + size_bytes + 1, 1,
                   "a pattern");
    memcpy(out->bytes + out->count, bytes, size_bytes);
    out->count += size_bytes;
}

/* Is the category part of the property? A property is "L", "Lu", "Han" …, or "w" or "d". */
static bool belongs(const char *category, const char *property, size_t size_bytes)
{
    if (size_bytes == 1 && property[0] == 'd') {
        return strcmp(category, "Nd") == 0;
    }
    if (size_bytes == 1 && property[0] == 'w') {
        return strcmp(category, "Han") != 0 &&
               (category[0] == 'L' || category[0] == 'M' || strcmp(category, "Nd") == 0 ||
                strcmp(category, "Pc") == 0);
    }
    if (strcmp(category, "Han") == 0) {
        return size_bytes == 3 && memcmp(property, "Han", 3) == 0;
    }
    return size_bytes >= 1 && size_bytes <= 2 && memcmp(category, property, size_bytes) == 0;
}

/* "[\p{L}\x{1C89}…]", or with "^" behind the bracket. */
static void put_property(struct rewriting *out, const char *property, size_t size_bytes,
                         bool braced, bool negated)
{
    put(out, negated ? "[^\\" : "[\\", negated ? 3 : 2);
    put(out, "p{", braced ? 2 : 0);
    put(out, property, size_bytes);
    put(out, "}", braced ? 1 : 0);
    for (int i = 0; i < ARRAY_LENGTH(pattern_additions); i++) {
        char text[ADDITION_BYTES];
        if (belongs(pattern_additions[i].category, property, size_bytes)) {
            const int length =
                snprintf(text, sizeof text, "\\x{%X}-\\x{%X}", (unsigned)pattern_additions[i].first,
                         (unsigned)pattern_additions[i].last);
            put(out, text, (size_t)length);
        }
    }
    put(out, "]", 1);
}

/* Rewrites the escape at `at` (a backslash); returns its bytes. */
static size_t put_escape(struct rewriting *out, const char *text, size_t size_bytes)
{
    if (size_bytes < 2) {
        put(out, text, size_bytes);
        return size_bytes;
    }
    const char letter = text[1];
    if (letter == 'w' || letter == 'W' || letter == 'd' || letter == 'D') {
        put_property(out, letter == 'w' || letter == 'W' ? "w" : "d", 1, false,
                     letter == 'W' || letter == 'D');
        return 2;
    }
    const char *const end =
        memchr(text, '}', size_bytes < PROPERTY_BYTES ? size_bytes : PROPERTY_BYTES);
    if ((letter != 'p' && letter != 'P') || end == NULL || text[2] != '{') {
        put(out, text, 2);
        return 2;
    }
    const bool inverted = text[3] == '^';
    const char *const name = text + 3 + inverted;
    put_property(out, name, (size_t)(end - name), true, inverted != (letter == 'P'));
    return (size_t)(end - text) + 1;
}

static void rewrite(const char *text, size_t size_bytes, struct rewriting *out)
{
    for (size_t at = 0; at < size_bytes;) {
        if (text[at] == '\\') {
            at += put_escape(out, text + at, size_bytes - at);
        } else {
            put(out, text + at++, 1);
        }
    }
}

enum status pattern_init(struct pattern *pattern, const char *text, size_t size_bytes,
                         const char *where, struct error *error)
{
    if (size_bytes > PATTERN_BYTES_MAX || repeats_of(text, size_bytes) > REPEATS_MAX) {
        FAIL(error, STATUS_LIMIT,
             "\"%s\": pattern \"%.100s\": expected at most %d bytes, and repeats of at most %d in "
             "product",
             where, text, PATTERN_BYTES_MAX, REPEATS_MAX);
    }
    if (has_named_class(text)) {
        FAIL(
            error, STATUS_FORMAT,
            "\"%s\": pattern \"%.100s\": classes like [:punct:] are not supported: expected \\p{P}",
            where, text);
    }
    struct rewriting rewritten = {0};
    rewrite(text, size_bytes, &rewritten);
    const OnigUChar *const bytes = (const OnigUChar *)rewritten.bytes;
    regex_t *regex = NULL;
    OnigErrorInfo reason = {0};
    const int result = onig_new(&regex, bytes, bytes + rewritten.count, ONIG_OPTION_NONE,
                                ONIG_ENCODING_UTF8, ONIG_SYNTAX_RUBY, &reason);
    enum status status = STATUS_OK;
    if (result != ONIG_NORMAL) {
        OnigUChar message[ONIG_MAX_ERROR_MESSAGE_LEN + 1] = {0};
        (void)onig_error_code_to_str(message, result, &reason);
        status = error_set(error, STATUS_FORMAT, "\"%s\": pattern \"%.100s\": %.*s", where, text,
                           MESSAGE_BYTES, (const char *)message);
    }
    pattern->regex = regex;
    memory_release(rewritten.bytes);
    return status;
}

void pattern_deinit(struct pattern *pattern)
{
    onig_free(pattern->regex); /* which accepts NULL */
    pattern->regex = NULL;
}

bool pattern_matches_nothing(const struct pattern *pattern)
{
    const OnigUChar *const text = (const OnigUChar *)"";
    return onig_match(pattern->regex, text, text, text, NULL, ONIG_OPTION_NONE) >= 0;
}

void pattern_walk_init(struct pattern_walk *walk, const struct pattern *pattern, const char *text,
                       size_t size_bytes)
{
    *walk = (struct pattern_walk){.pattern = pattern, .text = text, .size_bytes = size_bytes};
    walk->region = onig_region_new();
    walk->limits = onig_new_match_param();
    (void)onig_initialize_match_param(walk->limits);
    (void)onig_set_retry_limit_in_search_of_match_param(walk->limits, RETRIES_MAX);
}

/* Searches from walk->at on. */
static bool search(struct pattern_walk *walk, size_t *begin, size_t *end)
{
    OnigRegion *const region = walk->region;
    const OnigUChar *const text = (const OnigUChar *)walk->text;
    const int found =
        onig_search_with_param(walk->pattern->regex, text, text + walk->size_bytes, text + walk->at,
                               text + walk->size_bytes, region, ONIG_OPTION_NONE, walk->limits);
    if (found < 0) {
        return false;
    }
    *begin = (size_t)region->beg[0];
    *end = (size_t)region->end[0];
    return true;
}

bool pattern_walk_next(struct pattern_walk *walk, size_t *begin, size_t *end)
{
    while (walk->at <= walk->size_bytes && search(walk, begin, end)) {
        if (*begin < *end || !walk->matched || walk->last_end != *end) {
            walk->at = *end;
            walk->last_end = *end;
            walk->matched = true;
            return true;
        }
        walk->at++; /* an empty match where the last one ended: on to the next character */
        while (walk->at < walk->size_bytes &&
               ((unsigned char)walk->text[walk->at] & 0xc0) == 0x80) {
            walk->at++;
        }
    }
    walk->at = walk->size_bytes + 1;
    onig_region_free(walk->region, 1);
    onig_free_match_param(walk->limits);
    walk->region = NULL;
    walk->limits = NULL;
    return false;
}
