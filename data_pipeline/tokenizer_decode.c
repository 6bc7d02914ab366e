/* Ids to text, by the rules of each kind. */
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/tokenizer_parts.h"
#include "data_pipeline/utf8.h"

/* Text as it grows. */
struct decoded {
    char *bytes;
    size_t size_bytes;
    size_t capacity;
};

/* Where decoding of unigram pieces stands. */
struct unigram_decode {
    bool prefix_seen; /* the blank before the text is gone */
    bool in_run;      /* of byte pieces, from run_begin on */
    size_t run_begin;
};

static void add_bytes(struct decoded *text, const char *bytes, size_t size_bytes)
{
    memory_reserve((void **)&text->bytes, &text->capacity, text->size_bytes + size_bytes + 1, 1,
                   "decoded text");
    memcpy(text->bytes + text->size_bytes, bytes, size_bytes);
    text->size_bytes += size_bytes;
}

/* Replaces each `from` behind `begin` by the shorter `to`, from left to right. */
static void replace_all(struct decoded *text, size_t begin, const char *from, const char *to)
{
    const size_t from_bytes = strlen(from);
    const size_t to_bytes = strlen(to);
    size_t written = begin;
    size_t at = begin;
    while (at < text->size_bytes) {
        if (text->size_bytes - at >= from_bytes &&
            memcmp(text->bytes + at, from, from_bytes) == 0) {
            memcpy(text->bytes + written, to, to_bytes);
            written += to_bytes;
            at += from_bytes;
        } else {
            text->bytes[written++] = text->bytes[at++];
        }
    }
    text->size_bytes = written;
}

/* What was added behind `begin`, as written English has it: no blank before a full stop, and so on.
 */
static void clean_up(struct decoded *text, size_t begin)
{
    static const char *const rules[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (int i = 0; i < ARRAY_LENGTH(rules); i++) {
        replace_all(text, begin, rules[i][0], rules[i][1]);
    }
}

/* Pieces within a word follow what is before them, all others come behind a blank. The reference
 * cleans up each piece by itself, so rules that span pieces never apply. */
static void add_wordpiece(const struct tokenizer *tokenizer, struct decoded *text, int32_t id,
                          bool first)
{
    const struct wordpiece *const model = &tokenizer->wordpiece;
    const struct token_text name = tokenizer->shown[id];
    const size_t begin = text->size_bytes;
    const bool inner = model->has_decoder && !first && name.size_bytes >= model->prefix_bytes &&
                       memcmp(name.bytes, model->prefix, model->prefix_bytes) == 0;
    if (inner) {
        add_bytes(text, name.bytes + model->prefix_bytes, name.size_bytes - model->prefix_bytes);
    } else {
        add_bytes(text, " ", first ? 0 : 1);
        add_bytes(text, name.bytes, name.size_bytes);
    }
    if (model->cleanup) {
        clean_up(text, begin);
    }
}

/* Bytes that stand for themselves; each that is part of no character becomes U+FFFD. */
static void repair_bytes(struct decoded *text, size_t begin)
{
    const size_t size_bytes = text->size_bytes - begin;
    char *const raw = memory_take(size_bytes, 1, "decoded bytes");
    memcpy(raw, text->bytes + begin, size_bytes);
    text->size_bytes = begin;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(raw + at, size_bytes - at, &code_point, NULL);
        add_bytes(text, length > 0 ? raw + at : "\xef\xbf\xbd", length > 0 ? length : 3);
        at += length > 0 ? length : 1;
    }
    memory_release(raw);
}

/* Text of a piece, its U+2581 as blanks. */
static void add_piece_text(struct decoded *text, struct token_text name)
{
    size_t at = 0;
    while (at < name.size_bytes) {
        const struct token_text rest = {name.bytes + at, name.size_bytes - at};
        const bool blank = unigram_piece_begins_word(rest);
        add_bytes(text, blank ? " " : rest.bytes, 1);
        at += blank ? UNIGRAM_SPACE_BYTES : 1;
    }
}

/* As sentencepiece does: the blank before the first text goes; runs of byte pieces are decoded
 * together; unknown pieces show that something is missing. */
