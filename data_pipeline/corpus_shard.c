/* See corpus_shard.h. */
#include "data_pipeline/corpus_shard.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "data_pipeline/corpus_hdf5.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "corpus shards are read by memory map");

static const char FORMAT_NAME[] = "shardlm corpus shard";

const char *corpus_dataset_name(enum corpus_dataset dataset)
{
    static const char *const names[CORPUS_DATASET_COUNT] = {"tokens", "document_offsets",
                                                            "document_hash", "line_offsets"};
    return names[dataset];
}

size_t corpus_token_bytes(int64_t vocabulary)
{
    return vocabulary <= CORPUS_SHARD_NARROW_IDS ? sizeof(uint16_t) : sizeof(uint32_t);
}

static enum corpus_element dataset_element(enum corpus_dataset dataset, int64_t vocabulary)
{
    static const enum corpus_element fixed[CORPUS_DATASET_COUNT] = {
        CORPUS_ELEMENT_UINT32, CORPUS_ELEMENT_INT64, CORPUS_ELEMENT_UINT64, CORPUS_ELEMENT_INT64};
    const bool narrow = dataset == CORPUS_DATASET_TOKENS && vocabulary <= CORPUS_SHARD_NARROW_IDS;
    return narrow ? CORPUS_ELEMENT_UINT16 : fixed[dataset];
}

/* Elements of a dataset; 0: it is absent. */
static int64_t dataset_count(enum corpus_dataset dataset, const struct corpus_shard_entry *entry)
{
    switch (dataset) {
    case CORPUS_DATASET_TOKENS:
        return entry->token_count;
    case CORPUS_DATASET_OFFSETS:
        return entry->document_count + 1;
    case CORPUS_DATASET_LINES:
        return entry->line_count;
    case CORPUS_DATASET_HASHES:
    case CORPUS_DATASET_COUNT:
        break;
    }
    return entry->document_count;
}

static int64_t dataset_element_bytes(enum corpus_dataset dataset, int64_t vocabulary)
{
    return dataset == CORPUS_DATASET_TOKENS ? (int64_t)corpus_token_bytes(vocabulary) : 8;
}

enum { SPECIAL_COUNT = 5 };

static void specials_list(const struct tokenizer_specials *specials, int64_t list[SPECIAL_COUNT])
{
    list[0] = specials->bos;
    list[1] = specials->pad;
    list[2] = specials->eos;
    list[3] = specials->unk;
    list[4] = specials->mask;
}

static enum status shard_put_attributes(const struct corpus_hdf5 *hdf5,
                                        const struct corpus_facts *facts,
                                        const struct corpus_shard_entry *entry, struct error *error)
{
    const int64_t version = CORPUS_SHARD_VERSION;
    int64_t specials[SPECIAL_COUNT];
    specials_list(&facts->specials, specials);
    char text[DIGEST_TEXT_BYTES];
    digest_text(facts->tokenizer, text);
    TRY(corpus_hdf5_put_text(hdf5, "format", FORMAT_NAME, error));
    TRY(corpus_hdf5_put_integers(hdf5, "version", &version, 1, error));
    TRY(corpus_hdf5_put_integers(hdf5, "vocabulary", &facts->vocabulary, 1, error));
    TRY(corpus_hdf5_put_text(hdf5, "tokenizer_fingerprint", text, error));
    TRY(corpus_hdf5_put_integers(hdf5, "special_ids", specials, SPECIAL_COUNT, error));
    TRY(corpus_hdf5_put_integers(hdf5, "token_count", &entry->token_count, 1, error));
    TRY(corpus_hdf5_put_integers(hdf5, "document_count", &entry->document_count, 1, error));
    if (entry->line_count > 0) {
        TRY(corpus_hdf5_put_integers(hdf5, "line_count", &entry->line_count, 1, error));
    }
    for (enum corpus_dataset i = 0; i < CORPUS_DATASET_COUNT; i++) {
        if (dataset_count(i, entry) == 0) {
            continue;
        }
        char name[64];
        (void)snprintf(name, sizeof name, "%s_digest", corpus_dataset_name(i));
        digest_text(entry->regions[i].digest, text);
        TRY(corpus_hdf5_put_text(hdf5, name, text, error));
    }
    return STATUS_OK;
}

