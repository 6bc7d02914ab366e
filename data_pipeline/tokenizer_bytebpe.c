/* Merging. Most words come from a cache of short words; other short ones are merged by linear
 * scans, words longer than SHORT_BYTES with a heap: O(n log n), so that a run of a million signs
 * costs no more than its length. */
#include "data_pipeline/tokenizer_bytebpe.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/byte_symbols.h"
#include "data_pipeline/candidate_heap.h"
#include "data_pipeline/gpt2_split.h"
#include "data_pipeline/word_cache.h"

enum {
    SHORT_BYTES = 64,       /* longest word merged by linear scans */
    KEPT_SYMBOLS = 1 << 16, /* scratch for longer words is given back */
};

#define NO_RANK     UINT32_MAX
#define NO_PAIR     UINT64_MAX
#define HASH_FACTOR 0x9e3779b97f4a7c15U /* 2^64 / golden ratio */

struct bpe_slot {
    uint64_t pair; /* left id << 32 | right id, or NO_PAIR */
    uint32_t rank;
    int32_t result;
};

/* A token of a long word: a list, so that merging moves nothing. */
struct symbol {
    int32_t id; /* -1: merged into the one before */
    uint32_t previous;
    uint32_t next; /* symbol count: none */
};

struct bytebpe_work {
    struct word_cache cache;
    struct symbol *symbols;
    size_t symbol_capacity;
    struct candidate_heap heap;
    char *text;
    size_t text_capacity;
};

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The slot of `pair`, or the free one where it belongs. */
static struct bpe_slot *slot_of(const struct bytebpe *bpe, uint64_t pair)
{
    const size_t mask = (SIZE_MAX >> bpe->slot_shift);
    size_t slot = (size_t)((pair * HASH_FACTOR) >> bpe->slot_shift);
    while (bpe->slots[slot].pair != pair && bpe->slots[slot].pair != NO_PAIR) {
        slot = (slot + 1) & mask;
    }
    return &bpe->slots[slot];
}

static uint32_t rank_of(const struct bytebpe *bpe, int32_t left, int32_t right, int32_t *result)
{
    const struct bpe_slot *const slot = slot_of(bpe, pair_of(left, right));
    *result = slot->result;
    return slot->rank;
}

int32_t bytebpe_find(const struct bytebpe *bpe, const char *text, size_t size_bytes)
{
    const int32_t id = token_table_find(bpe->vocabulary, text, size_bytes);
    return id >= 0 && (bpe->flags[id] & TOKEN_FLAG_IN_MODEL) != 0 ? id : -1;
}

bool bytebpe_seal(struct bytebpe *bpe, const struct token_table *vocabulary, const uint8_t *flags,
                  size_t *rank)
{
    bpe->vocabulary = vocabulary;
    bpe->flags = flags;
    for (int byte = 0; byte < 256; byte++) {
        char symbol[BYTE_SYMBOL_BYTES];
        const char text = (char)byte;
        bpe->byte_ids[byte] = bytebpe_find(bpe, symbol, byte_symbols_write(&text, 1, symbol));
    }
    unsigned bits = 4;
    while (((size_t)1 << bits) < bpe->merge_count * 2) {
        bits++;
    }
    bpe->slot_shift = 64 - bits;
    bpe->slots = memory_take((size_t)1 << bits, sizeof *bpe->slots, "merges of a tokenizer");
    for (size_t i = 0; i < (size_t)1 << bits; i++) {
        bpe->slots[i] = (struct bpe_slot){NO_PAIR, NO_RANK, -1};
    }
    for (size_t i = 0; i < bpe->merge_count; i++) {
        const uint64_t pair = pair_of(bpe->merges[i].left, bpe->merges[i].right);
        struct bpe_slot *const slot = slot_of(bpe, pair);
        if (slot->pair == pair) {
            *rank = i;
            return false;
        }
        *slot = (struct bpe_slot){pair, (uint32_t)i, bpe->merges[i].result};
    }
    return true;
}

void bytebpe_deinit(struct bytebpe *bpe)
{
    memory_release(bpe->merges);
    memory_release(bpe->slots);
    *bpe = (struct bytebpe){0};
}

struct bytebpe_work *bytebpe_work_open(void)
{
    struct bytebpe_work *const work = memory_take(1, sizeof *work, "scratch of a tokenizer");
    word_cache_init(&work->cache);
    return work;
}

