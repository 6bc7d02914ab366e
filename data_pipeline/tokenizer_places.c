/* Encoding with the place of each token in the text, as Hugging Face reports offsets: a token that
 * holds part of a character covers the whole one, and white space is trimmed by the
 * post-processor's rule (counted in characters of the token's written form, which is why it is done
 * here once more by hand). */
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/byte_symbols.h"
#include "data_pipeline/gpt2_split.h"
#include "data_pipeline/tokenizer_parts.h"
#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/utf8.h"

/* One call's state. Until the end, places hold bytes only. */
struct places_pass {
    const struct tokenizer *tokenizer;
    struct tokenizer_work *work;
    struct token_list *out;
    struct token_places *places;
    int64_t word_count;
};

void token_places_deinit(struct token_places *places)
{
    memory_release(places->items);
    *places = (struct token_places){0};
}

static void places_add(struct token_places *places, size_t begin, size_t end, int64_t word)
{
    memory_reserve((void **)&places->items, &places->capacity, places->count + 1,
                   sizeof *places->items, "places of tokens");
    places->items[places->count++] =
        (struct token_place){.byte_begin = begin, .byte_end = end, .word = word};
}

static void add_token(struct places_pass *pass, const struct text_part *part, size_t base)
{
    token_list_add(pass->out, part->token->id);
    places_add(pass->places, base + part->begin, base + part->end, pass->word_count++);
}

/* Bytes at word[at] that `id` stands for, within a word of `size_bytes`. An unknown id stands for
 * bytes without symbol: one, or all that follow each other where they are fused. */
static size_t token_bytes(const struct tokenizer *tokenizer, int32_t id, const char *word,
                          size_t at, size_t size_bytes)
{
    const struct bytebpe *const bpe = &tokenizer->bpe;
    if (bpe->unknown < 0 || bpe->byte_ids[(unsigned char)word[at]] >= 0) {
        const size_t known = tokenizer->bytes[id].size_bytes;
        return known < size_bytes - at ? known : size_bytes - at;
    }
    size_t count = 1;
    while (bpe->fuse_unknown && at + count < size_bytes &&
           bpe->byte_ids[(unsigned char)word[at + count]] < 0) {
        count++;
    }
    return count;
}

/* One word: text bytes [begin, begin + size_bytes) of `text`, which stands at `base` of the whole;
 * `prefix` bytes (0 or 1) of `text` are not in the whole. */
static void add_word(struct places_pass *pass, const char *text, size_t begin, size_t size_bytes,
                     size_t base, size_t prefix)
{
    const size_t first = pass->out->count;
    bytebpe_encode_word(&pass->tokenizer->bpe, pass->work->bpe, text + begin, size_bytes,
                        pass->out);
    size_t at = begin;
    for (size_t i = first; i < pass->out->count && at < begin + size_bytes; i++) {
        const size_t end =
            at + token_bytes(pass->tokenizer, pass->out->ids[i], text, at, begin + size_bytes);
        /* a prefix blank takes the place of the character behind it */
        const size_t from = at > prefix ? at - prefix : 0;
        const size_t to = end > prefix + from ? end - prefix : from + 1;
        places_add(pass->places, base + from, base + to, pass->word_count);
        at = end;
    }
    INVARIANT(pass->out->count == pass->places->count); /* each id stands for at least a byte */
    pass->word_count++;
}

static void add_plain(struct places_pass *pass, const char *text, size_t size_bytes, size_t base)
{
    const size_t plain_bytes = size_bytes;
    const char *const whole =
        bytebpe_prefixed(&pass->tokenizer->bpe, pass->work->bpe, text, &size_bytes);
    const size_t prefix = size_bytes - plain_bytes;
    if (!pass->tokenizer->bpe.use_pattern) {
        add_word(pass, whole, 0, size_bytes, base, prefix);
        return;
    }
    for (size_t at = 0; at < size_bytes;) {
        const size_t end = gpt2_split_next(whole, size_bytes, at);
        add_word(pass, whole, at, end - at, base, prefix);
        at = end;
    }
}

/* Bytes of the normalised text at `at` that the i-th of a word's `count` ids stands for. */
static size_t piece_bytes(const struct tokenizer *tokenizer, int32_t id, size_t i, size_t count,
                          size_t left_bytes)
{
    if (count == 1) {
        return left_bytes; /* also of an unknown word */
    }
    const size_t known =
        i == 0 ? tokenizer->vocabulary.texts[id].size_bytes : tokenizer->bytes[id].size_bytes;
    return known < left_bytes ? known : left_bytes;
}