static enum status shard_put_datasets(const struct corpus_hdf5 *hdf5,
                                      const struct corpus_facts *facts,
                                      const struct corpus_shard_content *content,
                                      struct corpus_shard_entry *entry, struct error *error)
{
    const void *const data[CORPUS_DATASET_COUNT] = {content->tokens, content->offsets,
                                                    content->hashes, content->lines};
    for (enum corpus_dataset i = 0; i < CORPUS_DATASET_COUNT; i++) {
        struct corpus_region *const region = &entry->regions[i];
        const int64_t count = dataset_count(i, entry);
        if (count == 0) {
            continue;
        }
        region->size_bytes = count * dataset_element_bytes(i, facts->vocabulary);
        region->digest = digest_bytes(data[i], (size_t)region->size_bytes);
        TRY(corpus_hdf5_write(hdf5, corpus_dataset_name(i), dataset_element(i, facts->vocabulary),
                              data[i], count, &region->offset_bytes, error));
    }
    return STATUS_OK;
}

enum status corpus_shard_write(const char *folder, const struct corpus_facts *facts,
                               const struct corpus_shard_content *content,
                               struct corpus_shard_entry *entry, struct error *error)
{
    INVARIANT(content->document_count > 0 && content->token_count > 0);
    INVARIANT(content->offsets[content->document_count] == content->token_count);
    char path[PATH_BYTES];
    TRY(path_join(path, folder, entry->name, error));
    entry->token_count = content->token_count;
    entry->document_count = content->document_count;
    entry->line_count = content->line_count;
    struct corpus_hdf5 hdf5;
    TRY(corpus_hdf5_create(&hdf5, path, error));
    enum status status = shard_put_datasets(&hdf5, facts, content, entry, error);
    if (status == STATUS_OK) {
        status = shard_put_attributes(&hdf5, facts, entry, error);
    }
    const enum status closed = corpus_hdf5_close(&hdf5, status == STATUS_OK ? error : NULL);
    TRY(status);
    TRY(closed);
    TRY(file_flush(path, error));
    return file_digest(path, &entry->digest, &entry->size_bytes, error);
}

/* The manifest's regions must lie in the file, fit the counts and be aligned for direct reading. */
static enum status shard_check_regions(const char *path, const struct corpus_facts *facts,
                                       const struct corpus_shard_entry *entry, struct error *error)
{
    for (enum corpus_dataset i = 0; i < CORPUS_DATASET_COUNT; i++) {
        const struct corpus_region *const region = &entry->regions[i];
        const int64_t count = dataset_count(i, entry);
        const int64_t element_bytes = dataset_element_bytes(i, facts->vocabulary);
        if (count == 0 && i == CORPUS_DATASET_LINES) {
            continue;
        }
        if (count <= 0 || count > entry->size_bytes || region->offset_bytes < 0 ||
            region->offset_bytes % element_bytes != 0 ||
            region->size_bytes != count * element_bytes ||
            region->offset_bytes > entry->size_bytes - region->size_bytes) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": the manifest gives dataset \"%s\" an impossible place", path,
                 corpus_dataset_name(i));
        }
    }
    return STATUS_OK;
}

/* The digest against the manifest; a difference is narrowed down to a dataset. */
static enum status shard_check_bytes(const struct corpus_shard *shard, const char *path,
                                     const struct corpus_shard_entry *entry, struct error *error)
{
    const struct file_map *const map = &shard->map;
    if (digest_equal(digest_bytes(map->data, map->size_bytes), entry->digest)) {
        return STATUS_OK;
    }
    for (enum corpus_dataset i = 0; i < CORPUS_DATASET_COUNT; i++) {
        const struct corpus_region *const region = &entry->regions[i];
        const struct digest found =
            digest_bytes(map->data + region->offset_bytes, (size_t)region->size_bytes);
        if (!digest_equal(found, region->digest)) {
            FAIL(error, STATUS_FORMAT,
                 "corpus shard \"%s\" is damaged in dataset \"%s\", bytes %lld to %lld: digest "
                 "differs",
                 path, corpus_dataset_name(i), (long long)region->offset_bytes,
                 (long long)(region->offset_bytes + region->size_bytes));
        }
    }
    FAIL(error, STATUS_FORMAT,
         "corpus shard \"%s\" is damaged outside its datasets (HDF5 structure): digest differs",
         path);
}

