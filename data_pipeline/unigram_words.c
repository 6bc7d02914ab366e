/* Words as a tokenizer.json cuts them: at white space (WhitespaceSplit), then blanks become U+2581,
 * one is put in front, and each begins a word (Metaspace). */
#include <string.h>

#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/unigram_search.h"
#include "data_pipeline/utf8.h"

static const char symbol[] = "\xe2\x96\x81"; /* U+2581 */
static const unsigned char symbol_lead = 0xe2;

/* Where the walk over the parts of a text stands. */
struct part_walk {
    const struct unigram_words *words;
    const struct normal_text *text;
    size_t at;
    size_t end;
    bool opens; /* the next part is the first of the whole text */
};

/* Length of the white space at `at`, 0 if there is none. Above ASCII it begins with few bytes. */
static inline size_t space_bytes(const struct normal_text *text, size_t at, size_t end)
{
    const unsigned char byte = (unsigned char)text->bytes[at];
    if (byte < 0x80) {
        return byte == ' ' || (byte >= '\t' && byte <= '\r');
    }
    if (byte != 0xc2 && (byte < 0xe1 || byte > 0xe3)) {
        return 0;
    }
    uint32_t code_point = 0;
    const size_t length = utf8_decode(text->bytes + at, end - at, &code_point, NULL);
    return unicode_class_of(code_point) == UNICODE_CLASS_SPACE ? length : 0;
}

/* The next part between spaces, never empty, and whether it gets a prefix; false at the end. */
static inline bool next_part(struct part_walk *walk, size_t *begin, size_t *end, bool *prefixed)
{
    size_t at = walk->at;
    size_t space = 0;
    while (walk->words->split_at_spaces && at < walk->end &&
           (space = space_bytes(walk->text, at, walk->end)) > 0) {
        walk->opens = false;
        at += space;
    }
    *begin = at;
    if (!walk->words->split_at_spaces) {
        at = walk->end;
    }
    while (at < walk->end && space_bytes(walk->text, at, walk->end) == 0) {
        at++; /* bytes within a character are no space */
    }
    *end = at;
    *prefixed = walk->words->prefix == WORD_PREFIX_ALWAYS ||
                (walk->words->prefix == WORD_PREFIX_FIRST && walk->opens);
    walk->at = at;
    walk->opens = false;
    return *begin < *end;
}

static bool has_symbol(const char *bytes, size_t size_bytes)
{
    return size_bytes >= UNIGRAM_SPACE_BYTES && memcmp(bytes, symbol, UNIGRAM_SPACE_BYTES) == 0;
}

/* Puts a part into the work, as the model has it. */
static void take_part(struct unigram_work *work, const struct normal_text *text, size_t begin,
                      size_t end, bool prefixed)
{
    struct normal_text *const row = &work->normal;
    row->size_bytes = 0;
    row->with_origins = text->with_origins;
    if (prefixed && text->bytes[begin] != ' ' && !has_symbol(text->bytes + begin, end - begin)) {
        const struct text_origin origin = normal_text_origin(text, begin);
        normal_text_add(row, symbol, UNIGRAM_SPACE_BYTES, origin.begin, origin.end);
    }
    while (begin < end) {
        const char *const blank = memchr(text->bytes + begin, ' ', end - begin);
        const size_t plain_end = blank == NULL ? end : (size_t)(blank - text->bytes);
        normal_text_copy(row, text, begin, plain_end);
        begin = plain_end;
        if (begin < end) {
            const struct text_origin origin = normal_text_origin(text, begin);
            normal_text_add(row, symbol, UNIGRAM_SPACE_BYTES, origin.begin, origin.end);
            begin++;
        }
    }
}

/* End of the word of the part in the work that begins at `begin`. */
static size_t word_end(const struct unigram_words *words, const struct normal_text *row,
                       size_t begin)
{
    size_t at = words->split_at_symbols ? begin + 1 : row->size_bytes;
    while (at < row->size_bytes) {
        const char *const found = memchr(row->bytes + at, (int)symbol_lead, row->size_bytes - at);
        at = found == NULL ? row->size_bytes : (size_t)(found - row->bytes);
        if (found == NULL || has_symbol(found, row->size_bytes - at)) {
            break;
        }
        at++;
    }
    return at;
}

