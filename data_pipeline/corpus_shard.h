/* One corpus shard: an HDF5 file of token ids, read by memory map. Version 1 of the format:
 *     /tokens            (token_count)        uint16 if the vocabulary has at most 65,536 ids, else uint32; documents
 *                                             one after another, without separators
 *     /document_offsets  (document_count + 1) int64, first token of each document; the last is token_count
 *     /document_hash     (document_count)     uint64, XXH3-64 of the document's text: held-out choice, duplicates
 *     /line_offsets      (line_count)         int64, first token of each line of each document; not in all shards
 * all contiguous and little-endian; attributes of / : format, version, vocabulary, tokenizer_fingerprint,
 * special_ids (bos pad eos unk mask; -1 for none), token_count, document_count and the XXH3-128 digests
 * tokens_digest, document_offsets_digest, document_hash_digest; where there are lines, line_count and
 * line_offsets_digest too. Corpora made before there were lines stay good for all that needs none.
 * The manifest holds size and digest of the whole file; HDF5 sees a file only after they agree. After open no HDF5 call
 * is made: any thread may read. HDF5 itself is used by one thread at a time (open and write are not thread-safe). */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_SHARD_H
#define SHARDLM_DATA_PIPELINE_CORPUS_SHARD_H

#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data_pipeline/tokenizer.h"

enum {
    CORPUS_SHARD_VERSION = 1,
    CORPUS_SHARD_NAME_BYTES = 32,
    CORPUS_SHARD_NARROW_IDS = 65536, /* largest vocabulary whose ids take 16 bits */
};

/* What is the same in all shards of a corpus. */
struct corpus_facts {
    int64_t vocabulary;
    struct digest tokenizer; /* fingerprint */
    struct tokenizer_specials specials;
};

enum corpus_dataset {
    CORPUS_DATASET_TOKENS,
    CORPUS_DATASET_OFFSETS,
    CORPUS_DATASET_HASHES,
    CORPUS_DATASET_LINES, /* absent if line_count is 0 */
    CORPUS_DATASET_COUNT,
};

/* Where a dataset lies in its file, and the digest of its bytes. */
struct corpus_region {
    int64_t offset_bytes;
    int64_t size_bytes;
    struct digest digest;
};

/* What the manifest knows about a shard. */
struct corpus_shard_entry {
    char name[CORPUS_SHARD_NAME_BYTES];
    int64_t token_count;
    int64_t document_count;
    int64_t line_count; /* 0: the shard knows no lines */
    int64_t size_bytes;
    struct digest digest; /* of the whole file */
    struct corpus_region regions[CORPUS_DATASET_COUNT];
};

struct corpus_shard_content {
    const void *tokens; /* (token_count) uint16_t or uint32_t, as the vocabulary demands */
    int64_t token_count;
    const int64_t *offsets; /* (document_count + 1) */
    const uint64_t *hashes; /* (document_count) */
    int64_t document_count;
    const int64_t *lines; /* (line_count) rising; each document's first token is one */
    int64_t line_count;   /* may be 0 */
};

struct corpus_shard {
    struct file_map map;
    const uint16_t *narrow; /* (token_count), or NULL */
    const uint32_t *wide;   /* (token_count), or NULL */
    const int64_t *offsets; /* (document_count + 1) */
    const uint64_t *hashes; /* (document_count) */
    const int64_t *lines;   /* (line_count), or NULL */
    int64_t token_count;
    int64_t document_count;
    int64_t line_count;
};

const char *corpus_dataset_name(enum corpus_dataset dataset);
size_t corpus_token_bytes(int64_t vocabulary); /* 2 or 4 */

/* Writes folder/entry->name (set by the caller) durably and fills the rest of `entry`. Same content, same bytes. */
MUST_CHECK enum status corpus_shard_write(const char *folder, const struct corpus_facts *facts,
                                          const struct corpus_shard_content *content,
                                          struct corpus_shard_entry *entry, struct error *error);
/* Maps folder/entry->name read-only. STATUS_FORMAT names file and place unless size, digests, layout, attributes,
 * offsets and ids are what `entry` and `facts` demand. Reads the whole file once. */
MUST_CHECK enum status corpus_shard_open(struct corpus_shard *shard, const char *folder,
                                         const struct corpus_facts *facts,
                                         const struct corpus_shard_entry *entry,
                                         struct error *error);
/* The same for one that was opened a moment ago, by another process perhaps, and was good: only its size and regions
 * are looked at. */
MUST_CHECK enum status corpus_shard_map(struct corpus_shard *shard, const char *folder,
                                        const struct corpus_facts *facts,
                                        const struct corpus_shard_entry *entry,
                                        struct error *error);
void corpus_shard_close(struct corpus_shard *shard); /* accepts a zeroed shard */

#endif
