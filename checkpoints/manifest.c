/* See manifest.h. */
#include "checkpoints/manifest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "checkpoints/state_file.h"

enum {
    MANIFEST_BYTES_MAX = 64 << 20,
    SEED_TEXT_BYTES = 24,
    /* `  "digest": "` + 32 digits + `"\n}\n` */
    TAIL_BYTES = 13 + 32 + 4,
};

static const char format_name[] = "shardlm checkpoint";
static const char file_name[] = "manifest.json";

void manifest_deinit(struct manifest *manifest)
{
    memory_release(manifest->files);
    *manifest = (struct manifest){0};
}

static struct manifest_file *entry_append(struct manifest *manifest)
{
    void *files = manifest->files;
    memory_reserve(&files, &manifest->capacity, manifest->file_count + 1, sizeof *manifest->files,
                   "checkpoint manifest");
    manifest->files = files;
    struct manifest_file *const entry = &manifest->files[manifest->file_count++];
    *entry = (struct manifest_file){0};
    return entry;
}

enum status manifest_add(struct manifest *manifest, const char *folder, const char *path,
                         struct error *error)
{
    if (strlen(path) >= MANIFEST_PATH_BYTES || manifest->file_count >= MANIFEST_FILES_MAX) {
        FAIL(error, STATUS_LIMIT,
             "could not add \"%s\" to a checkpoint: too long a name or too many files", path);
    }
    char whole[PATH_BYTES];
    TRY(path_join(whole, folder, path, error));
    struct digest digest;
    int64_t size_bytes;
    TRY(file_digest(whole, &digest, &size_bytes, error));
    struct manifest_file *const entry = entry_append(manifest);
    memcpy(entry->path, path, strlen(path) + 1);
    entry->size_bytes = size_bytes;
    entry->digest = digest;
    return STATUS_OK;
}

const struct manifest_file *manifest_find(const struct manifest *manifest, const char *path)
{
    for (size_t i = 0; i < manifest->file_count; i++) {
        if (strcmp(manifest->files[i].path, path) == 0) {
            return &manifest->files[i];
        }
    }
    return NULL;
}

/* Seeds have 64 bits without sign, jansson's integers have one: text. A loss that is not finite
 * becomes null. */
static json_t *manifest_pack(const struct manifest *manifest)
{
    const struct checkpoint_meta *const meta = &manifest->meta;
    char seed[SEED_TEXT_BYTES];
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)meta->seed);
    char fingerprint[DIGEST_TEXT_BYTES];
    char corpus[DIGEST_TEXT_BYTES];
    digest_text(meta->fingerprint, fingerprint);
    digest_text(meta->corpus, corpus);
    json_t *const files = json_array();
    for (size_t i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *const file = &manifest->files[i];
        char digest[DIGEST_TEXT_BYTES];
        digest_text(file->digest, digest);
        (void)json_array_append_new(files,
                                    json_pack("{ss sI ss}", "path", file->path, "size_bytes",
                                              (json_int_t)file->size_bytes, "xxh3_128", digest));
    }
    json_t *const loss =
        isfinite(meta->held_out_loss) ? json_real(meta->held_out_loss) : json_null();
    return json_pack("{ss si ss sI sI ss ss ss ss so sI sI so}", "format", format_name,
                     "format_version", (int)CHECKPOINT_FORMAT_VERSION, "shardlm_version",
                     SHARDLM_VERSION, "step", (json_int_t)meta->step, "tokens",
                     (json_int_t)meta->tokens, "seed", seed, "fingerprint", fingerprint,
                     "corpus_fingerprint", corpus, "profile", meta->profile, "held_out_loss", loss,
                     "loss_mean", (json_int_t)meta->loss_mean, "loss_count",
                     (json_int_t)meta->loss_count, "files", files);
}

/* The last lines for a manifest whose other bytes are `text`. */
static void tail_make(char tail[TAIL_BYTES + 1], const char *text, size_t size_bytes)
{
    char digest[DIGEST_TEXT_BYTES];
    digest_text(digest_bytes(text, size_bytes), digest);
    const int length = snprintf(tail, TAIL_BYTES + 1, "  \"digest\": \"%s\"\n}\n", digest);
    INVARIANT(length == TAIL_BYTES);
}