static void add_ids(const struct unigram *model, struct unigram_work *work, const char *word,
                    size_t size_bytes, struct token_list *out)
{
    work->piece_count = 0;
    (void)unigram_cover(model, work, word, size_bytes);
    int32_t *const ids = token_list_room(out, work->piece_count);
    for (size_t i = 0; i < work->piece_count; i++) {
        ids[i] = work->pieces[i].id;
    }
    out->count += work->piece_count;
}

/* Ids of U+2581 and a word of 1 to CACHED_BYTES bytes, of whose text `readable` may be read. */
static inline void add_cached(const struct unigram *model, struct unigram_work *work,
                              const char *word, size_t size_bytes, size_t readable,
                              struct token_list *out)
{
    const struct cache_key key = cache_key_of(word, size_bytes, readable);
    struct cache_entry *const entry = cache_entry_of(&work->cache, key);
    int32_t *const ids = token_list_room(out, CACHED_IDS);
    if (cache_entry_holds(entry, key)) {
        memcpy(ids, entry->ids, sizeof entry->ids); /* all of them: cheaper than counting */
        out->count += (size_t)entry->count;
        return;
    }
    char whole[UNIGRAM_SPACE_BYTES + CACHED_BYTES];
    memcpy(whole, symbol, UNIGRAM_SPACE_BYTES);
    memcpy(whole + UNIGRAM_SPACE_BYTES, word, size_bytes);
    const size_t first = out->count;
    add_ids(model, work, whole, UNIGRAM_SPACE_BYTES + size_bytes, out);
    cache_entry_put(entry, key, out->ids + first, out->count - first);
}

/* The words of the part in the work. */
static void add_words(const struct unigram *model, struct unigram_work *work,
                      struct token_list *out)
{
    const struct normal_text *const row = &work->normal;
    for (size_t at = 0; at < row->size_bytes;) {
        const size_t end = word_end(&model->words, row, at);
        const size_t rest = end - at - UNIGRAM_SPACE_BYTES;
        if (has_symbol(row->bytes + at, end - at) && rest >= 1 && rest <= CACHED_BYTES) {
            const size_t from = at + UNIGRAM_SPACE_BYTES;
            add_cached(model, work, row->bytes + from, rest, row->size_bytes - from, out);
        } else {
            add_ids(model, work, row->bytes + at, end - at, out);
        }
        at = end;
    }
}

void unigram_encode_ids(const struct unigram *model, struct unigram_work *work,
                        const struct normal_text *text, size_t begin, size_t end, bool opens,
                        struct token_list *out)
{
    struct part_walk walk = {&model->words, text, begin, end, opens};
    size_t from = 0;
    size_t to = 0;
    bool prefixed = false;
    while (next_part(&walk, &from, &to, &prefixed)) {
        const bool simple = prefixed && model->words.split_at_spaces && to - from <= CACHED_BYTES &&
                            memchr(text->bytes + from, (int)symbol_lead, to - from) == NULL;
        if (simple) {
            add_cached(model, work, text->bytes + from, to - from, text->size_bytes - from, out);
        } else {
            take_part(work, text, from, to, prefixed);
            add_words(model, work, out);
        }
    }
}

const struct unigram_piece *unigram_encode_words(const struct unigram *model,
                                                 struct unigram_work *work,
                                                 const struct normal_text *text, size_t begin,
                                                 size_t end, bool opens, size_t *count,
                                                 int64_t *words)
{
    struct part_walk walk = {&model->words, text, begin, end, opens};
    const struct normal_text *const row = &work->normal;
    size_t from = 0;
    size_t to = 0;
    bool prefixed = false;
    work->piece_count = 0;
    *words = 0;
    while (next_part(&walk, &from, &to, &prefixed)) {
        take_part(work, text, from, to, prefixed);
        size_t word_to = 0;
        for (size_t at = 0; at < row->size_bytes; at = word_to) {
            word_to = word_end(&model->words, row, at);
            const size_t first = unigram_cover(model, work, row->bytes + at, word_to - at);
            for (size_t i = first; i < work->piece_count; i++) {
                struct unigram_piece *const piece = &work->pieces[i];
                piece->begin = row->origins[at + piece->begin].begin;
                piece->end = row->origins[at + piece->end - 1].end;
                piece->word = *words;
            }
            (*words)++;
        }
    }
    *count = work->piece_count;
    return work->pieces;
}