static enum status shard_match_integer(const struct corpus_hdf5 *hdf5, const char *name,
                                       int64_t expected, struct error *error)
{
    int64_t found;
    TRY(corpus_hdf5_get_integers(hdf5, name, &found, 1, error));
    if (found != expected) {
        FAIL(error, STATUS_FORMAT, "\"%s\": attribute \"%s\" is %lld, expected %lld", hdf5->path,
             name, (long long)found, (long long)expected);
    }
    return STATUS_OK;
}

static enum status shard_match_hdf5(const struct corpus_hdf5 *hdf5,
                                    const struct corpus_facts *facts,
                                    const struct corpus_shard_entry *entry, struct error *error)
{
    char text[DIGEST_TEXT_BYTES];
    digest_text(facts->tokenizer, text);
    TRY(corpus_hdf5_match_text(hdf5, "format", FORMAT_NAME, error));
    TRY(shard_match_integer(hdf5, "version", CORPUS_SHARD_VERSION, error));
    TRY(shard_match_integer(hdf5, "vocabulary", facts->vocabulary, error));
    TRY(corpus_hdf5_match_text(hdf5, "tokenizer_fingerprint", text, error));
    TRY(shard_match_integer(hdf5, "token_count", entry->token_count, error));
    TRY(shard_match_integer(hdf5, "document_count", entry->document_count, error));
    int64_t expected[SPECIAL_COUNT];
    int64_t found[SPECIAL_COUNT];
    specials_list(&facts->specials, expected);
    TRY(corpus_hdf5_get_integers(hdf5, "special_ids", found, SPECIAL_COUNT, error));
    if (memcmp(expected, found, sizeof expected) != 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": special_ids differ from the manifest", hdf5->path);
    }
    if (entry->line_count > 0) {
        TRY(shard_match_integer(hdf5, "line_count", entry->line_count, error));
    }
    for (enum corpus_dataset i = 0; i < CORPUS_DATASET_COUNT; i++) {
        const int64_t count = dataset_count(i, entry);
        int64_t offset_bytes;
        if (count == 0) {
            continue;
        }
        TRY(corpus_hdf5_find(hdf5, corpus_dataset_name(i), dataset_element(i, facts->vocabulary),
                             count, &offset_bytes, error));
        if (offset_bytes != entry->regions[i].offset_bytes) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": dataset \"%s\" lies at byte %lld, the manifest says %lld", hdf5->path,
                 corpus_dataset_name(i), (long long)offset_bytes,
                 (long long)entry->regions[i].offset_bytes);
        }
    }
    return STATUS_OK;
}

static enum status shard_check_hdf5(const char *path, const struct corpus_facts *facts,
                                    const struct corpus_shard_entry *entry, struct error *error)
{
    struct corpus_hdf5 hdf5;
    TRY(corpus_hdf5_open(&hdf5, path, error));
    const enum status status = shard_match_hdf5(&hdf5, facts, entry, error);
    const enum status closed = corpus_hdf5_close(&hdf5, status == STATUS_OK ? error : NULL);
    return status == STATUS_OK ? closed : status;
}

static enum status shard_check_offsets(const struct corpus_shard *shard, const char *path,
                                       struct error *error)
{
    const int64_t *const offsets = shard->offsets;
    bool rising = offsets[0] == 0 && offsets[shard->document_count] == shard->token_count;
    for (int64_t i = 0; i < shard->document_count && rising; i++) {
        rising = offsets[i] < offsets[i + 1] && offsets[i + 1] - offsets[i] <= UINT32_MAX;
    }
    if (!rising) {
        FAIL(error, STATUS_FORMAT,
             "corpus shard \"%s\": document_offsets do not rise from 0 to %lld", path,
             (long long)shard->token_count);
    }
    return STATUS_OK;
}

/* Every document begins a line, and lines rise. */
static enum status shard_check_lines(const struct corpus_shard *shard, const char *path,
                                     struct error *error)
{
    const int64_t *const lines = shard->lines;
    int64_t document = 0; /* the next that must begin a line */
    bool good = true;
    for (int64_t i = 0; i < shard->line_count && good; i++) {
        const int64_t first = shard->offsets[document];
        good = lines[i] >= 0 && lines[i] < shard->token_count && lines[i] <= first &&
               (i == 0 || lines[i] > lines[i - 1]);
        document += lines[i] == first;
    }
    if (shard->line_count > 0 && (!good || document != shard->document_count)) {
        FAIL(error, STATUS_FORMAT,
             "corpus shard \"%s\": line_offsets do not rise, or a document begins within a line",
             path);
    }
    return STATUS_OK;
}

