/* See corpus_manifest.h and corpus_folder.h. Every value is checked: the file may come from
 * anywhere. */
#include "data_pipeline/corpus_manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/corpus_folder.h"

static const char MANIFEST_NAME[] = "corpus.json";
static const char MANIFEST_FORMAT[] = "shardlm corpus";
static const char *const SPECIAL_KEYS[] = {"bos", "pad", "eos", "unk", "mask"};

static json_t *digest_json(struct digest digest)
{
    char text[DIGEST_TEXT_BYTES];
    digest_text(digest, text);
    return json_string(text);
}

static json_t *region_json(const struct corpus_region *region)
{
    json_t *const object = json_object();
    json_object_set_new(object, "offset_bytes", json_integer(region->offset_bytes));
    json_object_set_new(object, "size_bytes", json_integer(region->size_bytes));
    json_object_set_new(object, "digest", digest_json(region->digest));
    return object;
}

static json_t *entry_json(const struct corpus_shard_entry *entry)
{
    json_t *const object = json_object();
    json_object_set_new(object, "file", json_string(entry->name));
    json_object_set_new(object, "tokens", json_integer(entry->token_count));
    json_object_set_new(object, "documents", json_integer(entry->document_count));
    if (entry->line_count > 0) {
        json_object_set_new(object, "lines", json_integer(entry->line_count));
    }
    json_object_set_new(object, "size_bytes", json_integer(entry->size_bytes));
    json_object_set_new(object, "digest", digest_json(entry->digest));
    json_t *const datasets = json_object();
    for (enum corpus_dataset i = 0; i < CORPUS_DATASET_COUNT; i++) {
        if (entry->regions[i].size_bytes > 0) {
            json_object_set_new(datasets, corpus_dataset_name(i), region_json(&entry->regions[i]));
        }
    }
    json_object_set_new(object, "datasets", datasets);
    return object;
}

static json_t *specials_json(const struct tokenizer_specials *specials)
{
    const int32_t ids[] = {specials->bos, specials->pad, specials->eos, specials->unk,
                           specials->mask};
    json_t *const object = json_object();
    for (int64_t i = 0; i < ARRAY_LENGTH(SPECIAL_KEYS); i++) {
        json_object_set_new(object, SPECIAL_KEYS[i], json_integer(ids[i]));
    }
    return object;
}

enum status corpus_manifest_write(const char *folder, const struct corpus_facts *facts,
                                  const struct corpus_shard_entry *entries, int64_t entry_count,
                                  json_t *sources, json_t *options, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, folder, MANIFEST_NAME, error));
    json_t *const shards = json_array();
    int64_t token_count = 0;
    int64_t document_count = 0;
    for (int64_t i = 0; i < entry_count; i++) {
        token_count += entries[i].token_count;
        document_count += entries[i].document_count;
        json_array_append_new(shards, entry_json(&entries[i]));
    }
    json_t *const root = json_object();
    json_object_set_new(root, "format", json_string(MANIFEST_FORMAT));
    json_object_set_new(root, "version", json_integer(CORPUS_MANIFEST_VERSION));
    json_object_set_new(root, "vocabulary", json_integer(facts->vocabulary));
    json_object_set_new(root, "tokenizer_fingerprint", digest_json(facts->tokenizer));
    json_object_set_new(root, "special_ids", specials_json(&facts->specials));
    json_object_set_new(root, "tokens", json_integer(token_count));
    json_object_set_new(root, "documents", json_integer(document_count));
    json_object_set(root, "options", options);
    json_object_set(root, "sources", sources);
    json_object_set_new(root, "shards", shards);
    const enum status status = json_write_file(path, root, error);
    json_decref(root);
    return status;
}

/* An integer in [least, most]. */
static enum status read_integer(const json_t *object, const char *key, const char *where,
                                int64_t least, int64_t most, int64_t *value, struct error *error)
{
    TRY(json_member_integer(object, key, where, value, error));
    if (*value < least || *value > most) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is %lld, expected %lld to %lld", where, key,
             (long long)*value, (long long)least, (long long)most);
    }
    return STATUS_OK;
}

static enum status read_digest(const json_t *object, const char *key, const char *where,
                               struct digest *digest, struct error *error)
{
    const char *text;
    TRY(json_member_text(object, key, where, &text, error));
    if (!digest_parse(text, digest)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is not 32 hexadecimal digits", where, key);
    }
    return STATUS_OK;
}

static enum status read_regions(const json_t *object, const char *path,
                                struct corpus_shard_entry *entry, struct error *error)
{
    json_t *datasets;
    TRY(json_member_object(object, "datasets", path, &datasets, error));
    for (enum corpus_dataset i = 0; i < CORPUS_DATASET_COUNT; i++) {
        struct corpus_region *const region = &entry->regions[i];
        const int64_t most = entry->size_bytes;
        json_t *member;
        if (i == CORPUS_DATASET_LINES && entry->line_count == 0) {
            continue;
        }
        TRY(json_member_object(datasets, corpus_dataset_name(i), path, &member, error));
        TRY(read_integer(member, "offset_bytes", path, 0, most, &region->offset_bytes, error));
        TRY(read_integer(member, "size_bytes", path, 1, most, &region->size_bytes, error));
        TRY(read_digest(member, "digest", path, &region->digest, error));
    }
    return STATUS_OK;
}

