/* Words to ids: the characters' ids first, then merging. Short words come from a cache. */
#include "data_pipeline/tokenizer_charbpe.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/utf8.h"
#include "data_pipeline/word_cache.h"

enum { NAME_BYTES = 8, KEPT_BYTES = 1 << 16 };

static const char space_symbol[] = "\xe2\x96\x81"; /* U+2581 */

/* One thread's. The lists have room for an id for each byte of a word and of its suffix. */
struct charbpe_work {
    struct bytebpe_work *merging;
    struct text_splitter_work splitting;
    struct word_cache cache;
    char *name; /* a character with its prefix and suffix */
    size_t name_capacity;
    int32_t *ids; /* of a word's characters */
    size_t id_capacity;
    int32_t *merged;
    size_t merged_capacity;
    size_t *bytes; /* of the word, for each id of its characters */
    size_t byte_capacity;
    struct charbpe_token *tokens;
    size_t token_count;
    size_t token_capacity;
};

void charbpe_seal(struct charbpe *model, const struct bytebpe *bpe)
{
    model->bpe = bpe;
    model->makes_bytes = text_splitter_makes_bytes(&model->splitter);
    model->needs_origins =
        text_splitter_needs_origins(&model->splitter, model->normalizer.count > 0);
    for (int byte = 0; byte < 256; byte++) {
        char name[NAME_BYTES];
        const int length = snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        model->byte_ids[byte] = bytebpe_find(bpe, name, (size_t)length);
    }
    for (int letter = 0; letter < ARRAY_LENGTH(model->ascii_ids); letter++) {
        const char text = (char)letter;
        model->ascii_ids[letter] = bytebpe_find(bpe, &text, 1);
    }
}

void charbpe_deinit(struct charbpe *model)
{
    text_normalizer_deinit(&model->normalizer);
    text_splitter_deinit(&model->splitter);
    token_decoder_deinit(&model->decoder);
}

struct charbpe_work *charbpe_work_open(void)
{
    struct charbpe_work *const work = memory_take(1, sizeof *work, "scratch of a tokenizer");
    work->merging = bytebpe_work_open();
    word_cache_init(&work->cache);
    return work;
}

static void release_words(struct charbpe_work *work)
{
    memory_release(work->ids);
    memory_release(work->merged);
    memory_release(work->bytes);
    work->ids = NULL;
    work->merged = NULL;
    work->bytes = NULL;
    work->id_capacity = 0;
    work->merged_capacity = 0;
    work->byte_capacity = 0;
}

void charbpe_work_close(struct charbpe_work *work)
{
    if (work != NULL) {
        bytebpe_work_close(work->merging);
        text_splitter_work_deinit(&work->splitting);
        word_cache_deinit(&work->cache);
        release_words(work);
        memory_release(work->name);
        memory_release(work->tokens);
        memory_release(work);
    }
}

void charbpe_work_reset(struct charbpe_work *work)
{
    word_cache_reset(&work->cache);
}

bool charbpe_begins_word(const struct charbpe *model, struct token_text text)
{
    if (model->suffix.size_bytes > 0) {
        return true;
    }
    if (model->prefix.size_bytes > 0) {
        return text.size_bytes < model->prefix.size_bytes ||
               memcmp(text.bytes, model->prefix.bytes, model->prefix.size_bytes) != 0;
    }
    return text.size_bytes >= sizeof space_symbol - 1 &&
           memcmp(text.bytes, space_symbol, sizeof space_symbol - 1) == 0;
}

/* A character of a word as the vocabulary has it: in the word or in the work. */
static struct token_text name_of(const struct charbpe *model, struct charbpe_work *work,
                                 struct token_text character, bool first, bool last)
{
    const struct token_text parts[] = {first ? (struct token_text){"", 0} : model->prefix,
                                       character,
                                       last ? model->suffix : (struct token_text){"", 0}};
    const size_t size_bytes = parts[0].size_bytes + parts[1].size_bytes + parts[2].size_bytes;
    if (size_bytes == character.size_bytes) {
        return character;
    }
    memory_reserve((void **)&work->name, &work->name_capacity, size_bytes, 1, "a character's name");
    size_t at = 0;
    for (int i = 0; i < ARRAY_LENGTH(parts); i++) {
        memcpy(work->name + at, parts[i].bytes, parts[i].size_bytes);
        at += parts[i].size_bytes;
    }
    return (struct token_text){work->name, size_bytes};
}

