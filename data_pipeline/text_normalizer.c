/* Each step reads one buffer and appends to another; places travel along. What a step adds stands
 * for what the last character that it replaces stood for. */
#include "data_pipeline/text_normalizer.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/bert_characters.h"
#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/utf8.h"

enum {
    GRAPHEME_BYTES = 6
}; /* clusters of so many bytes and more are taken character by character */

void text_normalizer_deinit(struct text_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        character_map_deinit(&normalizer->steps[i].map);
        pattern_deinit(&normalizer->steps[i].expression);
        memory_release(normalizer->steps[i].map_blob);
    }
    normalizer->count = 0;
}

void text_normalizer_work_deinit(struct text_normalizer_work *work)
{
    normal_text_deinit(&work->texts[0]);
    normal_text_deinit(&work->texts[1]);
    form_work_deinit(&work->form);
}

static size_t point_at(const struct normal_text *in, size_t at, uint32_t *code_point)
{
    return utf8_decode(in->bytes + at, in->size_bytes - at, code_point, NULL);
}

static void strip_accents(const struct normal_text *in, struct normal_text *out)
{
    size_t kept = 0;
    for (size_t at = 0; at < in->size_bytes;) {
        uint32_t code_point = 0;
        const size_t length = point_at(in, at, &code_point);
        if (code_point >= 0x80 && unicode_is_mark(code_point)) {
            normal_text_copy(out, in, kept, at);
            kept = at + length;
        }
        at += length;
    }
    normal_text_copy(out, in, kept, in->size_bytes);
}

static void lowercase(const struct normal_text *in, struct normal_text *out)
{
    size_t kept = 0;
    for (size_t at = 0; at < in->size_bytes;) {
        uint32_t points[BERT_LOWER_MAX] = {0};
        uint32_t code_point = 0;
        const size_t length = point_at(in, at, &code_point);
        const int count = bert_lower(code_point, points);
        if (count != 1 || points[0] != code_point) {
            const struct text_origin origin = normal_text_origin(in, at);
            normal_text_copy(out, in, kept, at);
            for (int i = 0; i < count; i++) {
                normal_text_add_point(out, points[i], origin.begin, origin.end);
            }
            kept = at + length;
        }
        at += length;
    }
    normal_text_copy(out, in, kept, in->size_bytes);
}

static bool is_space(uint32_t code_point)
{
    return unicode_class_of(code_point) == UNICODE_CLASS_SPACE;
}

static void strip(const struct normalizer_step *step, const struct normal_text *in,
                  struct normal_text *out)
{
    size_t begin = 0;
    while (step->strip_left && begin < in->size_bytes) {
        uint32_t code_point = 0;
        const size_t length = point_at(in, begin, &code_point);
        if (!is_space(code_point)) {
            break;
        }
        begin += length;
    }
    size_t end = step->strip_right ? begin : in->size_bytes;
    for (size_t at = begin; step->strip_right && at < in->size_bytes;) {
        uint32_t code_point = 0;
        at += point_at(in, at, &code_point);
        end = is_space(code_point) ? end : at;
    }
    normal_text_copy(out, in, begin, end);
}

/* White space at `at`: its bytes; *count is the number of characters. */
static size_t space_run(const struct normal_text *in, size_t at, size_t *count)
{
    size_t end = at;
    for (*count = 0; end < in->size_bytes; (*count)++) {
        uint32_t code_point = 0;
        const size_t length = point_at(in, end, &code_point);
        if (!is_space(code_point)) {
            break;
        }
        end += length;
    }
    return end - at;
}

/* Bytes at `at` that the step replaces, or 0. */
static size_t match_bytes(const struct normalizer_step *step, const struct normal_text *in,
                          size_t at)
{
    const size_t left = in->size_bytes - at;
    const char first = in->bytes[at];
    if (step->kind == NORMALIZER_KIND_REPLACE) {
        const size_t size_bytes = step->pattern.size_bytes;
        return size_bytes <= left && memcmp(in->bytes + at, step->pattern.bytes, size_bytes) == 0
                   ? size_bytes
                   : 0;
    }
    size_t count = 0;
    if (step->kind == NORMALIZER_KIND_REPLACE_SPACES) {
        const size_t size_bytes = space_run(in, at, &count);
        return count >= 2 || first == '\n' || first == '\r' || first == '\t' ? size_bytes : 0;
    }
    while (count < left && in->bytes[at + count] == ' ') {
        count++;
    }
    return count >= 2 ? count : 0;
}