static enum status read_entry(const json_t *object, const char *path,
                              struct corpus_shard_entry *entry, struct error *error)
{
    const char *name;
    TRY(json_member_text(object, "file", path, &name, error));
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL ||
        strlen(name) >= sizeof entry->name) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": shard file \"%.64s\" is not a plain name in this folder", path, name);
    }
    (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    const int64_t most = INT64_C(1) << 40;
    TRY(read_integer(object, "size_bytes", path, 1, most, &entry->size_bytes, error));
    TRY(read_integer(object, "tokens", path, 1, entry->size_bytes, &entry->token_count, error));
    TRY(read_integer(object, "documents", path, 1, entry->size_bytes, &entry->document_count,
                     error));
    if (json_object_get(object, "lines") != NULL) {
        TRY(read_integer(object, "lines", path, entry->document_count, entry->token_count,
                         &entry->line_count, error));
    }
    TRY(read_digest(object, "digest", path, &entry->digest, error));
    return read_regions(object, path, entry, error);
}

static enum status read_facts(const json_t *root, const char *path, struct corpus_facts *facts,
                              struct error *error)
{
    TRY(read_integer(root, "vocabulary", path, 1, INT32_MAX, &facts->vocabulary, error));
    TRY(read_digest(root, "tokenizer_fingerprint", path, &facts->tokenizer, error));
    json_t *object;
    TRY(json_member_object(root, "special_ids", path, &object, error));
    int32_t *const ids[] = {&facts->specials.bos, &facts->specials.pad, &facts->specials.eos,
                            &facts->specials.unk, &facts->specials.mask};
    for (int64_t i = 0; i < ARRAY_LENGTH(SPECIAL_KEYS); i++) {
        int64_t id;
        TRY(read_integer(object, SPECIAL_KEYS[i], path, -1, facts->vocabulary - 1, &id, error));
        *ids[i] = (int32_t)id;
    }
    return STATUS_OK;
}

/* The totals are those of the shards; at most CORPUS_SHARDS_MAX * 2^40, so the sums fit. */
static enum status check_totals(const json_t *root, const char *path,
                                const struct corpus_manifest *manifest, struct error *error)
{
    int64_t token_count = 0;
    int64_t document_count = 0;
    for (int64_t i = 0; i < manifest->entry_count; i++) {
        token_count += manifest->entries[i].token_count;
        document_count += manifest->entries[i].document_count;
    }
    int64_t total;
    TRY(read_integer(root, "tokens", path, token_count, token_count, &total, error));
    return read_integer(root, "documents", path, document_count, document_count, &total, error);
}

static enum status read_root(const json_t *root, const char *path, struct corpus_manifest *manifest,
                             struct error *error)
{
    const char *format;
    TRY(json_member_text(root, "format", path, &format, error));
    if (strcmp(format, MANIFEST_FORMAT) != 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": format is \"%.64s\", expected \"%s\"", path, format,
             MANIFEST_FORMAT);
    }
    int64_t version;
    TRY(read_integer(root, "version", path, 1, CORPUS_MANIFEST_VERSION, &version, error));
    TRY(read_facts(root, path, &manifest->facts, error));
    json_t *shards;
    TRY(json_member_array(root, "shards", path, &shards, error));
    const size_t count = json_array_size(shards);
    if (count == 0 || count > CORPUS_SHARDS_MAX) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %zu shards, expected 1 to %d", path, count,
             CORPUS_SHARDS_MAX);
    }
    manifest->entries = memory_take(count, sizeof *manifest->entries, "corpus manifest");
    manifest->entry_count = (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        TRY(read_entry(json_array_get(shards, i), path, &manifest->entries[i], error));
    }
    return check_totals(root, path, manifest, error);
}

enum status corpus_manifest_read(struct corpus_manifest *manifest, const char *folder,
                                 struct error *error)
{
    *manifest = (struct corpus_manifest){0};
    char path[PATH_BYTES];
    TRY(path_join(path, folder, MANIFEST_NAME, error));
    if (!file_exists(path)) {
        FAIL(error, STATUS_INPUT, "\"%s\" is no corpus folder: it holds no %s", folder,
             MANIFEST_NAME);
    }
    json_t *root;
    TRY(json_read_file(path, CORPUS_MANIFEST_BYTES_MAX, &root, error));
    const enum status status = read_root(root, path, manifest, error);
    json_decref(root);
    if (status != STATUS_OK) {
        corpus_manifest_deinit(manifest);
    }
    return status;
}

void corpus_manifest_deinit(struct corpus_manifest *manifest)
{
    memory_release(manifest->entries);
    *manifest = (struct corpus_manifest){0};
}
