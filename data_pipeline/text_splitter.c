/* Each step reads the words of one list and appends to another; places travel along. A step finds
 * segments, matches and what lies between them in turn, and the behaviour makes words of them. */
#include "data_pipeline/text_splitter.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/bert_characters.h"
#include "data_pipeline/byte_symbols.h"
#include "data_pipeline/gpt2_split.h"
#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/utf8.h"

/* The words that one word becomes, as its segments come in from left to right. */
struct cutting {
    const struct splitter_step *step;
    struct split_words *out;
    size_t first;  /* of them, in out */
    size_t offset; /* of the segments in out->text */
    bool opens;    /* the word opens the text */
    bool was_match;
};

void text_splitter_deinit(struct text_splitter *splitter)
{
    for (size_t i = 0; i < splitter->count; i++) {
        pattern_deinit(&splitter->steps[i].pattern);
    }
    splitter->count = 0;
}

void text_splitter_work_deinit(struct text_splitter_work *work)
{
    for (int i = 0; i < ARRAY_LENGTH(work->words); i++) {
        normal_text_deinit(&work->words[i].text);
        memory_release(work->words[i].items);
    }
    normal_text_deinit(&work->prefixed);
    *work = (struct text_splitter_work){0};
}

bool text_splitter_makes_bytes(const struct text_splitter *splitter)
{
    for (size_t i = 0; i < splitter->count; i++) {
        if (splitter->steps[i].kind == SPLITTER_KIND_BYTES) {
            return true;
        }
    }
    return false;
}

bool text_splitter_needs_origins(const struct text_splitter *splitter, bool normalized)
{
    for (size_t i = 0; i < splitter->count; i++) {
        if (splitter->steps[i].prefix == SPLITTER_PREFIX_FIRST) {
            return normalized || i > 0;
        }
    }
    return false;
}

/* Does a word at `begin` open the whole text? Without places, `otherwise` knows. */
static bool opens_at(const struct split_words *words, size_t begin, bool otherwise)
{
    return words->text.with_origins ? words->opens && words->text.origins[begin].begin == 0
                                    : otherwise;
}

static void add_word(struct split_words *words, size_t begin, size_t end, bool opens)
{
    memory_reserve((void **)&words->items, &words->capacity, words->count + 1, sizeof *words->items,
                   "words of a text");
    words->items[words->count++] = (struct split_word){begin, end, opens};
}

/* Takes the next segment, which may be empty. */
static void take_segment(struct cutting *cutting, size_t begin, size_t end, bool match)
{
    const bool is_match = match != cutting->step->inverted;
    bool joins = false;
    bool dropped = false;
    switch (cutting->step->behavior) {
    case SPLIT_BEHAVIOR_ISOLATED:
        break;
    case SPLIT_BEHAVIOR_REMOVED:
        dropped = is_match;
        break;
    case SPLIT_BEHAVIOR_MERGED_PREVIOUS:
        joins = is_match && !cutting->was_match;
        break;
    case SPLIT_BEHAVIOR_MERGED_NEXT:
        joins = !is_match && cutting->was_match;
        break;
    case SPLIT_BEHAVIOR_CONTIGUOUS:
        joins = is_match == cutting->was_match;
        break;
    }
    cutting->was_match = is_match;
    if (joins && cutting->out->count > cutting->first) {
        cutting->out->items[cutting->out->count - 1].end = cutting->offset + end;
    } else if (!dropped) {
        const size_t from = cutting->offset + begin;
        const bool opens =
            begin < end && opens_at(cutting->out, from, cutting->opens && begin == 0);
        add_word(cutting->out, from, cutting->offset + end, opens);
    }
}

/* Drops the words that stayed empty. */
static void finish(struct cutting *cutting)
{
    struct split_words *const out = cutting->out;
    size_t kept = cutting->first;
    for (size_t i = cutting->first; i < out->count; i++) {
        if (out->items[i].begin < out->items[i].end) {
            out->items[kept++] = out->items[i];
        }
    }
    out->count = kept;
}

static void cut_at_pattern(struct cutting *cutting, const char *text, size_t size_bytes)
{
    struct pattern_walk walk;
    size_t begin = 0;
    size_t end = 0;
    size_t last = 0;
    pattern_walk_init(&walk, &cutting->step->pattern, text, size_bytes);
    while (pattern_walk_next(&walk, &begin, &end)) {
        if (begin > last) {
            take_segment(cutting, last, begin, false);
        }
        take_segment(cutting, begin, end, true);
        last = end;
    }
    if (last < size_bytes) {
        take_segment(cutting, last, size_bytes, false);
    }
}

