/* Encoding. Words of ASCII letters and digits between ASCII blanks and signs, which is most of most
 * text, go to the word cache as they stand; all else up to the next blank is normalised first. Both
 * may share the cache: normal words of ASCII are their own normal form. */
#include "data_pipeline/tokenizer_wordpiece.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/word_cache.h"

/* What a byte is, before normalising. */
enum byte_kind {
    BYTE_KIND_OTHER, /* control characters; parts of characters beyond ASCII */
    BYTE_KIND_WORD,
    BYTE_KIND_SPACE, /* ends a word whatever the settings */
    BYTE_KIND_SIGN,  /* ASCII punctuation: a word by itself */
};

struct wordpiece_work {
    struct word_cache cache;
    struct normal_text normal;
    unsigned char kinds[256]; /* enum byte_kind */
};

static enum byte_kind kind_of(int byte)
{
    if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') {
        return BYTE_KIND_SPACE;
    }
    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
        (byte >= 'a' && byte <= 'z')) {
        return BYTE_KIND_WORD;
    }
    return byte > ' ' && byte < 0x7f ? BYTE_KIND_SIGN : BYTE_KIND_OTHER;
}

struct wordpiece_work *wordpiece_work_open(void)
{
    struct wordpiece_work *const work = memory_take(1, sizeof *work, "scratch of a tokenizer");
    word_cache_init(&work->cache);
    for (int byte = 0; byte < 256; byte++) {
        work->kinds[byte] = (unsigned char)kind_of(byte);
    }
    return work;
}

void wordpiece_work_close(struct wordpiece_work *work)
{
    if (work == NULL) {
        return;
    }
    word_cache_deinit(&work->cache);
    normal_text_deinit(&work->normal);
    memory_release(work);
}

void wordpiece_work_reset(struct wordpiece_work *work)
{
    word_cache_reset(&work->cache);
}

void wordpiece_seal(struct wordpiece *model, const struct token_text *texts, const uint8_t *flags,
                    size_t count)
{
    piece_trie_init(&model->trie, texts, flags, TOKEN_FLAG_IN_MODEL, count);
    model->inner_node = TRIE_ROOT;
    for (size_t i = 0; i < model->prefix_bytes && model->inner_node != TRIE_NONE; i++) {
        model->inner_node =
            piece_trie_step(&model->trie, model->inner_node, (unsigned char)model->prefix[i]);
    }
}

void wordpiece_deinit(struct wordpiece *model)
{
    piece_trie_deinit(&model->trie);
    *model = (struct wordpiece){0};
}

static int64_t character_count(const char *word, size_t size_bytes)
{
    int64_t count = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        count += ((unsigned char)word[i] & 0xc0) != 0x80;
    }
    return count;
}

/* The longest piece that `text` begins with, walking from `node`; returns its bytes, 0 for none. */
static size_t longest_piece(const struct piece_trie *trie, uint32_t node, const char *text,
                            size_t size_bytes, int32_t *id)
{
    size_t longest = 0;
    for (size_t i = 0; i < size_bytes && node != TRIE_NONE;) {
        node = piece_trie_step(trie, node, (unsigned char)text[i++]);
        if (node != TRIE_NONE && trie->cells[node].id >= 0) {
            longest = i;
            *id = trie->cells[node].id;
        }
    }
    return longest;
}

/* Writes the ids of a word to `ids` (room for size_bytes); returns their number. */
static size_t cover_word(const struct wordpiece *model, const char *word, size_t size_bytes,
                         int32_t *ids)
{
    size_t count = 0;
    size_t at = 0;
    if (character_count(word, size_bytes) <= model->characters_max) {
        while (at < size_bytes) {
            const uint32_t node = at == 0 ? TRIE_ROOT : model->inner_node;
            const size_t length =
                longest_piece(&model->trie, node, word + at, size_bytes - at, &ids[count]);
            if (length == 0) {
                break;
            }
            count++;
            at += length;
        }
    }
    if (at < size_bytes) {
        ids[0] = model->unknown;
        return 1;
    }
    return count;
}

