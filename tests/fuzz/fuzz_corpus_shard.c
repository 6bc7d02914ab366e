/* data_pipeline/corpus_shard: a whole shard, changed. The bytes are patches of four: a position
 * (two, little-endian), a mask to exclusive-or with, and whether the manifest knows. Of a change
 * that it does not know the digest must tell; of one inside a dataset with right digests, ids,
 * offsets and lines are checked by themselves. (HDF5's own structures with right digests are the
 * library's business: docs/security.md.) */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/corpus_shard.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch_file.h"

enum { SHARD_BYTES_MAX = 1 << 16, PATCH_BYTES = 4 };

static const char name[] = "corpus-00000.h5";
static const struct corpus_facts facts = {
    .vocabulary = 50,
    .tokenizer = {.low = 1, .high = 2},
    .specials = {.bos = 0, .pad = 1, .eos = 2, .unk = 3, .mask = 4}};

struct whole {
    struct corpus_shard_entry entry;
    char *data;
    size_t size_bytes;
};

static const struct whole *whole_shard(void)
{
    static struct whole whole;
    static const uint16_t ids[] = {5, 6, 7, 8, 9, 49};
    static const int64_t offsets[] = {0, 2, 3, 6};
    static const int64_t lines[] = {0, 2, 3, 5};
    static const uint64_t hashes[] = {1, 2, 3};
    const struct corpus_shard_content content = {.tokens = ids,
                                                 .token_count = 6,
                                                 .offsets = offsets,
                                                 .hashes = hashes,
                                                 .document_count = 3,
                                                 .lines = lines,
                                                 .line_count = 4};
    struct error error;
    if (whole.data == NULL) {
        char path[PATH_BYTES];
        memcpy(whole.entry.name, name, sizeof name);
        if (corpus_shard_write(scratch_folder(), &facts, &content, &whole.entry, &error) !=
                STATUS_OK ||
            path_join(path, scratch_folder(), name, &error) != STATUS_OK ||
            file_read(path, SHARD_BYTES_MAX, &whole.data, &whole.size_bytes, &error) != STATUS_OK) {
            abort();
        }
    }
    return &whole;
}

/* Does the position lie in a dataset? */
static bool in_dataset(const struct corpus_shard_entry *entry, int64_t position)
{
    for (int i = 0; i < CORPUS_DATASET_COUNT; i++) {
        const struct corpus_region *const region = &entry->regions[i];
        if (position >= region->offset_bytes &&
            position < region->offset_bytes + region->size_bytes) {
            return true;
        }
    }
    return false;
}

/* *known: the manifest knows of every change. */
static void patches_apply(const uint8_t *data, size_t size, const struct whole *whole, char *shard,
                          bool *known)
{
    *known = true;
    for (size_t i = 0; i + PATCH_BYTES <= size; i += PATCH_BYTES) {
        const size_t position = ((size_t)data[i] | (size_t)data[i + 1] << 8) % whole->size_bytes;
        shard[position] = (char)(shard[position] ^ data[i + 2]);
        *known = *known && (data[i + 3] & 1) != 0 && in_dataset(&whole->entry, (int64_t)position);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct whole *const whole = whole_shard();
    char *const shard = memory_take(whole->size_bytes, 1, "shard");
    struct corpus_shard_entry entry = whole->entry;
    bool known;
    memcpy(shard, whole->data, whole->size_bytes);
    patches_apply(data, size, whole, shard, &known);
    const bool changed = memcmp(shard, whole->data, whole->size_bytes) != 0;
    if (known) {
        entry.digest = digest_bytes(shard, whole->size_bytes);
        for (int i = 0; i < CORPUS_DATASET_COUNT; i++) {
            struct corpus_region *const region = &entry.regions[i];
            region->digest = digest_bytes(shard + region->offset_bytes, (size_t)region->size_bytes);
        }
    }
    (void)scratch_file(name, shard, whole->size_bytes);
    memory_release(shard);
    struct corpus_shard opened;
    struct error error;
    const enum status status = corpus_shard_open(&opened, scratch_folder(), &facts, &entry, &error);
    if (status == STATUS_OK && changed && !known) {
        abort();
    }
    corpus_shard_close(&opened);
    return 0;
}