static void cut_at_text(struct cutting *cutting, const char *text, size_t size_bytes)
{
    const struct token_text wanted = cutting->step->text;
    size_t last = 0;
    while (last < size_bytes) {
        const char *const found =
            memmem(text + last, size_bytes - last, wanted.bytes, wanted.size_bytes);
        const size_t begin = found == NULL ? size_bytes : (size_t)(found - text);
        if (begin > last) {
            take_segment(cutting, last, begin, false);
        }
        last = begin;
        if (found != NULL) {
            last = begin + wanted.size_bytes;
            take_segment(cutting, begin, last, true);
        }
    }
}

/* Does the step look for characters of this kind, each a match? */
static bool is_wanted(enum splitter_kind kind, uint32_t code_point)
{
    switch (kind) {
    case SPLITTER_KIND_DIGITS:
        return unicode_class_of(code_point) == UNICODE_CLASS_NUMBER;
    case SPLITTER_KIND_PUNCTUATION:
        return bert_class_of(code_point) == BERT_CLASS_PUNCTUATION;
    case SPLITTER_KIND_SPACES:
        return unicode_class_of(code_point) == UNICODE_CLASS_SPACE;
    case SPLITTER_KIND_PATTERN:
    case SPLITTER_KIND_TEXT:
    case SPLITTER_KIND_WORDS:
    case SPLITTER_KIND_BYTES:
    case SPLITTER_KIND_METASPACE:
        break;
    }
    return false;
}

static void cut_at_characters(struct cutting *cutting, const char *text, size_t size_bytes)
{
    size_t last = 0;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        const size_t end = at + utf8_decode(text + at, size_bytes - at, &code_point, NULL);
        if (is_wanted(cutting->step->kind, code_point)) {
            if (at > last) {
                take_segment(cutting, last, at, false);
            }
            take_segment(cutting, at, end, true);
            last = end;
        }
        at = end;
    }
    if (last < size_bytes) {
        take_segment(cutting, last, size_bytes, false);
    }
}

/* Runs of \w, of spaces and of the rest; spaces are no match. */
static void cut_at_words(struct cutting *cutting, const char *text, size_t size_bytes)
{
    enum run { RUN_SPACE, RUN_WORD, RUN_OTHER } last_run = RUN_SPACE;
    size_t last = 0;
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, NULL);
        const enum run run =
            unicode_is_word(code_point)
                ? RUN_WORD
                : (unicode_class_of(code_point) == UNICODE_CLASS_SPACE ? RUN_SPACE : RUN_OTHER);
        if (run != last_run && at > last) {
            take_segment(cutting, last, at, last_run != RUN_SPACE);
            last = at;
        }
        last_run = run;
        at += length;
    }
    if (last < size_bytes) {
        take_segment(cutting, last, size_bytes, last_run != RUN_SPACE);
    }
}

static struct cutting cutting_of(const struct splitter_step *step, struct split_words *out,
                                 size_t offset, bool opens)
{
    return (struct cutting){step, out, out->count, offset, opens, false};
}

/* Puts a prefix before the word if it does not begin with it; it has the place of the first
 * character. */
static void add_prefix(const struct splitter_step *step, struct token_text prefix,
                       const struct normal_text *text, const struct split_word *word,
                       struct normal_text *out)
{
    const bool has_it = word->end - word->begin >= prefix.size_bytes &&
                        memcmp(text->bytes + word->begin, prefix.bytes, prefix.size_bytes) == 0;
    const bool wanted = step->prefix == SPLITTER_PREFIX_ALWAYS ||
                        (step->prefix == SPLITTER_PREFIX_FIRST && word->opens);
    if (wanted && !has_it) {
        const struct text_origin origin = normal_text_origin(text, word->begin);
        normal_text_add(out, prefix.bytes, prefix.size_bytes, origin.begin, origin.end);
    }
}

static void add_symbols(struct split_words *out, const struct normal_text *text, size_t begin,
                        size_t end, bool opens)
{
    const size_t first = out->text.size_bytes;
    for (size_t at = begin; at < end; at++) {
        char symbol[BYTE_SYMBOL_BYTES];
        const size_t length = byte_symbols_write(text->bytes + at, 1, symbol);
        const struct text_origin origin = normal_text_origin(text, at);
        normal_text_add(&out->text, symbol, length, origin.begin, origin.end);
    }
    add_word(out, first, out->text.size_bytes, opens);
}