enum status manifest_write(const struct manifest *manifest, const char *folder, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, folder, file_name, error));
    json_t *const root = manifest_pack(manifest);
    char *const dump = json_text(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (dump == NULL) {
        FAIL(error, STATUS_INTERNAL, "could not write \"%s\": a text in it is not UTF-8", path);
    }
    const size_t length = strlen(dump) - 2; /* the digest goes in front of the last "\n}" */
    char *const text = memory_take(length + 2 + TAIL_BYTES + 1, 1, "checkpoint manifest");
    memcpy(text, dump, length);
    memcpy(text + length, ",\n", 2);
    tail_make(text + length + 2, text, length + 2);
    const enum status status = file_write_durable(path, text, length + 2 + TAIL_BYTES, error);
    memory_release(text);
    memory_release(dump);
    return status;
}

/* A relative path that stays below its folder: no empty, "." or ".." component. */
static bool path_is_inner(const char *path)
{
    for (const char *part = path;; part++) {
        const size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        part += length;
        if (*part == '\0') {
            return true;
        }
    }
}

static enum status digest_member(const json_t *object, const char *key, const char *where,
                                 struct digest *digest, struct error *error)
{
    const char *text;
    TRY(json_member_text(object, key, where, &text, error));
    if (!digest_parse(text, digest)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is not a digest of 32 hexadecimal digits",
             where, key);
    }
    return STATUS_OK;
}

static enum status files_unpack(struct manifest *manifest, const json_t *files, const char *where,
                                struct error *error)
{
    if (json_array_size(files) > MANIFEST_FILES_MAX) {
        FAIL(error, STATUS_FORMAT, "\"%s\": more than %d files", where, MANIFEST_FILES_MAX);
    }
    size_t i;
    const json_t *value;
    json_array_foreach(files, i, value)
    {
        const char *path;
        int64_t size_bytes;
        struct digest digest;
        TRY(json_member_text(value, "path", where, &path, error));
        TRY(json_member_integer(value, "size_bytes", where, &size_bytes, error));
        TRY(digest_member(value, "xxh3_128", where, &digest, error));
        if (strlen(path) >= MANIFEST_PATH_BYTES || !path_is_inner(path) || size_bytes < 0 ||
            manifest_find(manifest, path) != NULL) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": file %zu, \"%.64s\", has an impossible name or size", where, i, path);
        }
        struct manifest_file *const entry = entry_append(manifest);
        memcpy(entry->path, path, strlen(path) + 1);
        entry->size_bytes = size_bytes;
        entry->digest = digest;
    }
    return STATUS_OK;
}

static enum status seed_unpack(const json_t *root, const char *where, uint64_t *seed,
                               struct error *error)
{
    const char *text;
    TRY(json_member_text(root, "seed", where, &text, error));
    char again[SEED_TEXT_BYTES];
    const unsigned long long value = strtoull(text, NULL, 10);
    (void)snprintf(again, sizeof again, "%llu", value);
    if (strcmp(text, again) != 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"seed\" is not a 64-bit number in a text", where);
    }
    *seed = value;
    return STATUS_OK;
}

static enum status meta_unpack(struct checkpoint_meta *meta, const json_t *root, const char *where,
                               struct error *error)
{
    TRY(json_member_integer(root, "step", where, &meta->step, error));
    TRY(json_member_integer(root, "tokens", where, &meta->tokens, error));
    if (meta->step < 0 || meta->tokens < 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": step or tokens are negative", where);
    }
    TRY(seed_unpack(root, where, &meta->seed, error));
    TRY(digest_member(root, "fingerprint", where, &meta->fingerprint, error));
    TRY(digest_member(root, "corpus_fingerprint", where, &meta->corpus, error));
    const char *profile;
    TRY(json_member_text(root, "profile", where, &profile, error));
    if (strlen(profile) >= sizeof meta->profile) {
        FAIL(error, STATUS_FORMAT, "\"%s\": profile is longer than %zu bytes", where,
             sizeof meta->profile - 1);
    }
    memcpy(meta->profile, profile, strlen(profile) + 1);
    meta->held_out_loss = (double)NAN;
    if (!json_is_null(json_object_get(root, "held_out_loss"))) {
        TRY(json_member_real(root, "held_out_loss", where, &meta->held_out_loss, error));
    }
    meta->loss_mean = 0;
    meta->loss_count = 0;
    if (json_object_get(root, "loss_count") != NULL) { /* newer than format version 1 itself */
        TRY(json_member_integer(root, "loss_mean", where, &meta->loss_mean, error));
        TRY(json_member_integer(root, "loss_count", where, &meta->loss_count, error));
    }
    return STATUS_OK;
}

