/* See bert_normalizer.h. */
#include "data_pipeline/bert_normalizer.h"

#include "data_pipeline/bert_characters.h"
#include "data_pipeline/utf8.h"

enum { REPLACEMENT = 0xfffd };

/* The code point at `text` and its length; broken bytes are U+FFFD. */
static size_t next_point(const char *text, size_t size_bytes, uint32_t *code_point)
{
    size_t broken = 0;
    const size_t length = utf8_decode(text, size_bytes, code_point, &broken);
    if (length > 0) {
        return length;
    }
    *code_point = REPLACEMENT;
    return broken;
}

static void add_lower(const struct bert_normalizer *normalizer, uint32_t code_point, size_t begin,
                      size_t end, struct normal_text *out)
{
    uint32_t points[BERT_LOWER_MAX] = {code_point};
    const int count = normalizer->lowercase ? bert_lower(code_point, points) : 1;
    for (int i = 0; i < count; i++) {
        normal_text_add_point(out, points[i], begin, end);
    }
}

static void add_folded(const struct bert_normalizer *normalizer, uint32_t code_point, size_t begin,
                       size_t end, struct normal_text *out)
{
    uint32_t points[BERT_STRIP_MAX] = {code_point};
    const int count = normalizer->strip_accents ? bert_strip(code_point, points) : 1;
    for (int i = 0; i < count; i++) {
        add_lower(normalizer, points[i], begin, end, out);
    }
}

void bert_normalize(const struct bert_normalizer *normalizer, const char *text, size_t size_bytes,
                    size_t base, struct normal_text *out)
{
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        const size_t length = next_point(text + at, size_bytes - at, &code_point);
        const size_t begin = base + at;
        const size_t end = begin + length;
        at += length;
        if (normalizer->clean_text) {
            const enum bert_class class = bert_class_of(code_point);
            if (class == BERT_CLASS_DROPPED) {
                continue;
            }
            code_point = class == BERT_CLASS_SPACE ? ' ' : code_point;
        }
        const bool apart = normalizer->chinese_apart && bert_is_chinese(code_point);
        if (apart) {
            normal_text_add(out, " ", 1, begin, end);
        }
        add_folded(normalizer, code_point, begin, end, out);
        if (apart) {
            normal_text_add(out, " ", 1, begin, end);
        }
    }
}

bool bert_next_word(const char *text, size_t size_bytes, size_t *begin, size_t *end)
{
    bool inside = false;
    size_t at = *begin;
    while (at < size_bytes) {
        uint32_t code_point = 0;
        const size_t length = next_point(text + at, size_bytes - at, &code_point);
        const bool space = bert_is_split_space(code_point);
        const bool punctuation = bert_class_of(code_point) == BERT_CLASS_PUNCTUATION;
        if (inside && (space || punctuation)) {
            break;
        }
        if (!inside && !space) {
            inside = true;
            *begin = at;
        }
        at += length;
        if (punctuation) {
            break;
        }
    }
    *end = at;
    return inside;
}