/* The part [begin, end) of the normalised text, in words. */
static void add_normal_words(struct places_pass *pass, const struct normal_text *normal,
                             size_t begin, size_t end)
{
    size_t word = begin;
    size_t word_end = begin;
    while (bert_next_word(normal->bytes, end, &word, &word_end)) {
        const size_t first = pass->out->count;
        wordpiece_encode_word(&pass->tokenizer->wordpiece, pass->work->wordpiece,
                              normal->bytes + word, word_end - word, pass->out);
        const size_t count = pass->out->count - first;
        for (size_t i = 0; i < count; i++) {
            const size_t size_bytes =
                piece_bytes(pass->tokenizer, pass->out->ids[first + i], i, count, word_end - word);
            places_add(pass->places, normal->origins[word].begin,
                       normal->origins[word + size_bytes - 1].end, pass->word_count);
            word += size_bytes;
        }
        pass->word_count++;
        word = word_end;
    }
}

/* The same for a unigram model by words; `opens`: the whole text begins here. */
static void add_unigram_words(struct places_pass *pass, const struct normal_text *normal,
                              size_t begin, size_t end, bool opens)
{
    size_t count = 0;
    int64_t words = 0;
    const struct unigram_piece *const pieces = unigram_encode_words(
        &pass->tokenizer->unigram, pass->work->unigram, normal, begin, end, opens, &count, &words);
    for (size_t i = 0; i < count; i++) {
        token_list_add(pass->out, pieces[i].id);
        places_add(pass->places, pieces[i].begin, pieces[i].end, pass->word_count + pieces[i].word);
    }
    pass->word_count += words;
}

static void add_charbpe_words(struct places_pass *pass, const struct normal_text *normal,
                              size_t begin, size_t end, bool opens)
{
    size_t count = 0;
    int64_t words = 0;
    const struct charbpe_token *const tokens = charbpe_encode_places(
        &pass->tokenizer->charbpe, pass->work->charbpe, normal, begin, end, opens, &count, &words);
    for (size_t i = 0; i < count; i++) {
        token_list_add(pass->out, tokens[i].id);
        places_add(pass->places, tokens[i].begin, tokens[i].end, pass->word_count + tokens[i].word);
    }
    pass->word_count += words;
}

/* Text of a kind that normalises, which stands at `base` of the whole. */
static void add_normal(struct places_pass *pass, const char *text, size_t size_bytes,
                       bool parse_specials, size_t base)
{
    struct normal_text *const normal = &pass->work->normal;
    normal->size_bytes = 0;
    normal->with_origins = true;
    tokenizer_normalize(pass->tokenizer, &pass->work->normalizer, text, size_bytes, base, normal);
    struct added_scan scan = {.tokens = &pass->tokenizer->added,
                              .text = normal->bytes,
                              .size_bytes = normal->size_bytes,
                              .normalized = true,
                              .skip_specials = !parse_specials};
    struct text_part part;
    while (added_scan_next(&scan, &part)) {
        if (part.token == NULL) {
            if (pass->tokenizer->kind == TOKENIZER_KIND_CHARBPE) {
                add_charbpe_words(pass, normal, part.begin, part.end, base + part.begin == 0);
            } else if (pass->tokenizer->kind == TOKENIZER_KIND_UNIGRAM) {
                add_unigram_words(pass, normal, part.begin, part.end, base + part.begin == 0);
            } else {
                add_normal_words(pass, normal, part.begin, part.end);
            }
            continue;
        }
        token_list_add(pass->out, part.token->id);
        places_add(pass->places, normal->origins[part.begin].begin,
                   normal->origins[part.end - 1].end, pass->word_count++);
    }
}

/* Text in the pieces of a unigram model; a piece with a blank in front begins a word. */
static void add_unigram(struct places_pass *pass, const char *text, size_t size_bytes, size_t base)
{
    size_t count = 0;
    const struct unigram_piece *const pieces = unigram_encode(
        &pass->tokenizer->unigram, pass->work->unigram, text, size_bytes, base, true, &count);
    for (size_t i = 0; i < count; i++) {
        const struct token_text name = pass->tokenizer->vocabulary.texts[pieces[i].id];
        pass->word_count += i > 0 && unigram_piece_begins_word(name);
        token_list_add(pass->out, pieces[i].id);
        places_add(pass->places, pieces[i].begin, pieces[i].end, pass->word_count);
    }
    pass->word_count += count > 0;
}

