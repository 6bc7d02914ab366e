/* Texts of a step stand one behind the other in one buffer, their ends in a list. */
#include "data_pipeline/token_decoder.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/byte_symbols.h"
#include "data_pipeline/utf8.h"

enum { BYTE_NAME_BYTES = 6 }; /* "<0x41>" */

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

struct text_row {
    char *bytes;
    size_t size_bytes;
    size_t capacity;
    size_t *ends;
    size_t count;
    size_t end_capacity;
};

void token_decoder_deinit(struct token_decoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++) {
        pattern_deinit(&decoder->steps[i].pattern);
    }
    decoder->count = 0;
}

bool token_decoder_is_bytes(const struct token_decoder *decoder)
{
    return decoder->count == 1 && decoder->steps[0].kind == DECODER_KIND_BYTES;
}

static void put(struct text_row *row, const char *bytes, size_t size_bytes)
{
    memory_reserve((void **)&row->bytes, &row->capacity, row->size_bytes + size_bytes + 1, 1,
                   "decoded text");
    memcpy(row->bytes + row->size_bytes, bytes, size_bytes);
    row->size_bytes += size_bytes;
}

/* Ends the text that was put. */
static void end_text(struct text_row *row)
{
    memory_reserve((void **)&row->ends, &row->end_capacity, row->count + 1, sizeof *row->ends,
                   "decoded texts");
    row->ends[row->count++] = row->size_bytes;
}

static struct token_text text_at(const struct text_row *row, size_t index)
{
    const size_t begin = index == 0 ? 0 : row->ends[index - 1];
    return (struct token_text){row->bytes + begin, row->ends[index] - begin};
}

static bool begins_with(struct token_text text, struct token_text with)
{
    return text.size_bytes >= with.size_bytes &&
           memcmp(text.bytes, with.bytes, with.size_bytes) == 0;
}

/* Each `from` as `to`. */
static void put_replaced(struct text_row *out, struct token_text text, struct token_text from,
                         struct token_text to)
{
    size_t plain = 0;
    for (size_t at = 0; at < text.size_bytes;) {
        const struct token_text rest = {text.bytes + at, text.size_bytes - at};
        if (begins_with(rest, from)) {
            put(out, text.bytes + plain, at - plain);
            put(out, to.bytes, to.size_bytes);
            at += from.size_bytes;
            plain = at;
        } else {
            at++;
        }
    }
    put(out, text.bytes + plain, text.size_bytes - plain);
}

/* Each match as the content. */
static void put_rewritten(const struct decoder_step *step, struct text_row *out,
                          struct token_text text)
{
    struct pattern_walk walk;
    size_t begin = 0;
    size_t end = 0;
    size_t plain = 0;
    pattern_walk_init(&walk, &step->pattern, text.bytes, text.size_bytes);
    while (pattern_walk_next(&walk, &begin, &end)) {
        put(out, text.bytes + plain, begin - plain);
        put(out, step->content.bytes, step->content.size_bytes);
        plain = end;
    }
    put(out, text.bytes + plain, text.size_bytes - plain);
}

static bool ends_with(struct token_text text, struct token_text with)
{
    return text.size_bytes >= with.size_bytes &&
           memcmp(text.bytes + text.size_bytes - with.size_bytes, with.bytes, with.size_bytes) == 0;
}

