/* Search for added tokens in text, by first byte and then one by one: their number is small. */
#include "data_pipeline/added_tokens.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/utf8.h"

/* Longest first; by id among equals, so that the order says nothing about the file they came from.
 */
static bool belongs_before(const struct added_token *a, const struct added_token *b)
{
    return a->size_bytes != b->size_bytes ? a->size_bytes > b->size_bytes : a->id < b->id;
}

void added_tokens_add(struct added_tokens *tokens, const struct added_token *token)
{
    memory_reserve((void **)&tokens->items, &tokens->capacity, tokens->count + 1,
                   sizeof *tokens->items, "added tokens");
    size_t place = tokens->count++;
    for (; place > 0 && belongs_before(token, &tokens->items[place - 1]); place--) {
        tokens->items[place] = tokens->items[place - 1];
    }
    tokens->items[place] = *token;
    if (token->size_bytes > 0) {
        tokens->opens[(unsigned char)token->text[0]] = true;
    }
    tokens->has_normalized = tokens->has_normalized || token->normalized;
}

void added_tokens_deinit(struct added_tokens *tokens)
{
    memory_release(tokens->items);
    *tokens = (struct added_tokens){0};
}

const struct added_token *added_tokens_find(const struct added_tokens *tokens, int32_t id)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (tokens->items[i].id == id) {
            return &tokens->items[i];
        }
    }
    return NULL;
}

/* The code point that ends right before `at` (> 0), and where it begins. */
static uint32_t code_point_before(const char *text, size_t at, size_t *begin)
{
    size_t from = at - 1;
    while (from > 0 && at - from < UTF8_SEQUENCE_BYTES &&
           ((unsigned char)text[from] & 0xc0) == 0x80) {
        from--;
    }
    uint32_t code_point = 0;
    if (utf8_decode(text + from, at - from, &code_point, NULL) != at - from) {
        code_point = 0xfffd;
        from = at - 1;
    }
    *begin = from;
    return code_point;
}

static size_t space_before(const char *text, size_t least, size_t at)
{
    while (at > least) {
        size_t begin = 0;
        if (unicode_class_of(code_point_before(text, at, &begin)) != UNICODE_CLASS_SPACE) {
            break;
        }
        at = begin;
    }
    return at < least ? least : at;
}

static size_t space_behind(const char *text, size_t size_bytes, size_t at)
{
    while (at < size_bytes) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, NULL);
        if (length == 0 || unicode_class_of(code_point) != UNICODE_CLASS_SPACE) {
            break;
        }
        at += length;
    }
    return at;
}

static bool stands_alone(const char *text, size_t size_bytes, size_t begin, size_t end)
{
    size_t ignored = 0;
    uint32_t code_point = 0;
    if (begin > 0 && unicode_is_word(code_point_before(text, begin, &ignored))) {
        return false;
    }
    return end == size_bytes || utf8_decode(text + end, size_bytes - end, &code_point, NULL) == 0 ||
           !unicode_is_word(code_point);
}

/* The longest token of the wanted sort that is written at `at`, or NULL. */
static const struct added_token *token_at(const struct added_scan *scan, size_t at)
{
    for (size_t i = 0; i < scan->tokens->count; i++) {
        const struct added_token *const token = &scan->tokens->items[i];
        if (token->normalized == scan->normalized && token->size_bytes > 0 &&
            token->size_bytes <= scan->size_bytes - at &&
            memcmp(token->text, scan->text + at, token->size_bytes) == 0) {
            return token;
        }
    }
    return NULL;
}

/* The next token from scan->at on, with the white space that it takes; begin == end == size_bytes
 * if none. */
static struct text_part find_token(const struct added_scan *scan)
{
    size_t at = scan->at;
    while (at < scan->size_bytes) {
        if (!scan->tokens->opens[(unsigned char)scan->text[at]]) {
            at++;
            continue;
        }
        const struct added_token *const token = token_at(scan, at);
        if (token == NULL) {
            at++;
            continue;
        }
        size_t begin = at;
        size_t end = at + token->size_bytes;
        if ((token->special && scan->skip_specials) ||
            (token->single_word && !stands_alone(scan->text, scan->size_bytes, begin, end))) {
            at = end;
            continue;
        }
        if (token->strip_left) {
            begin = space_before(scan->text, scan->at, begin);
        }
        if (token->strip_right) {
            end = space_behind(scan->text, scan->size_bytes, end);
        }
        return (struct text_part){token, begin, end};
    }
    return (struct text_part){NULL, scan->size_bytes, scan->size_bytes};
}

bool added_scan_next(struct added_scan *scan, struct text_part *part)
{
    if (scan->waiting.token != NULL) {
        *part = scan->waiting;
        scan->waiting.token = NULL;
        return true;
    }
    if (scan->at == scan->size_bytes) {
        return false;
    }
    const struct text_part found = find_token(scan);
    const size_t plain = scan->at;
    scan->at = found.end;
    if (found.begin == plain) {
        *part = found;
        return true;
    }
    *part = (struct text_part){NULL, plain, found.begin};
    scan->waiting = found;
    return true;
}
