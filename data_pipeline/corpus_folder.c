/* See corpus_folder.h. */
#include "data_pipeline/corpus_folder.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/corpus_manifest.h"

/* How shards are opened. */
enum shard_trust {
    SHARD_TRUST_NONE, /* a bad one is refused */
    SHARD_TRUST_SKIP, /* a bad one is left out */
    SHARD_TRUST_FULL, /* there is no bad one */
};

static enum status corpus_open_shards(struct corpus *corpus, const struct corpus_manifest *manifest,
                                      enum shard_trust trust, struct error *error)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    digest_stream_add(&stream, &corpus->facts.tokenizer, sizeof corpus->facts.tokenizer);
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < manifest->entry_count; i++) {
        const struct corpus_shard_entry *const entry = &manifest->entries[i];
        struct corpus_shard *const shard = &corpus->shards[corpus->shard_count];
        struct error reason;
        status = trust == SHARD_TRUST_FULL
                     ? corpus_shard_map(shard, corpus->folder, &corpus->facts, entry, &reason)
                     : corpus_shard_open(shard, corpus->folder, &corpus->facts, entry, &reason);
        if (status != STATUS_OK && trust == SHARD_TRUST_SKIP) {
            log_line(LOG_LEVEL_WARN, "corpus shard left out shard=%s reason=\"%s\"", entry->name,
                     reason.message);
            corpus->shards_left_out++;
            status = STATUS_OK;
            continue;
        }
        if (status != STATUS_OK) {
            (void)error_set(error, status, "%s", reason.message);
            break;
        }
        for (enum corpus_dataset j = 0; j < CORPUS_DATASET_LINES; j++) {
            digest_stream_add(&stream, &entry->regions[j].digest, sizeof entry->regions[j].digest);
        }
        corpus->document_count += shard->document_count;
        corpus->token_count += shard->token_count;
        corpus->shard_count++;
        corpus->first_documents[corpus->shard_count] = corpus->document_count;
    }
    corpus->fingerprint = digest_stream_value(&stream);
    digest_stream_deinit(&stream);
    TRY(status);
    if (corpus->shard_count == 0) {
        FAIL(error, STATUS_FORMAT, "corpus \"%s\" has no undamaged shard", corpus->folder);
    }
    return STATUS_OK;
}

static enum status folder_open(struct corpus **corpus, const char *folder, enum shard_trust trust,
                               struct error *error)
{
    struct corpus_manifest manifest;
    TRY(corpus_manifest_read(&manifest, folder, error));
    struct corpus *const made = memory_take(1, sizeof *made, "corpus");
    const size_t count = (size_t)manifest.entry_count;
    made->facts = manifest.facts;
    made->shards = memory_take(count, sizeof *made->shards, "corpus");
    made->first_documents = memory_take(count + 1, sizeof *made->first_documents, "corpus");
    memcpy(made->folder, folder, strlen(folder) + 1); /* fits: the manifest's path did */
    enum status status = path_join(made->tokenizer, folder, "tokenizer", error);
    if (status == STATUS_OK) {
        status = corpus_open_shards(made, &manifest, trust, error);
    }
    corpus_manifest_deinit(&manifest);
    if (status != STATUS_OK) {
        corpus_close(made);
        return status;
    }
    *corpus = made;
    return STATUS_OK;
}

enum status corpus_open(struct corpus **corpus, const char *folder, bool skip_bad_shards,
                        struct error *error)
{
    return folder_open(corpus, folder, skip_bad_shards ? SHARD_TRUST_SKIP : SHARD_TRUST_NONE,
                       error);
}

enum status corpus_open_checked(struct corpus **corpus, const char *folder, struct error *error)
{
    return folder_open(corpus, folder, SHARD_TRUST_FULL, error);
}

enum status corpus_check(const char *folder, int64_t first, int64_t stride, struct error *error)
{
    struct corpus_manifest manifest;
    TRY(corpus_manifest_read(&manifest, folder, error));
    enum status status = STATUS_OK;
    for (int64_t i = first; i < manifest.entry_count && status == STATUS_OK; i += stride) {
        struct corpus_shard shard;
        status = corpus_shard_open(&shard, folder, &manifest.facts, &manifest.entries[i], error);
        corpus_shard_close(&shard);
    }
    corpus_manifest_deinit(&manifest);
    return status;
}

void corpus_close(struct corpus *corpus)
{
    if (corpus == NULL) {
        return;
    }
    for (int64_t i = 0; i < corpus->shard_count; i++) {
        corpus_shard_close(&corpus->shards[i]);
    }
    memory_release(corpus->first_documents);
    memory_release(corpus->shards);
    memory_release(corpus);
}