static void put_stripped(const struct decoder_step *step, struct text_row *out,
                         struct token_text text)
{
    for (size_t i = 0; i < step->left && begins_with(text, step->text); i++) {
        text.bytes += step->text.size_bytes;
        text.size_bytes -= step->text.size_bytes;
    }
    for (size_t i = 0; i < step->right && ends_with(text, step->text); i++) {
        text.size_bytes -= step->text.size_bytes;
    }
    put(out, text.bytes, text.size_bytes);
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    const char lower = (char)(digit | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that "<0x41>" names, or -1. */
static int named_byte(struct token_text text)
{
    if (text.size_bytes != BYTE_NAME_BYTES || memcmp(text.bytes, "<0x", 3) != 0 ||
        text.bytes[BYTE_NAME_BYTES - 1] != '>') {
        return -1;
    }
    const int high = hex_value(text.bytes[3]);
    const int low = hex_value(text.bytes[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Ends a run of bytes that was put behind `begin`: one text if it is UTF-8, else U+FFFD for each.
 */
static void end_run(struct text_row *out, size_t begin)
{
    const size_t count = out->size_bytes - begin;
    if (count == 0) {
        return;
    }
    if (utf8_valid_prefix(out->bytes + begin, count) == count) {
        end_text(out);
        return;
    }
    out->size_bytes = begin;
    for (size_t i = 0; i < count; i++) {
        put(out, replacement, sizeof replacement - 1);
        end_text(out);
    }
}

static void decode_fallback(const struct text_row *in, struct text_row *out)
{
    size_t begin = out->size_bytes;
    for (size_t i = 0; i < in->count; i++) {
        const struct token_text text = text_at(in, i);
        const int byte = named_byte(text);
        if (byte >= 0) {
            put(out, &(char){(char)byte}, 1);
            continue;
        }
        end_run(out, begin);
        put(out, text.bytes, text.size_bytes);
        end_text(out);
        begin = out->size_bytes;
    }
    end_run(out, begin);
}

/* All of the bytes, repaired, as one text. */
static void decode_bytes(const struct text_row *in, struct text_row *out)
{
    struct text_row raw = {0};
    for (size_t i = 0; i < in->count; i++) {
        const struct token_text text = text_at(in, i);
        memory_reserve((void **)&raw.bytes, &raw.capacity, raw.size_bytes + text.size_bytes + 1, 1,
                       "decoded text");
        raw.size_bytes +=
            byte_symbols_read(text.bytes, text.size_bytes, raw.bytes + raw.size_bytes);
    }
    memory_reserve((void **)&out->bytes, &out->capacity, 3 * raw.size_bytes + 1, 1, "decoded text");
    out->size_bytes = raw.size_bytes == 0 ? 0 : utf8_repair(raw.bytes, raw.size_bytes, out->bytes);
    end_text(out);
    memory_release(raw.bytes);
}

/* One text by itself; `first` and `last` of the row. */
static void decode_text(const struct decoder_step *step, struct token_text text, bool first,
                        bool last, struct text_row *out)
{
    const struct token_text blank = {" ", 1};
    const struct token_text nothing = {"", 0};
    switch (step->kind) {
    case DECODER_KIND_REPLACE:
        put_replaced(out, text, step->text, step->content);
        break;
    case DECODER_KIND_EXPRESSION:
        put_rewritten(step, out, text);
        break;
    case DECODER_KIND_STRIP:
        put_stripped(step, out, text);
        break;
    case DECODER_KIND_METASPACE:
        put_replaced(out, text, step->text, first && step->strips ? nothing : blank);
        break;
    case DECODER_KIND_SUFFIX:
        put_replaced(out, text, step->text, last ? nothing : blank);
        break;
    case DECODER_KIND_BYTES:
    case DECODER_KIND_FALLBACK:
    case DECODER_KIND_FUSE:
        put(out, text.bytes, text.size_bytes);
        break;
    }
}

static void decode_step(const struct decoder_step *step, const struct text_row *in,
                        struct text_row *out)
{
    if (step->kind == DECODER_KIND_BYTES) {
        decode_bytes(in, out);
        return;
    }
    if (step->kind == DECODER_KIND_FALLBACK) {
        decode_fallback(in, out);
        return;
    }
    for (size_t i = 0; i < in->count; i++) {
        decode_text(step, text_at(in, i), i == 0, i + 1 == in->count, out);
        if (step->kind != DECODER_KIND_FUSE) {
            end_text(out);
        }
    }
    if (step->kind == DECODER_KIND_FUSE) {
        end_text(out);
    }
}

void token_decode(const struct token_decoder *decoder, const struct token_text *tokens,
                  size_t count, char **text, size_t *size_bytes)
{
    struct text_row rows[2] = {{0}, {0}};
    struct text_row *from = &rows[0];
    struct text_row *to = &rows[1];
    put(from, "", 0);
    for (size_t i = 0; i < count; i++) {
        put(from, " ", decoder->joins && i > 0 ? 1 : 0);
        put(from, tokens[i].bytes, tokens[i].size_bytes);
        end_text(from);
    }
    for (size_t i = 0; i < decoder->count; i++) {
        to->count = 0;
        to->size_bytes = 0;
        put(to, "", 0);
        decode_step(&decoder->steps[i], from, to);
        struct text_row *const other = from;
        from = to;
        to = other;
    }
    *text = from->bytes;
    *size_bytes = from->size_bytes;
    memory_release(from->ends);
    memory_release(to->ends);
    memory_release(to->bytes);
}