static void heap_release(struct bytebpe_work *work)
{
    memory_release(work->symbols);
    work->symbols = NULL;
    work->symbol_capacity = 0;
    candidate_heap_deinit(&work->heap);
}

void bytebpe_work_close(struct bytebpe_work *work)
{
    if (work == NULL) {
        return;
    }
    word_cache_deinit(&work->cache);
    heap_release(work);
    memory_release(work->text);
    memory_release(work);
}

void bytebpe_work_reset(struct bytebpe_work *work)
{
    word_cache_reset(&work->cache);
}

/* Ids of the word's bytes; returns their number. Bytes without symbol become `unknown` or nothing.
 */
static size_t byte_ids_of(const struct bytebpe *bpe, const char *word, size_t size_bytes,
                          int32_t *ids)
{
    size_t count = 0;
    bool after_unknown = false;
    for (size_t i = 0; i < size_bytes; i++) {
        const int32_t id = bpe->byte_ids[(unsigned char)word[i]];
        if (id >= 0) {
            ids[count++] = id;
        } else if (bpe->unknown >= 0 && !(after_unknown && bpe->fuse_unknown)) {
            ids[count++] = bpe->unknown;
        }
        after_unknown = id < 0;
    }
    return count;
}

/* Merges up to SHORT_BYTES ids in place; returns how many are left. */
static size_t merge_short(const struct bytebpe *bpe, int32_t *ids, size_t count)
{
    uint32_t ranks[SHORT_BYTES]; /* of the pair that begins here */
    int32_t results[SHORT_BYTES];
    for (size_t i = 0; i + 1 < count; i++) {
        ranks[i] = rank_of(bpe, ids[i], ids[i + 1], &results[i]);
    }
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++) {
            best = ranks[i] < ranks[best] ? i : best;
        }
        if (ranks[best] == NO_RANK) {
            break;
        }
        ids[best] = results[best];
        count--;
        for (size_t i = best + 1; i < count; i++) {
            ids[i] = ids[i + 1];
            ranks[i] = ranks[i + 1];
            results[i] = results[i + 1];
        }
        if (best > 0) {
            ranks[best - 1] = rank_of(bpe, ids[best - 1], ids[best], &results[best - 1]);
        }
        if (best + 1 < count) {
            ranks[best] = rank_of(bpe, ids[best], ids[best + 1], &results[best]);
        }
    }
    return count;
}

/* The candidate that begins at `place`, or NO_CANDIDATE if there is no merge for it. */
static uint64_t candidate_at(const struct bytebpe *bpe, const struct symbol *symbols,
                             uint32_t place, uint32_t symbol_count)
{
    const uint32_t next = symbols[place].next;
    if (next == symbol_count) {
        return NO_CANDIDATE;
    }
    int32_t result = -1;
    const uint32_t rank = rank_of(bpe, symbols[place].id, symbols[next].id, &result);
    return rank == NO_RANK ? NO_CANDIDATE : candidate_make(rank, place);
}

/* One long word as a list of symbols, and all its candidates as a heap. */
static void heap_start(const struct bytebpe *bpe, struct bytebpe_work *work, const int32_t *ids,
                       uint32_t count)
{
    memory_reserve((void **)&work->symbols, &work->symbol_capacity, count, sizeof *work->symbols,
                   "tokens of a long word");
    for (uint32_t i = 0; i < count; i++) {
        work->symbols[i] = (struct symbol){ids[i], i - 1, i + 1};
    }
    work->heap.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        candidate_heap_append(&work->heap, candidate_at(bpe, work->symbols, i, count));
    }
    candidate_heap_order(&work->heap);
}

/* Merges `count` ids in place with a heap; returns how many are left. */
static size_t merge_long(const struct bytebpe *bpe, struct bytebpe_work *work, int32_t *ids,
                         size_t id_count)
{
    INVARIANT(id_count < UINT32_MAX);
    const uint32_t count = (uint32_t)id_count;
    heap_start(bpe, work, ids, count);
    struct symbol *const symbols = work->symbols;
    while (work->heap.count > 0) {
        const uint64_t best = candidate_heap_take(&work->heap);
        const uint32_t place = (uint32_t)best;
        struct symbol *const left = &symbols[place];
        if (left->id < 0 || left->next == count) {
            continue;
        }
        struct symbol *const right = &symbols[left->next];
        int32_t result = -1;
        if (rank_of(bpe, left->id, right->id, &result) != best >> 32) {
            continue; /* one of the two has been merged since */
        }
        left->id = result;
        right->id = -1;
        left->next = right->next;
        if (left->next != count) {
            symbols[left->next].previous = place;
        }
        candidate_heap_add(&work->heap, candidate_at(bpe, symbols, place, count));
        if (place > 0) {
            candidate_heap_add(&work->heap, candidate_at(bpe, symbols, left->previous, count));
        }
    }
    size_t left_over = 0;
    for (uint32_t i = 0; i < count; i = symbols[i].next) {
        ids[left_over++] = symbols[i].id;
    }
    if (count > KEPT_SYMBOLS) {
        heap_release(work);
    }
    return left_over;
}