static void add_unigram(const struct tokenizer *tokenizer, struct unigram_decode *state,
                        struct decoded *text, int32_t id)
{
    const struct unigram *const model = &tokenizer->unigram;
    struct token_text name = tokenizer->vocabulary.texts[id];
    if (model->types[id] == PIECE_TYPE_BYTE) {
        state->run_begin = state->in_run ? state->run_begin : text->size_bytes;
        state->in_run = true;
        for (int byte = 0; byte < 256; byte++) {
            const char value = (char)byte;
            add_bytes(text, &value, model->byte_ids[byte] == id ? 1 : 0);
        }
        return;
    }
    if (state->in_run) {
        repair_bytes(text, state->run_begin);
        state->in_run = false;
    }
    if (id == model->unknown) {
        add_bytes(text, model->unknown_text, model->unknown_text_bytes);
        return;
    }
    const bool strips = model->add_dummy_prefix || model->remove_extra_spaces;
    if (strips && !state->prefix_seen && text->size_bytes == 0 && unigram_piece_begins_word(name)) {
        name.bytes += UNIGRAM_SPACE_BYTES;
        name.size_bytes -= UNIGRAM_SPACE_BYTES;
        state->prefix_seen = !model->remove_extra_spaces; /* else all of them go */
    }
    add_piece_text(text, name);
}

/* As Metaspace does: the U+2581 of the first piece go, all others are blanks. Without decoder
 * pieces are joined by blanks. */
static void add_metaspace(const struct tokenizer *tokenizer, struct decoded *text, int32_t id,
                          bool first)
{
    const struct unigram_words *const words = &tokenizer->unigram.words;
    const struct token_text name = tokenizer->shown[id];
    if (!words->has_decoder) {
        add_bytes(text, " ", first ? 0 : 1);
        add_bytes(text, name.bytes, name.size_bytes);
        return;
    }
    const size_t begin = text->size_bytes;
    add_piece_text(text, name);
    if (first && words->decoder_strips) {
        text->size_bytes = begin;
        for (size_t at = 0; at < name.size_bytes;) {
            const struct token_text rest = {name.bytes + at, name.size_bytes - at};
            const bool blank = unigram_piece_begins_word(rest);
            add_bytes(text, rest.bytes, blank ? 0 : 1);
            at += blank ? UNIGRAM_SPACE_BYTES : 1;
        }
    }
}

static void decode_charbpe(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                           bool skip_specials, struct decoded *out)
{
    struct token_text *const tokens = memory_take(count + 1, sizeof *tokens, "decoded tokens");
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!skip_specials || !tokenizer_is_special(tokenizer, ids[i])) {
            tokens[kept++] = tokenizer->shown[ids[i]];
        }
    }
    token_decode(&tokenizer->charbpe.decoder, tokens, kept, &out->bytes, &out->size_bytes);
    memory_release(tokens);
}

/* Gives the text out, zero-terminated and as UTF-8. */
static void repair(struct decoded *raw, char **text, size_t *size_bytes)
{
    if (utf8_valid_prefix(raw->bytes, raw->size_bytes) == raw->size_bytes) {
        raw->bytes[raw->size_bytes] = '\0';
        *text = raw->bytes;
        *size_bytes = raw->size_bytes;
        return;
    }
    *text = memory_take(3 * raw->size_bytes + 1, 1, "decoded text");
    *size_bytes = utf8_repair(raw->bytes, raw->size_bytes, *text);
    memory_release(raw->bytes);
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                             bool skip_specials, char **text, size_t *size_bytes,
                             struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->vocabulary.count) {
            FAIL(error, STATUS_INPUT,
                 "could not decode: id %d at place %zu is outside the vocabulary of %lld", ids[i],
                 i, (long long)tokenizer->vocabulary.count);
        }
    }
    struct decoded raw = {0};
    if (tokenizer->kind == TOKENIZER_KIND_CHARBPE) {
        decode_charbpe(tokenizer, ids, count, skip_specials, &raw);
        repair(&raw, text, size_bytes);
        return STATUS_OK;
    }
    add_bytes(&raw, "", 0);
    bool first = true;
    struct unigram_decode unigram = {0};
    for (size_t i = 0; i < count; i++) {
        if (skip_specials && tokenizer_is_special(tokenizer, ids[i])) {
            continue;
        }
        switch (tokenizer->kind) {
        case TOKENIZER_KIND_CHARBPE:
        case TOKENIZER_KIND_BYTEBPE:
            add_bytes(&raw, tokenizer->bytes[ids[i]].bytes, tokenizer->bytes[ids[i]].size_bytes);
            break;
        case TOKENIZER_KIND_WORDPIECE:
            add_wordpiece(tokenizer, &raw, ids[i], first);
            break;
        case TOKENIZER_KIND_UNIGRAM:
            if (tokenizer->unigram.by_words) {
                add_metaspace(tokenizer, &raw, ids[i], first);
            } else {
                add_unigram(tokenizer, &unigram, &raw, ids[i]);
            }
            break;
        }
        first = false;
    }
    if (unigram.in_run) {
        repair_bytes(&raw, unigram.run_begin);
    }
    repair(&raw, text, size_bytes);
    return STATUS_OK;
}