static enum status shard_check_ids(const struct corpus_shard *shard, const char *path,
                                   int64_t vocabulary, struct error *error)
{
    const int64_t count = shard->token_count;
    uint32_t largest = 0;
    if (shard->narrow != NULL) {
        for (int64_t i = 0; i < count; i++) {
            largest = shard->narrow[i] > largest ? shard->narrow[i] : largest;
        }
    } else {
        for (int64_t i = 0; i < count; i++) {
            largest = shard->wide[i] > largest ? shard->wide[i] : largest;
        }
    }
    if ((int64_t)largest >= vocabulary) {
        FAIL(error, STATUS_FORMAT,
             "corpus shard \"%s\": token id %lu is not below the vocabulary of %lld", path,
             (unsigned long)largest, (long long)vocabulary);
    }
    return STATUS_OK;
}

static const void *shard_dataset(const struct corpus_shard *shard,
                                 const struct corpus_shard_entry *entry,
                                 enum corpus_dataset dataset)
{
    return shard->map.data + entry->regions[dataset].offset_bytes;
}

static enum status shard_check(struct corpus_shard *shard, const char *path,
                               const struct corpus_facts *facts,
                               const struct corpus_shard_entry *entry, bool whole,
                               struct error *error)
{
    TRY(file_map_open(&shard->map, path, error));
    if ((int64_t)shard->map.size_bytes != entry->size_bytes) {
        FAIL(error, STATUS_FORMAT, "corpus shard \"%s\" has %zu bytes, expected %lld", path,
             shard->map.size_bytes, (long long)entry->size_bytes);
    }
    TRY(shard_check_regions(path, facts, entry, error));
    if (whole) {
        TRY(shard_check_bytes(shard, path, entry, error));
        TRY(shard_check_hdf5(path, facts, entry, error));
    }
    const void *const tokens = shard_dataset(shard, entry, CORPUS_DATASET_TOKENS);
    if (facts->vocabulary <= CORPUS_SHARD_NARROW_IDS) {
        shard->narrow = tokens;
    } else {
        shard->wide = tokens;
    }
    shard->offsets = shard_dataset(shard, entry, CORPUS_DATASET_OFFSETS);
    shard->hashes = shard_dataset(shard, entry, CORPUS_DATASET_HASHES);
    shard->token_count = entry->token_count;
    shard->document_count = entry->document_count;
    if (entry->line_count > 0) {
        shard->lines = shard_dataset(shard, entry, CORPUS_DATASET_LINES);
        shard->line_count = entry->line_count;
    }
    if (!whole) {
        return STATUS_OK;
    }
    TRY(shard_check_offsets(shard, path, error));
    TRY(shard_check_lines(shard, path, error));
    return shard_check_ids(shard, path, facts->vocabulary, error);
}

static enum status shard_open(struct corpus_shard *shard, const char *folder,
                              const struct corpus_facts *facts,
                              const struct corpus_shard_entry *entry, bool whole,
                              struct error *error)
{
    *shard = (struct corpus_shard){0};
    char path[PATH_BYTES];
    TRY(path_join(path, folder, entry->name, error));
    const enum status status = shard_check(shard, path, facts, entry, whole, error);
    if (status != STATUS_OK) {
        corpus_shard_close(shard);
    }
    return status;
}

enum status corpus_shard_open(struct corpus_shard *shard, const char *folder,
                              const struct corpus_facts *facts,
                              const struct corpus_shard_entry *entry, struct error *error)
{
    return shard_open(shard, folder, facts, entry, true, error);
}

enum status corpus_shard_map(struct corpus_shard *shard, const char *folder,
                             const struct corpus_facts *facts,
                             const struct corpus_shard_entry *entry, struct error *error)
{
    return shard_open(shard, folder, facts, entry, false, error);
}

void corpus_shard_close(struct corpus_shard *shard)
{
    file_map_close(&shard->map);
    *shard = (struct corpus_shard){0};
}