static enum status manifest_unpack(struct manifest *manifest, const json_t *root, const char *where,
                                   struct error *error)
{
    const char *format;
    TRY(json_member_text(root, "format", where, &format, error));
    int64_t version;
    TRY(json_member_integer(root, "format_version", where, &version, error));
    if (strcmp(format, format_name) != 0 || version != CHECKPOINT_FORMAT_VERSION) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": format \"%.32s\" version %lld, expected \"%s\" version %d", where, format,
             (long long)version, format_name, CHECKPOINT_FORMAT_VERSION);
    }
    TRY(meta_unpack(&manifest->meta, root, where, error));
    json_t *files;
    TRY(json_member_array(root, "files", where, &files, error));
    return files_unpack(manifest, files, where, error);
}

enum status manifest_read(struct manifest *manifest, const char *folder, struct error *error)
{
    *manifest = (struct manifest){0};
    char path[PATH_BYTES];
    TRY(path_join(path, folder, file_name, error));
    char *text;
    size_t size_bytes;
    TRY(file_read(path, MANIFEST_BYTES_MAX, &text, &size_bytes, error));
    json_t *root = NULL;
    enum status status = STATUS_OK;
    char tail[TAIL_BYTES + 1] = "";
    if (size_bytes > TAIL_BYTES) {
        tail_make(tail, text, size_bytes - TAIL_BYTES);
    }
    if (size_bytes <= TAIL_BYTES || memcmp(text + size_bytes - TAIL_BYTES, tail, TAIL_BYTES) != 0) {
        status = error_set(
            error, STATUS_FORMAT,
            "\"%s\" is damaged or no manifest: it does not end with the digest of its bytes", path);
    } else {
        status = json_read_text(path, text, size_bytes, &root, error);
    }
    if (status == STATUS_OK) {
        status = manifest_unpack(manifest, root, path, error);
    }
    json_decref(root);
    memory_release(text);
    if (status != STATUS_OK) {
        manifest_deinit(manifest);
    }
    return status;
}

static enum status entry_check(const struct manifest_file *entry, const char *path, bool verify,
                               struct error *error)
{
    struct digest digest = entry->digest;
    int64_t size_bytes;
    const enum status status = verify ? file_digest(path, &digest, &size_bytes, error)
                                      : file_size(path, &size_bytes, error);
    if (status == STATUS_INPUT) {
        FAIL(error, STATUS_FORMAT, "damaged checkpoint: \"%s\" is missing or no regular file",
             path);
    }
    TRY(status);
    if (size_bytes != entry->size_bytes) {
        FAIL(error, STATUS_FORMAT, "damaged checkpoint: \"%s\" has %lld bytes, expected %lld", path,
             (long long)size_bytes, (long long)entry->size_bytes);
    }
    if (!digest_equal(digest, entry->digest)) {
        FAIL(error, STATUS_FORMAT,
             "damaged checkpoint: \"%s\" has another digest than when it was written", path);
    }
    return STATUS_OK;
}

enum status manifest_check(const struct manifest *manifest, const char *folder, bool verify,
                           struct error *error)
{
    for (size_t i = 0; i < manifest->file_count; i++) {
        char path[PATH_BYTES];
        TRY(path_join(path, folder, manifest->files[i].path, error));
        TRY(entry_check(&manifest->files[i], path, verify, error));
    }
    return STATUS_OK;
}
