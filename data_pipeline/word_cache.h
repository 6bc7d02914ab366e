/* A cache from short words to their token ids, one thread's own. Direct-mapped: a new word takes
 * the place of the one that has its slot. Inline, because encoding spends its time here. */
#ifndef SHARDLM_DATA_PIPELINE_WORD_CACHE_H
#define SHARDLM_DATA_PIPELINE_WORD_CACHE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"

enum {
    CACHED_BYTES = 15, /* longest word; its length fills the 16th byte of the key */
    CACHED_IDS = 11,   /* longest result */
    CACHE_BITS = 15,   /* 32768 entries of 64 bytes: 2 MiB */
    CACHE_ENTRIES = 1 << CACHE_BITS,
};

#define CACHE_HASH_FACTOR 0x9e3779b97f4a7c15U /* 2^64 / golden ratio */

struct cache_key {
    uint64_t low; /* the word's bytes, zeros behind, its length in the last byte */
    uint64_t high;
};

struct cache_entry {
    struct cache_key key; /* all zero: free (a word has a length of at least one) */
    int32_t count;
    int32_t ids[CACHED_IDS];
};
static_assert(sizeof(struct cache_entry) == 64, "one cache line");

struct word_cache {
    struct cache_entry *entries;
};

static inline void word_cache_init(struct word_cache *cache)
{
    cache->entries = memory_take(CACHE_ENTRIES, sizeof *cache->entries, "word cache");
}

static inline void word_cache_deinit(struct word_cache *cache)
{
    memory_release(cache->entries);
    cache->entries = NULL;
}

/* Before use with another model. */
static inline void word_cache_reset(struct word_cache *cache)
{
    memset(cache->entries, 0, CACHE_ENTRIES * sizeof *cache->entries);
}

/* Key of a word of 1 to CACHED_BYTES bytes; `readable` bytes may be read from `word`. Loads in
 * native byte order: keys never leave the process. */
static inline struct cache_key cache_key_of(const char *word, size_t size_bytes, size_t readable)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (readable >=
        sizeof(struct cache_key)) { /* two loads and a mask instead of a copy by bytes */
        struct cache_key fast;
        memcpy(&fast, word, sizeof fast);
        if (size_bytes < 8) {
            fast.low &= ~(UINT64_MAX << (8 * size_bytes));
            fast.high = 0;
        } else {
            fast.high &= ~(UINT64_MAX << (8 * (size_bytes - 8)));
        }
        fast.high |= (uint64_t)size_bytes << (8 * (CACHED_BYTES - 8));
        return fast;
    }
#endif
    unsigned char bytes[16] = {0};
    memcpy(bytes, word, size_bytes);
    bytes[CACHED_BYTES] = (unsigned char)size_bytes;
    struct cache_key key;
    memcpy(&key, bytes, sizeof key);
    return key;
}

static inline struct cache_entry *cache_entry_of(const struct word_cache *cache,
                                                 struct cache_key key)
{
    const uint64_t mixed = (key.low ^ (key.high * CACHE_HASH_FACTOR)) * CACHE_HASH_FACTOR;
    return &cache->entries[mixed >> (64 - CACHE_BITS)];
}

static inline bool cache_entry_holds(const struct cache_entry *entry, struct cache_key key)
{
    return entry->key.low == key.low && entry->key.high == key.high;
}

/* Does nothing for results that are too long. */
static inline void cache_entry_put(struct cache_entry *entry, struct cache_key key,
                                   const int32_t *ids, size_t count)
{
    if (count <= CACHED_IDS) {
        entry->key = key;
        entry->count = (int32_t)count;
        memcpy(entry->ids, ids, count * sizeof *ids);
    }
}

#endif