static void replace(const struct normalizer_step *step, const struct normal_text *in,
                    struct normal_text *out)
{
    const char first = step->kind == NORMALIZER_KIND_REPLACE ? step->pattern.bytes[0] : ' ';
    size_t kept = 0;
    for (size_t at = 0; at < in->size_bytes;) {
        if (step->kind != NORMALIZER_KIND_REPLACE_SPACES) {
            const char *const found = memchr(in->bytes + at, first, in->size_bytes - at);
            at = found == NULL ? in->size_bytes : (size_t)(found - in->bytes);
        }
        const size_t length = at < in->size_bytes ? match_bytes(step, in, at) : 0;
        if (length > 0) {
            const struct text_origin origin = normal_text_origin(in, at + length - 1);
            normal_text_copy(out, in, kept, at);
            normal_text_add(out, step->content.bytes, step->content.size_bytes, origin.begin,
                            origin.end);
            kept = at + length;
        }
        at += length > 0 ? length : 1; /* no match begins within a character */
    }
    normal_text_copy(out, in, kept, in->size_bytes);
}

static void replace_matches(const struct normalizer_step *step, const struct normal_text *in,
                            struct normal_text *out)
{
    struct pattern_walk walk;
    size_t kept = 0;
    size_t begin = 0;
    size_t end = 0;
    pattern_walk_init(&walk, &step->expression, in->bytes, in->size_bytes);
    while (pattern_walk_next(&walk, &begin, &end)) {
        const struct text_origin origin = normal_text_origin(in, end > 0 ? end - 1 : 0);
        normal_text_copy(out, in, kept, begin);
        normal_text_add(out, step->content.bytes, step->content.size_bytes, origin.begin,
                        origin.end);
        kept = end;
    }
    normal_text_copy(out, in, kept, in->size_bytes);
}

/* What is put before a text stands for its first character. */
static void prepend(const struct normalizer_step *step, const struct normal_text *in,
                    struct normal_text *out)
{
    if (in->size_bytes > 0) {
        const struct text_origin origin = normal_text_origin(in, 0);
        normal_text_add(out, step->content.bytes, step->content.size_bytes, origin.begin,
                        origin.end);
        normal_text_copy(out, in, 0, in->size_bytes);
    }
}

/* That normaliser's places count from the begin of `in`. */
static void apply_bert(const struct normalizer_step *step, const struct normal_text *in,
                       struct normal_text *out)
{
    const size_t first = out->size_bytes;
    bert_normalize(&step->bert, in->bytes, in->size_bytes, 0, out);
    for (size_t i = first; i < out->size_bytes && out->with_origins; i++) {
        struct text_origin *const origin = &out->origins[i];
        *origin = (struct text_origin){in->origins[origin->begin].begin,
                                       in->origins[origin->end - 1].end};
    }
}

/* Appends what replaces in[begin, end): its n-th character stands for the n-th there, or the last.
 */
static void add_mapped(const struct normal_text *in, size_t begin, size_t end, const char *text,
                       struct normal_text *out)
{
    const size_t size_bytes = strlen(text);
    size_t from = begin;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        size_t broken = 0;
        size_t length = utf8_decode(text + at, size_bytes - at, &code_point, &broken);
        const struct text_origin origin = normal_text_origin(in, from);
        if (length > 0) {
            normal_text_add(out, text + at, length, origin.begin, origin.end);
        } else { /* the map of a damaged file */
            length = broken;
            normal_text_add_point(out, 0xfffd, origin.begin, origin.end);
        }
        uint32_t ignored = 0;
        const size_t next = from + point_at(in, from, &ignored);
        from = next < end ? next : from;
        at += length;
    }
}