static void add_part(struct places_pass *pass, const char *text, size_t size_bytes,
                     bool parse_specials, bool normalized, size_t base)
{
    struct added_scan scan = {.tokens = &pass->tokenizer->added,
                              .text = text,
                              .size_bytes = size_bytes,
                              .normalized = normalized,
                              .skip_specials = !parse_specials};
    struct text_part part;
    while (added_scan_next(&scan, &part)) {
        if (part.token != NULL) {
            add_token(pass, &part, base);
        } else if (pass->tokenizer->kind == TOKENIZER_KIND_UNIGRAM &&
                   !pass->tokenizer->unigram.by_words) {
            add_unigram(pass, text + part.begin, part.end - part.begin, base + part.begin);
        } else if (tokenizer_normalizes(pass->tokenizer)) {
            add_normal(pass, text + part.begin, part.end - part.begin, parse_specials,
                       base + part.begin);
        } else if (normalized) {
            add_plain(pass, text + part.begin, part.end - part.begin, base + part.begin);
        } else {
            add_part(pass, text + part.begin, part.end - part.begin, parse_specials, true,
                     base + part.begin);
        }
    }
}

/* Offset of each code point (a broken part counts as one), with the end of the text behind; caller
 * releases. */
static size_t *character_starts(const char *text, size_t size_bytes, size_t *count)
{
    size_t *const starts = memory_take(size_bytes + 1, sizeof *starts, "places of characters");
    *count = 0;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        size_t broken = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, &broken);
        starts[(*count)++] = at;
        at += length > 0 ? length : broken;
    }
    starts[*count] = size_bytes;
    return starts;
}

/* Widens all places to whole characters. Tokens come in order, so one walk finds them all. */
static void widen(struct token_places *places, const size_t *starts, size_t count)
{
    size_t character = 0;
    for (size_t i = 0; i < places->count; i++) {
        struct token_place *const place = &places->items[i];
        while (character > 0 && starts[character] > place->byte_begin) {
            character--;
        }
        while (character + 1 < count && starts[character + 1] <= place->byte_begin) {
            character++;
        }
        place->character_begin = character;
        while (character < count && starts[character] < place->byte_end) {
            character++;
        }
        place->character_end = character;
    }
}

static bool is_blank(uint32_t code_point)
{
    return code_point == BYTE_SYMBOL_BLANK || unicode_class_of(code_point) == UNICODE_CLASS_SPACE;
}

/* White space characters at both ends of a token's written form. */
static void count_blanks(const char *text, size_t size_bytes, size_t *leading, size_t *trailing)
{
    *leading = 0;
    *trailing = 0;
    bool all = true;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, NULL);
        const bool blank = length > 0 && is_blank(code_point);
        all = all && blank;
        *leading += all;
        *trailing = blank ? *trailing + 1 : 0;
        at += length > 0 ? length : 1;
    }
}

static void trim(const struct places_pass *pass, const char *text)
{
    for (size_t i = 0; i < pass->places->count; i++) {
        struct token_place *const place = &pass->places->items[i];
        const int32_t id = pass->out->ids[i];
        size_t leading = 0;
        size_t trailing = 0;
        if (added_tokens_find(&pass->tokenizer->added, id) != NULL) {
            count_blanks(text + place->byte_begin, place->byte_end - place->byte_begin, &leading,
                         &trailing);
        } else {
            const struct token_text name = pass->tokenizer->vocabulary.texts[id];
            count_blanks(name.bytes, name.size_bytes, &leading, &trailing);
        }
        const bool opens = i == 0 || place->character_begin == 0;
        if (leading == 1 && opens && pass->tokenizer->template.keep_prefix) {
            leading =
                0; /* the blank that was put before the text; more than one were in the text */
        }
        const size_t from = place->character_begin + leading;
        place->character_begin = from < place->character_end ? from : place->character_end;
        if (trailing > 0 && place->character_end >= trailing) {
            const size_t to = place->character_end - trailing;
            place->character_end = to > place->character_begin ? to : place->character_begin;
        }
    }
}

void tokenizer_encode_places(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                             const char *text, size_t size_bytes, bool parse_specials,
                             struct token_list *out, struct token_places *places)
{
    out->count = 0;
    places->count = 0;
    tokenizer_work_ready(tokenizer, work);
    struct places_pass pass = {.tokenizer = tokenizer, .work = work, .out = out, .places = places};
    add_part(&pass, text, size_bytes, parse_specials, false, 0);
    size_t count = 0;
    size_t *const starts = character_starts(text, size_bytes, &count);
    widen(places, starts, count);
    if (tokenizer->template.trim_places) {
        trim(&pass, text);
    }
    for (size_t i = 0; i < places->count; i++) {
        places->items[i].byte_begin = starts[places->items[i].character_begin];
        places->items[i].byte_end = starts[places->items[i].character_end];
    }
    memory_release(starts);
}