/* A word of ASCII letters and digits that may have capitals. */
static size_t cover_raw_word(const struct wordpiece *model, const char *word, size_t size_bytes,
                             int32_t *ids)
{
    char small[CACHED_BYTES];
    for (size_t i = 0; i < size_bytes; i++) {
        const bool capital = word[i] >= 'A' && word[i] <= 'Z' && model->normalizer.lowercase;
        small[i] = capital ? (char)(word[i] - 'A' + 'a') : word[i];
    }
    return cover_word(model, small, size_bytes, ids);
}

/* `readable` bytes may be read from `word`, whose length is at most CACHED_BYTES. */
static inline void encode_short(const struct wordpiece *model, struct wordpiece_work *work,
                                const char *word, size_t size_bytes, size_t readable, bool raw,
                                struct token_list *out)
{
    int32_t *const ids = token_list_room(out, CACHED_BYTES);
    const struct cache_key key = cache_key_of(word, size_bytes, readable);
    struct cache_entry *const entry = cache_entry_of(&work->cache, key);
    if (cache_entry_holds(entry, key)) {
        memcpy(ids, entry->ids, sizeof entry->ids); /* all of them: cheaper than counting */
        out->count += (size_t)entry->count;
        return;
    }
    const size_t count = raw ? cover_raw_word(model, word, size_bytes, ids)
                             : cover_word(model, word, size_bytes, ids);
    cache_entry_put(entry, key, ids, count);
    out->count += count;
}

void wordpiece_encode_word(const struct wordpiece *model, struct wordpiece_work *work,
                           const char *word, size_t size_bytes, struct token_list *out)
{
    if (size_bytes > 0 && size_bytes <= CACHED_BYTES) {
        encode_short(model, work, word, size_bytes, size_bytes, false, out);
    } else if (size_bytes > 0) {
        out->count += cover_word(model, word, size_bytes, token_list_room(out, size_bytes));
    }
}

void wordpiece_encode_normal(const struct wordpiece *model, struct wordpiece_work *work,
                             const char *text, size_t size_bytes, struct token_list *out)
{
    size_t begin = 0;
    size_t end = 0;
    while (bert_next_word(text, size_bytes, &begin, &end)) {
        wordpiece_encode_word(model, work, text + begin, end - begin, out);
        begin = end;
    }
}

/* Any text: by way of its normal form. */
static void encode_slow(const struct wordpiece *model, struct wordpiece_work *work,
                        const char *text, size_t size_bytes, struct token_list *out)
{
    work->normal.size_bytes = 0;
    bert_normalize(&model->normalizer, text, size_bytes, 0, &work->normal);
    wordpiece_encode_normal(model, work, work->normal.bytes, work->normal.size_bytes, out);
}

/* End of the run of `kind` that begins at `at`. */
static inline size_t run_end(const struct wordpiece_work *work, const char *text, size_t size_bytes,
                             size_t at, enum byte_kind kind)
{
    while (at < size_bytes && work->kinds[(unsigned char)text[at]] == kind) {
        at++;
    }
    return at;
}

void wordpiece_encode(const struct wordpiece *model, struct wordpiece_work *work, const char *text,
                      size_t size_bytes, struct token_list *out)
{
    for (size_t at = 0; at < size_bytes;) {
        const enum byte_kind kind = (enum byte_kind)work->kinds[(unsigned char)text[at]];
        if (kind == BYTE_KIND_SPACE) {
            at++;
            continue;
        }
        if (kind == BYTE_KIND_SIGN) {
            encode_short(model, work, text + at, 1, size_bytes - at, true, out);
            at++;
            continue;
        }
        size_t end = run_end(work, text, size_bytes, at, BYTE_KIND_WORD);
        const bool plain =
            end == size_bytes || work->kinds[(unsigned char)text[end]] != BYTE_KIND_OTHER;
        if (plain && end - at <= CACHED_BYTES) {
            encode_short(model, work, text + at, end - at, size_bytes - at, true, out);
            at = end;
            continue;
        }
        while (end < size_bytes && (work->kinds[(unsigned char)text[end]] == BYTE_KIND_OTHER ||
                                    work->kinds[(unsigned char)text[end]] == BYTE_KIND_WORD)) {
            end++;
        }
        encode_slow(model, work, text + at, end - at, out);
        at = end;
    }
}