static bool add_ruled(const struct character_map *map, const struct normal_text *in, size_t begin,
                      size_t end, struct normal_text *out)
{
    const char *text = NULL;
    if (character_map_find_first(map, in->bytes + begin, end - begin, &text) == 0) {
        return false;
    }
    add_mapped(in, begin, end, text, out);
    return true;
}

/* End of the run of ASCII from `at` that no rule changes; the last one may begin a cluster. */
static size_t plain_end(const struct normalizer_step *step, const struct normal_text *in, size_t at)
{
    size_t end = at;
    while (end < in->size_bytes && (unsigned char)in->bytes[end] < 0x80 &&
           step->plain[(unsigned char)in->bytes[end]]) {
        end++;
    }
    return end > at && end < in->size_bytes ? end - 1 : end;
}

static void apply_map(const struct normalizer_step *step, const struct normal_text *in,
                      struct normal_text *out)
{
    const struct character_map *const map = &step->map;
    for (size_t at = 0; at < in->size_bytes;) {
        const size_t plain = plain_end(step, in, at);
        if (plain > at) {
            normal_text_copy(out, in, at, plain);
            at = plain;
            continue;
        }
        const size_t end = unicode_grapheme_end(in->bytes, in->size_bytes, at);
        if (end - at < GRAPHEME_BYTES && add_ruled(map, in, at, end, out)) {
            at = end;
            continue;
        }
        while (at < end) {
            uint32_t code_point = 0;
            const size_t length = point_at(in, at, &code_point);
            if (!add_ruled(map, in, at, at + length, out)) {
                normal_text_copy(out, in, at, at + length);
            }
            at += length;
        }
    }
}

static void apply_step(const struct normalizer_step *step, struct form_work *work,
                       const struct normal_text *in, struct normal_text *out)
{
    switch (step->kind) {
    case NORMALIZER_KIND_FORM:
        unicode_form_apply(step->form, in, work, out);
        break;
    case NORMALIZER_KIND_STRIP_ACCENTS:
        strip_accents(in, out);
        break;
    case NORMALIZER_KIND_LOWERCASE:
        lowercase(in, out);
        break;
    case NORMALIZER_KIND_STRIP:
        strip(step, in, out);
        break;
    case NORMALIZER_KIND_REPLACE:
    case NORMALIZER_KIND_REPLACE_BLANKS:
    case NORMALIZER_KIND_REPLACE_SPACES:
        replace(step, in, out);
        break;
    case NORMALIZER_KIND_REPLACE_MATCHES:
        replace_matches(step, in, out);
        break;
    case NORMALIZER_KIND_PREPEND:
        prepend(step, in, out);
        break;
    case NORMALIZER_KIND_BERT:
        apply_bert(step, in, out);
        break;
    case NORMALIZER_KIND_PRECOMPILED:
        apply_map(step, in, out);
        break;
    }
}

/* The text itself, valid and with places. */
static void take_text(const char *text, size_t size_bytes, size_t base, struct normal_text *out)
{
    if (!out->with_origins && utf8_valid_prefix(text, size_bytes) == size_bytes) {
        normal_text_add(out, text, size_bytes, base, base);
        return;
    }
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        size_t broken = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, &broken);
        const size_t taken = length > 0 ? length : broken;
        normal_text_add_point(out, length > 0 ? code_point : 0xfffd, base + at, base + at + taken);
        at += taken;
    }
}

void text_normalize(const struct text_normalizer *normalizer, struct text_normalizer_work *work,
                    const char *text, size_t size_bytes, size_t base, struct normal_text *out)
{
    if (normalizer->count == 0) {
        take_text(text, size_bytes, base, out);
        return;
    }
    struct normal_text *from = &work->texts[0];
    struct normal_text *to = &work->texts[1];
    from->with_origins = out->with_origins;
    to->with_origins = out->with_origins;
    from->size_bytes = 0;
    take_text(text, size_bytes, base, from);
    for (size_t i = 0; i + 1 < normalizer->count; i++) {
        to->size_bytes = 0;
        apply_step(&normalizer->steps[i], &work->form, from, to);
        struct normal_text *const other = from;
        from = to;
        to = other;
    }
    apply_step(&normalizer->steps[normalizer->count - 1], &work->form, from, out);
}