/* The shard that holds `document`, which becomes the number within the shard. */
static const struct corpus_shard *corpus_locate(const struct corpus *corpus, int64_t *document)
{
    INVARIANT(*document >= 0 && *document < corpus->document_count);
    int64_t low = 0;
    int64_t high = corpus->shard_count;
    while (high - low > 1) { /* first_documents[low] <= document < first_documents[high] */
        const int64_t middle = low + (high - low) / 2;
        if (corpus->first_documents[middle] <= *document) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *document -= corpus->first_documents[low];
    return &corpus->shards[low];
}

int64_t corpus_document_tokens(const struct corpus *corpus, int64_t document)
{
    const struct corpus_shard *const shard = corpus_locate(corpus, &document);
    return shard->offsets[document + 1] - shard->offsets[document];
}

uint64_t corpus_document_hash(const struct corpus *corpus, int64_t document)
{
    const struct corpus_shard *const shard = corpus_locate(corpus, &document);
    return shard->hashes[document];
}

void corpus_document_copy(const struct corpus *corpus, int64_t document, int64_t begin,
                          int64_t count, int32_t *ids)
{
    const struct corpus_shard *const shard = corpus_locate(corpus, &document);
    const int64_t first = shard->offsets[document] + begin;
    INVARIANT(begin >= 0 && count >= 0 && first + count <= shard->offsets[document + 1]);
    for (int64_t i = 0; i < count; i++) {
        ids[i] = shard->narrow != NULL ? shard->narrow[first + i] : (int32_t)shard->wide[first + i];
    }
}

bool corpus_has_lines(const struct corpus *corpus)
{
    bool all = true;
    for (int64_t i = 0; i < corpus->shard_count; i++) {
        all = all && corpus->shards[i].lines != NULL;
    }
    return all;
}

/* Place of the first of the rising `lines` that is not below `token`. */
static int64_t lines_find(const struct corpus_shard *shard, int64_t token)
{
    int64_t begin = 0;
    int64_t end = shard->line_count;
    while (begin < end) {
        const int64_t middle = begin + (end - begin) / 2;
        if (shard->lines[middle] < token) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

int64_t corpus_document_lines(const struct corpus *corpus, int64_t document, const int64_t **lines,
                              int64_t *first_token)
{
    const struct corpus_shard *const shard = corpus_locate(corpus, &document);
    INVARIANT(shard->lines != NULL);
    const int64_t begin = lines_find(shard, shard->offsets[document]);
    *lines = shard->lines + begin;
    *first_token = shard->offsets[document];
    return lines_find(shard, shard->offsets[document + 1]) - begin;
}

void corpus_count_tokens(const struct corpus *corpus, int64_t *counts)
{
    memset(counts, 0, (size_t)corpus->facts.vocabulary * sizeof *counts);
    for (int64_t i = 0; i < corpus->shard_count; i++) {
        const struct corpus_shard *const shard = &corpus->shards[i];
        for (int64_t j = 0; j < shard->token_count; j++) {
            counts[shard->narrow != NULL ? shard->narrow[j] : shard->wide[j]]++;
        }
    }
}

bool corpus_is_held_out(uint64_t document_hash, double held_out)
{
    const struct random_key key = random_key_make(0, RANDOM_PURPOSE_HELD_OUT, 0);
    return random_unit(random_at(key, 0, document_hash)) < held_out;
}

static int hash_compare(const void *a, const void *b)
{
    const uint64_t first = *(const uint64_t *)a;
    const uint64_t second = *(const uint64_t *)b;
    return (first > second) - (first < second);
}

void corpus_summarise(const struct corpus *corpus, double held_out, struct corpus_summary *summary)
{
    *summary = (struct corpus_summary){.shards = corpus->shard_count,
                                       .documents = corpus->document_count,
                                       .tokens = corpus->token_count};
    const size_t count = (size_t)corpus->document_count;
    uint64_t *const hashes = memory_take(count, sizeof *hashes, "corpus summary");
    for (int64_t i = 0; i < corpus->document_count; i++) {
        hashes[i] = corpus_document_hash(corpus, i);
        if (corpus_is_held_out(hashes[i], held_out)) {
            summary->held_out_documents++;
            summary->held_out_tokens += corpus_document_tokens(corpus, i);
        }
    }
    qsort(hashes, count, sizeof *hashes, hash_compare);
    for (size_t i = 1; i < count; i++) {
        summary->repeated_documents += hashes[i] == hashes[i - 1];
    }
    memory_release(hashes);
}