static void split_bytes(const struct splitter_step *step, const struct normal_text *text,
                        const struct split_word *word, struct normal_text *prefixed,
                        struct split_words *out)
{
    prefixed->size_bytes = 0;
    prefixed->with_origins = text->with_origins;
    add_prefix(step, (struct token_text){" ", 1}, text, word, prefixed);
    normal_text_copy(prefixed, text, word->begin, word->end);
    for (size_t at = 0; at < prefixed->size_bytes;) {
        const size_t end = step->cuts ? gpt2_split_next(prefixed->bytes, prefixed->size_bytes, at)
                                      : prefixed->size_bytes;
        add_symbols(out, prefixed, at, end, word->opens && at == 0);
        at = end;
    }
}

static void split_metaspace(const struct splitter_step *step, const struct normal_text *text,
                            const struct split_word *word, struct normal_text *replaced,
                            struct split_words *out)
{
    replaced->size_bytes = 0;
    replaced->with_origins = text->with_origins;
    for (size_t at = word->begin; at < word->end;) {
        const char *const blank = memchr(text->bytes + at, ' ', word->end - at);
        const size_t end = blank == NULL ? word->end : (size_t)(blank - text->bytes);
        normal_text_copy(replaced, text, at, end);
        at = end;
        if (blank != NULL) {
            const struct text_origin origin = normal_text_origin(text, at++);
            normal_text_add(replaced, step->text.bytes, step->text.size_bytes, origin.begin,
                            origin.end);
        }
    }
    const struct split_word whole = {0, replaced->size_bytes, word->opens};
    const size_t offset = out->text.size_bytes;
    add_prefix(step, step->text, replaced, &whole, &out->text);
    normal_text_copy(&out->text, replaced, 0, replaced->size_bytes);
    struct cutting cutting = cutting_of(step, out, offset, word->opens);
    const size_t size_bytes = out->text.size_bytes - offset;
    if (step->cuts) {
        cut_at_text(&cutting, out->text.bytes + offset, size_bytes);
    } else {
        take_segment(&cutting, 0, size_bytes, false);
    }
    finish(&cutting);
}

static void split_word(const struct splitter_step *step, const struct normal_text *text,
                       const struct split_word *word, struct normal_text *scratch,
                       struct split_words *out)
{
    if (step->kind == SPLITTER_KIND_BYTES) {
        split_bytes(step, text, word, scratch, out);
        return;
    }
    if (step->kind == SPLITTER_KIND_METASPACE) {
        split_metaspace(step, text, word, scratch, out);
        return;
    }
    const size_t offset = out->text.size_bytes;
    normal_text_copy(&out->text, text, word->begin, word->end);
    struct cutting cutting = cutting_of(step, out, offset, word->opens);
    const char *const bytes = out->text.bytes + offset;
    const size_t size_bytes = word->end - word->begin;
    switch (step->kind) {
    case SPLITTER_KIND_PATTERN:
        cut_at_pattern(&cutting, bytes, size_bytes);
        break;
    case SPLITTER_KIND_TEXT:
        cut_at_text(&cutting, bytes, size_bytes);
        break;
    case SPLITTER_KIND_WORDS:
        cut_at_words(&cutting, bytes, size_bytes);
        break;
    case SPLITTER_KIND_DIGITS:
    case SPLITTER_KIND_PUNCTUATION:
    case SPLITTER_KIND_SPACES:
    case SPLITTER_KIND_BYTES:
    case SPLITTER_KIND_METASPACE:
        cut_at_characters(&cutting, bytes, size_bytes);
        break;
    }
    finish(&cutting);
}

const struct split_words *text_split(const struct text_splitter *splitter,
                                     struct text_splitter_work *work,
                                     const struct normal_text *text, size_t begin, size_t end,
                                     bool opens)
{
    struct split_words *from = &work->words[0];
    struct split_words *to = &work->words[1];
    from->count = 0;
    from->text.size_bytes = 0;
    from->text.with_origins = text->with_origins;
    normal_text_copy(&from->text, text, begin, end);
    from->opens = opens;
    to->opens = opens;
    if (begin < end) {
        add_word(from, 0, end - begin, opens_at(from, 0, opens));
    }
    for (size_t i = 0; i < splitter->count; i++) {
        to->count = 0;
        to->text.size_bytes = 0;
        to->text.with_origins = text->with_origins;
        for (size_t k = 0; k < from->count; k++) {
            split_word(&splitter->steps[i], &from->text, &from->items[k], &work->prefixed, to);
        }
        struct split_words *const other = from;
        from = to;
        to = other;
    }
    return from;
}
