/* Decomposition character by character, canonical order, composition of neighbours, after the
 * Unicode standard (3.11). Runs of ASCII, which no form changes, are copied. */
#include "data_pipeline/unicode_form.h"

#include <utf8proc.h>

#include "base/error.h"
#include "base/memory.h"
#include "data_pipeline/utf8.h"

enum {
    DECOMPOSED_MAX = 32,
    FIRST_COMPOSING = 0x300,
    HAN_FIRST = 0x3400,
    HAN_LAST = 0x9fff,
    HANGUL_NO_TRAILING =
        0x11a7, /* stands before the trailing consonants; utf8proc lets it vanish */
};

/* First and last code points of runs that the reference's tables do not know. */
static const uint32_t newer[][2] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xafa, 0xaff},     {0xb55, 0xb55},     {0xc04, 0xc04},     {0xc3c, 0xc3c},
    {0xcf3, 0xcf3},     {0xd00, 0xd00},     {0xd3b, 0xd3c},     {0xd81, 0xd81},
    {0xeba, 0xeba},     {0xece, 0xece},     {0x1715, 0x1715},   {0x180f, 0x180f},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},
    {0xa82c, 0xa82c},   {0xa8ff, 0xa8ff},   {0xab69, 0xab69},   {0x10781, 0x107ba},
    {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50},
    {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x11073, 0x11074}, {0x110c2, 0x110c2},
    {0x11145, 0x11146}, {0x111c9, 0x111c9}, {0x111ce, 0x111cf}, {0x11241, 0x11241},
    {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x1182c, 0x1183a}, {0x11930, 0x11943},
    {0x119d1, 0x119e4}, {0x11a01, 0x11a3e}, {0x11a47, 0x11a47}, {0x11a51, 0x11a5b},
    {0x11a8a, 0x11a99}, {0x11d31, 0x11d47}, {0x11d8a, 0x11d97}, {0x11ef3, 0x11ef6},
    {0x11f00, 0x11f03}, {0x11f34, 0x11f42}, {0x13440, 0x13440}, {0x13447, 0x13455},
    {0x16f4f, 0x16f4f}, {0x16f7f, 0x16f87}, {0x16fe4, 0x16fe4}, {0x16ff0, 0x16ff1},
    {0x1cf00, 0x1cf46}, {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136},
    {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c},
    {0x1fbf0, 0x1fbf9},
};

/* Vedic signs that were marks in the reference's version and are letters now. */
static bool was_mark(uint32_t code_point)
{
    return code_point == 0x1cf2 || code_point == 0x1cf3;
}

static bool is_newer(uint32_t code_point)
{
    int low = 0;
    int high = ARRAY_LENGTH(newer);
    while (low < high) {
        const int middle = (low + high) / 2;
        if (newer[middle][1] < code_point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < ARRAY_LENGTH(newer) && newer[low][0] <= code_point;
}

void form_work_deinit(struct form_work *work)
{
    memory_release(work->points);
    memory_release(work->origins);
    *work = (struct form_work){0};
}

bool unicode_is_mark(uint32_t code_point)
{
    if (code_point < FIRST_COMPOSING || is_newer(code_point)) {
        return false;
    }
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME || was_mark(code_point);
}

size_t unicode_grapheme_end(const char *text, size_t size_bytes, size_t at)
{
    uint32_t before = 0;
    at += utf8_decode(text + at, size_bytes - at, &before, NULL);
    utf8proc_int32_t state = 0;
    while (at < size_bytes) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, NULL);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)code_point,
                                             &state)) {
            break;
        }
        before = code_point;
        at += length;
    }
    return at;
}

/* Adds a character in canonical order. */
static void add_point(struct form_work *work, uint32_t code_point, int32_t change)
{
    const bool plain = code_point < FIRST_COMPOSING || is_newer(code_point);
    const uint32_t class =
        plain ? 0 : (uint32_t)utf8proc_get_property((utf8proc_int32_t)code_point)->combining_class;
    memory_reserve((void **)&work->points, &work->capacity, work->count + 1, sizeof *work->points,
                   "characters of a text");
    size_t place = work->count++;
    for (; class > 0 && place > 0 && work->points[place - 1].class > class; place--) {
        work->points[place] = work->points[place - 1];
    }
    work->points[place] = (struct form_point){code_point, class, change};
}