size_t bytebpe_merge(const struct bytebpe *bpe, struct bytebpe_work *work, int32_t *ids,
                     size_t count)
{
    return count <= SHORT_BYTES ? merge_short(bpe, ids, count) : merge_long(bpe, work, ids, count);
}

/* The id of the whole word where the model takes known words whole, or -1. */
static int32_t whole_word(const struct bytebpe *bpe, const char *word, size_t size_bytes)
{
    if (!bpe->ignore_merges) {
        return -1;
    }
    char symbols[SHORT_BYTES * BYTE_SYMBOL_BYTES];
    char *text = symbols;
    if (size_bytes > SHORT_BYTES) {
        text = memory_take(size_bytes, BYTE_SYMBOL_BYTES, "symbols of a long word");
    }
    const size_t length = byte_symbols_write(word, size_bytes, text);
    const int32_t id = bytebpe_find(bpe, text, length);
    if (text != symbols) {
        memory_release(text);
    }
    return id;
}

/* Writes the ids of a word to `ids` (room for size_bytes); returns their number. */
static size_t merge_word(const struct bytebpe *bpe, struct bytebpe_work *work, const char *word,
                         size_t size_bytes, int32_t *ids)
{
    const int32_t whole = whole_word(bpe, word, size_bytes);
    if (whole >= 0) {
        ids[0] = whole;
        return 1;
    }
    return bytebpe_merge(bpe, work, ids, byte_ids_of(bpe, word, size_bytes, ids));
}

static inline void encode_word(const struct bytebpe *bpe, struct bytebpe_work *work,
                               const char *word, size_t size_bytes, size_t readable,
                               struct token_list *out)
{
    int32_t *const ids =
        token_list_room(out, size_bytes > CACHED_BYTES ? size_bytes : CACHED_BYTES);
    if (size_bytes > CACHED_BYTES) {
        out->count += merge_word(bpe, work, word, size_bytes, ids);
        return;
    }
    const struct cache_key key = cache_key_of(word, size_bytes, readable);
    struct cache_entry *const entry = cache_entry_of(&work->cache, key);
    if (cache_entry_holds(entry, key)) {
        memcpy(ids, entry->ids, sizeof entry->ids); /* all of them: cheaper than counting */
        out->count += (size_t)entry->count;
        return;
    }
    const size_t count = merge_word(bpe, work, word, size_bytes, ids);
    cache_entry_put(entry, key, ids, count);
    out->count += count;
}

void bytebpe_encode_word(const struct bytebpe *bpe, struct bytebpe_work *work, const char *word,
                         size_t size_bytes, struct token_list *out)
{
    encode_word(bpe, work, word, size_bytes, size_bytes, out);
}

const char *bytebpe_prefixed(const struct bytebpe *bpe, struct bytebpe_work *work, const char *text,
                             size_t *size_bytes)
{
    if (!bpe->add_prefix_space || text[0] == ' ') {
        return text;
    }
    memory_reserve((void **)&work->text, &work->text_capacity, *size_bytes + 1, 1, "prefixed text");
    work->text[0] = ' ';
    memcpy(work->text + 1, text, *size_bytes);
    *size_bytes += 1;
    return work->text;
}

void bytebpe_encode(const struct bytebpe *bpe, struct bytebpe_work *work, const char *text,
                    size_t size_bytes, struct token_list *out)
{
    if (size_bytes == 0) {
        return;
    }
    text = bytebpe_prefixed(bpe, work, text, &size_bytes);
    if (!bpe->use_pattern) {
        bytebpe_encode_word(bpe, work, text, size_bytes, out);
        return;
    }
    for (size_t at = 0; at < size_bytes;) {
        const size_t end = gpt2_split_next(text, size_bytes, at);
        encode_word(bpe, work, text + at, end - at, size_bytes - at, out);
        at = end;
    }
}
