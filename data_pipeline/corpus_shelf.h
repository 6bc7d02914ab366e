/* Collects encoded documents and writes a corpus shard whenever one is full. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_SHELF_H
#define SHARDLM_DATA_PIPELINE_CORPUS_SHELF_H

#include "data_pipeline/corpus_shard.h"

struct corpus_shelf {
    const char *folder; /* borrowed until deinit */
    struct corpus_facts facts;
    int64_t shard_tokens; /* a document that does not fit begins the next shard */
    void *tokens;         /* uint16_t or uint32_t */
    size_t tokens_capacity;
    int64_t token_count;
    int64_t *offsets;
    size_t offsets_capacity;
    uint64_t *hashes;
    size_t hashes_capacity;
    int64_t document_count;
    int64_t *lines;
    size_t lines_capacity;
    int64_t line_count;
    struct corpus_shard_entry *entries; /* (entry_count) of the shards written */
    size_t entries_capacity;
    int64_t entry_count;
};

/* An encoded document, the caller's. */
struct corpus_shelf_document {
    const int32_t *ids; /* (count) below the vocabulary; count >= 1 */
    int64_t count;
    const int64_t *lines; /* (line_count) first token of each line, from first_token on */
    int64_t line_count;
    int64_t first_token; /* the number that `lines` has for ids[0] */
    uint64_t hash;
};

void corpus_shelf_init(struct corpus_shelf *shelf, const char *folder,
                       const struct corpus_facts *facts, int64_t shard_tokens);
void corpus_shelf_deinit(struct corpus_shelf *shelf); /* accepts a zeroed shelf */
MUST_CHECK enum status corpus_shelf_add(struct corpus_shelf *shelf,
                                        const struct corpus_shelf_document *document,
                                        struct error *error);
/* Writes what is left. */
MUST_CHECK enum status corpus_shelf_finish(struct corpus_shelf *shelf, struct error *error);

#endif