static void add_decomposed(struct form_work *work, bool compatible, uint32_t code_point,
                           struct text_origin origin)
{
    utf8proc_int32_t parts[DECOMPOSED_MAX] = {(utf8proc_int32_t)code_point};
    utf8proc_ssize_t count = 1;
    if (code_point >= 0x80 && !is_newer(code_point)) {
        int last_class = 0;
        count = utf8proc_decompose_char((utf8proc_int32_t)code_point, parts, DECOMPOSED_MAX,
                                        UTF8PROC_DECOMPOSE |
                                            (compatible ? UTF8PROC_COMPAT : (utf8proc_option_t)0),
                                        &last_class);
        INVARIANT(count >= 0 && count <= DECOMPOSED_MAX);
    }
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        add_point(work, (uint32_t)parts[i], i > 0);
    }
    memory_reserve((void **)&work->origins, &work->origin_capacity, work->origin_count + 1,
                   sizeof *work->origins, "places of characters");
    work->origins[work->origin_count++] = origin;
}

/* The character that two make together, or 0. */
static uint32_t composed(uint32_t first, uint32_t second)
{
    if (second < FIRST_COMPOSING || second == HANGUL_NO_TRAILING ||
        (second >= HAN_FIRST && second <= HAN_LAST) || is_newer(first) || is_newer(second)) {
        return 0;
    }
    utf8proc_int32_t pair[2] = {(utf8proc_int32_t)first, (utf8proc_int32_t)second};
    const utf8proc_ssize_t count =
        utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    return count == 1 && !is_newer((uint32_t)pair[0]) ? (uint32_t)pair[0] : 0;
}

/* A character joins the last one of class 0 before it, unless one between them blocks it. */
static void compose(struct form_work *work)
{
    size_t starter = SIZE_MAX;
    size_t written = 0;
    for (size_t i = 0; i < work->count; i++) {
        const struct form_point point = work->points[i];
        if (starter != SIZE_MAX) {
            const bool next = written == starter + 1;
            const bool blocked = !next && work->points[written - 1].class >= point.class;
            const uint32_t joined =
                blocked ? 0 : composed(work->points[starter].code_point, point.code_point);
            if (joined != 0) {
                work->points[starter].code_point = joined;
                work->points[starter].change += point.change - 1;
                continue;
            }
        }
        if (point.class == 0) {
            starter = written;
        }
        work->points[written++] = point;
    }
    work->count = written;
}

static size_t ascii_end(const struct normal_text *in, size_t at)
{
    while (at < in->size_bytes && (unsigned char)in->bytes[at] < 0x80) {
        at++;
    }
    return at;
}

/* Appends what the characters became, each with the place of the one whose turn it is. */
static void add_points(const struct form_work *work, struct normal_text *out)
{
    size_t taken = 0;
    for (size_t i = 0; i < work->count; i++) {
        const struct form_point point = work->points[i];
        const size_t turn = point.change > 0 && taken > 0 ? taken - 1 : taken;
        const size_t known = turn < work->origin_count ? turn : work->origin_count - 1;
        const struct text_origin origin = work->origins[known];
        normal_text_add_point(out, point.code_point, origin.begin, origin.end);
        taken += point.change > 0 ? 0 : (size_t)(1 - point.change);
    }
}

void unicode_form_apply(enum unicode_form form, const struct normal_text *in,
                        struct form_work *work, struct normal_text *out)
{
    const bool composing = form == UNICODE_FORM_NFC || form == UNICODE_FORM_NFKC;
    const bool compatible = form == UNICODE_FORM_NFKC || form == UNICODE_FORM_NFKD;
    for (size_t at = 0; at < in->size_bytes;) {
        const size_t plain_end = ascii_end(in, at);
        const size_t kept =
            plain_end < in->size_bytes && plain_end > at ? plain_end - 1 : plain_end;
        normal_text_copy(out, in, at, kept); /* all but the one that a mark may join */
        at = kept;
        work->count = 0;
        work->origin_count = 0;
        while (at < in->size_bytes) {
            uint32_t code_point = 0;
            const size_t length =
                utf8_decode(in->bytes + at, in->size_bytes - at, &code_point, NULL);
            add_decomposed(work, compatible, code_point, normal_text_origin(in, at));
            at += length;
            if (at + 1 < in->size_bytes && (unsigned char)in->bytes[at] < 0x80 &&
                (unsigned char)in->bytes[at + 1] < 0x80) {
                break; /* ASCII joins nothing before it */
            }
        }
        if (composing) {
            compose(work);
        }
        add_points(work, out);
    }
}