static void put(struct charbpe_work *work, size_t *count, int32_t id, size_t size_bytes)
{
    work->ids[*count] = id;
    work->bytes[(*count)++] = size_bytes;
}

/* Puts the tokens of a name's bytes, each for one byte of the word; false if one is missing. */
static bool put_bytes(const struct charbpe *model, struct charbpe_work *work, size_t *count,
                      struct token_text name)
{
    for (size_t i = 0; i < name.size_bytes; i++) {
        if (model->byte_ids[(unsigned char)name.bytes[i]] < 0) {
            return false;
        }
    }
    for (size_t i = 0; i < name.size_bytes; i++) {
        put(work, count, model->byte_ids[(unsigned char)name.bytes[i]], 1);
    }
    return true;
}

/* Room for one id a byte of every character's name. */
static void reserve_word(const struct charbpe *model, struct charbpe_work *work, size_t size_bytes)
{
    const size_t most = size_bytes * (1 + model->prefix.size_bytes) + model->suffix.size_bytes;
    memory_reserve((void **)&work->ids, &work->id_capacity, most, sizeof *work->ids,
                   "characters of a word");
    memory_reserve((void **)&work->merged, &work->merged_capacity, most, sizeof *work->merged,
                   "tokens of a word");
    memory_reserve((void **)&work->bytes, &work->byte_capacity, most, sizeof *work->bytes,
                   "characters of a word");
}

/* Ids of the word's characters with the bytes that each stands for; returns their number. An
 * unknown one waits for the next that is known, which in the reference bytes are not. */
static size_t take_characters(const struct charbpe *model, struct charbpe_work *work,
                              const char *word, size_t size_bytes)
{
    const struct bytebpe *const bpe = model->bpe;
    const bool plain = model->prefix.size_bytes == 0 && model->suffix.size_bytes == 0;
    size_t unknown_bytes = 0;
    size_t count = 0;
    reserve_word(model, work, size_bytes);
    for (size_t at = 0; at < size_bytes;) {
        uint32_t code_point = 0;
        const size_t length = utf8_decode(word + at, size_bytes - at, &code_point, NULL);
        const bool quick = plain && code_point < 128;
        const struct token_text name =
            quick ? (struct token_text){word + at, 1}
                  : name_of(model, work, (struct token_text){word + at, length}, at == 0,
                            at + length == size_bytes);
        const int32_t id =
            quick ? model->ascii_ids[code_point] : bytebpe_find(bpe, name.bytes, name.size_bytes);
        at += length;
        if (id >= 0) {
            if (unknown_bytes > 0) {
                put(work, &count, bpe->unknown, unknown_bytes);
                unknown_bytes = 0;
            }
            put(work, &count, id, length);
        } else if (!(model->byte_fallback && put_bytes(model, work, &count, name)) &&
                   bpe->unknown >= 0) {
            if (unknown_bytes > 0 && !bpe->fuse_unknown) {
                put(work, &count, bpe->unknown, unknown_bytes);
                unknown_bytes = 0;
            }
            unknown_bytes += length;
        }
    }
    if (unknown_bytes > 0) {
        put(work, &count, bpe->unknown, unknown_bytes);
    }
    return count;
}

/* The merged ids of a word, in work->merged; *characters is how many ids they were made of. */
static size_t merge_word(const struct charbpe *model, struct charbpe_work *work, const char *word,
                         size_t size_bytes, size_t *characters)
{
    const int32_t whole =
        model->bpe->ignore_merges ? bytebpe_find(model->bpe, word, size_bytes) : -1;
    if (whole >= 0) {
        reserve_word(model, work, size_bytes);
        *characters = 0;
        put(work, characters, whole, size_bytes);
    } else {
        *characters = take_characters(model, work, word, size_bytes);
    }
    memcpy(work->merged, work->ids, *characters * sizeof *work->ids);
    return bytebpe_merge(model->bpe, work->merging, work->merged, *characters);
}

