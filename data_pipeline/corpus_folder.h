/* A corpus folder: corpus.json (the manifest, written last: without it there is no corpus), corpus-NNNNN.h5 (the
 * shards) and tokenizer/ (the tokenizer's files). Documents are numbered through all shards from 0.
 * Immutable after open: any thread may read. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_FOLDER_H
#define SHARDLM_DATA_PIPELINE_CORPUS_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "data_pipeline/corpus_shard.h"

enum {
    CORPUS_SHARDS_MAX = 100000,
    CORPUS_MANIFEST_VERSION = 1,
    CORPUS_MANIFEST_BYTES_MAX = 256 << 20,
};

struct corpus {
    char folder[PATH_BYTES];
    char tokenizer[PATH_BYTES]; /* folder of the tokenizer's files */
    struct corpus_facts facts;
    struct corpus_shard *shards; /* (shard_count) */
    int64_t *first_documents;    /* (shard_count + 1) number of each shard's first document */
    int64_t shard_count;
    int64_t shards_left_out; /* damaged ones, with skip_bad_shards */
    int64_t document_count;
    int64_t token_count;
    struct digest fingerprint; /* of tokenizer fingerprint and datasets of all shards in use, in order; not of the
                                  lines, which follow from text and tokenizer */
};

/* Opens and checks everything (see corpus_shard_open). With `skip_bad_shards` a damaged or missing shard is logged
 * and left out; a corpus without any good shard is refused. Not while another thread is inside HDF5. */
MUST_CHECK enum status corpus_open(struct corpus **corpus, const char *folder, bool skip_bad_shards,
                                   struct error *error);
/* The same when every shard was checked a moment ago, see corpus_check. */
MUST_CHECK enum status corpus_open_checked(struct corpus **corpus, const char *folder,
                                           struct error *error);
void corpus_close(struct corpus *corpus); /* accepts NULL */

/* Checks every `stride`-th shard from `first` on: processes that read the same files share the work. */
MUST_CHECK enum status corpus_check(const char *folder, int64_t first, int64_t stride,
                                    struct error *error);

int64_t corpus_document_tokens(const struct corpus *corpus, int64_t document);
uint64_t corpus_document_hash(const struct corpus *corpus, int64_t document);
/* Copies tokens [begin, begin + count) of a document. */
void corpus_document_copy(const struct corpus *corpus, int64_t document, int64_t begin,
                          int64_t count, int32_t *ids);

/* Does every shard know where its documents' lines begin? */
bool corpus_has_lines(const struct corpus *corpus);
/* Number of a document's lines (>= 1) and the first token of each: (*lines)[i] - *first_token, counted within the
 * document. Only if corpus_has_lines. */
int64_t corpus_document_lines(const struct corpus *corpus, int64_t document, const int64_t **lines,
                              int64_t *first_token);
/* How often each id stands in the corpus, all documents together; `counts` has a place for each id. */
void corpus_count_tokens(const struct corpus *corpus, int64_t *counts);

/* Is a document with this hash kept from training? Depends on its content only, on no other document and no seed. */
bool corpus_is_held_out(uint64_t document_hash, double held_out);

/* What `corpus show` tells. */
struct corpus_summary {
    int64_t shards;
    int64_t documents;
    int64_t tokens;
    int64_t held_out_documents;
    int64_t held_out_tokens;
    int64_t repeated_documents; /* their text occurs before in the corpus */
};
void corpus_summarise(const struct corpus *corpus, double held_out, struct corpus_summary *summary);

/* Writes folder/corpus.json. `sources` and `options` are recorded as they are (borrowed). */
MUST_CHECK enum status corpus_manifest_write(const char *folder, const struct corpus_facts *facts,
                                             const struct corpus_shard_entry *entries,
                                             int64_t entry_count, json_t *sources, json_t *options,
                                             struct error *error);

#endif