static void encode_word(const struct charbpe *model, struct charbpe_work *work, const char *word,
                        size_t size_bytes, size_t readable, struct token_list *out)
{
    const bool cached = size_bytes <= CACHED_BYTES;
    struct cache_key key = {0, 0};
    struct cache_entry *entry = NULL;
    if (cached) {
        key = cache_key_of(word, size_bytes, readable);
        entry = cache_entry_of(&work->cache, key);
        if (cache_entry_holds(entry, key)) {
            memcpy(token_list_room(out, CACHED_IDS), entry->ids, sizeof entry->ids);
            out->count += (size_t)entry->count;
            return;
        }
    }
    size_t ignored = 0;
    const size_t count = merge_word(model, work, word, size_bytes, &ignored);
    memcpy(token_list_room(out, count), work->merged, count * sizeof *work->merged);
    out->count += count;
    if (cached) {
        cache_entry_put(entry, key, work->merged, count);
    }
    if (size_bytes > KEPT_BYTES) {
        release_words(work);
    }
}

void charbpe_encode(const struct charbpe *model, struct charbpe_work *work,
                    const struct normal_text *text, size_t begin, size_t end, bool opens,
                    struct token_list *out)
{
    const struct split_words *const words =
        text_split(&model->splitter, &work->splitting, text, begin, end, opens);
    for (size_t i = 0; i < words->count; i++) {
        const struct split_word word = words->items[i];
        encode_word(model, work, words->text.bytes + word.begin, word.end - word.begin,
                    words->text.size_bytes - word.begin, out);
    }
}

/* Adds a token of bytes [begin, end) of the text of words. */
static void add_token(struct charbpe_work *work, int32_t id, const struct normal_text *text,
                      size_t begin, size_t end, int64_t word)
{
    memory_reserve((void **)&work->tokens, &work->token_capacity, work->token_count + 1,
                   sizeof *work->tokens, "tokens of a text");
    work->tokens[work->token_count++] =
        (struct charbpe_token){id, text->origins[begin].begin, text->origins[end - 1].end, word};
}

/* A merged token stands for as many characters' tokens as its text is made of. */
static void place_word(const struct charbpe *model, struct charbpe_work *work,
                       const struct normal_text *text, struct split_word word, int64_t number)
{
    const struct token_text *const texts = model->bpe->vocabulary->texts;
    size_t characters = 0;
    const size_t count =
        merge_word(model, work, text->bytes + word.begin, word.end - word.begin, &characters);
    size_t at = word.begin;
    size_t next = 0;
    for (size_t i = 0; i < count && next < characters; i++) {
        const int32_t id = work->merged[i];
        size_t made_bytes = texts[work->ids[next]].size_bytes;
        size_t end = at + work->bytes[next++];
        while (next < characters && made_bytes < texts[id].size_bytes) {
            made_bytes += texts[work->ids[next]].size_bytes - model->prefix.size_bytes;
            end += work->bytes[next++];
        }
        end = end < word.end ? end : word.end;
        if (at < end) {
            add_token(work, id, text, at, end, number);
        } else { /* bytes of a suffix: nothing of the text is left */
            add_token(work, id, text, word.end - 1, word.end, number);
        }
        at = end;
    }
}

const struct charbpe_token *charbpe_encode_places(const struct charbpe *model,
                                                  struct charbpe_work *work,
                                                  const struct normal_text *text, size_t begin,
                                                  size_t end, bool opens, size_t *count,
                                                  int64_t *words)
{
    const struct split_words *const split =
        text_split(&model->splitter, &work->splitting, text, begin, end, opens);
    work->token_count = 0;
    for (size_t i = 0; i < split->count; i++) {
        place_word(model, work, &split->text, split->items[i], (int64_t)i);
    }
    *count = work->token_count;
    *words = (int64_t)split->count;
    return work->tokens;
}
