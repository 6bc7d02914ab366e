/* See corpus_shelf.h. */
#include "data_pipeline/corpus_shelf.h"

#include <stdio.h>

#include "base/memory.h"
#include "data_pipeline/corpus_build.h"
#include "data_pipeline/corpus_folder.h"

void corpus_shelf_init(struct corpus_shelf *shelf, const char *folder,
                       const struct corpus_facts *facts, int64_t shard_tokens)
{
    *shelf = (struct corpus_shelf){.folder = folder, .facts = *facts, .shard_tokens = shard_tokens};
}

void corpus_shelf_deinit(struct corpus_shelf *shelf)
{
    memory_release(shelf->tokens);
    memory_release(shelf->offsets);
    memory_release(shelf->hashes);
    memory_release(shelf->lines);
    memory_release(shelf->entries);
    *shelf = (struct corpus_shelf){0};
}

enum status corpus_shelf_finish(struct corpus_shelf *shelf, struct error *error)
{
    if (shelf->document_count == 0) {
        return STATUS_OK;
    }
    if (shelf->entry_count == CORPUS_SHARDS_MAX) {
        FAIL(error, STATUS_LIMIT, "the corpus needs more than %d shards", CORPUS_SHARDS_MAX);
    }
    memory_reserve((void **)&shelf->entries, &shelf->entries_capacity,
                   (size_t)shelf->entry_count + 1, sizeof *shelf->entries, "corpus shards");
    struct corpus_shard_entry *const entry = &shelf->entries[shelf->entry_count];
    *entry = (struct corpus_shard_entry){0};
    (void)snprintf(entry->name, sizeof entry->name, "corpus-%05lld.h5",
                   (long long)shelf->entry_count);
    shelf->offsets[shelf->document_count] = shelf->token_count;
    const struct corpus_shard_content content = {
        .tokens = shelf->tokens,
        .token_count = shelf->token_count,
        .offsets = shelf->offsets,
        .hashes = shelf->hashes,
        .document_count = shelf->document_count,
        .lines = shelf->lines,
        .line_count = shelf->line_count,
    };
    TRY(corpus_shard_write(shelf->folder, &shelf->facts, &content, entry, error));
    shelf->entry_count++;
    shelf->token_count = 0;
    shelf->document_count = 0;
    shelf->line_count = 0;
    return STATUS_OK;
}

static void shelf_reserve(struct corpus_shelf *shelf, int64_t count, int64_t line_count)
{
    /* A whole shard at once: pages that are never written cost nothing, growing by copies would. */
    const int64_t wanted = shelf->token_count + count;
    const int64_t least = wanted < shelf->shard_tokens ? shelf->shard_tokens : wanted;
    memory_reserve(&shelf->tokens, &shelf->tokens_capacity, (size_t)least,
                   corpus_token_bytes(shelf->facts.vocabulary), "corpus shard");
    memory_reserve((void **)&shelf->offsets, &shelf->offsets_capacity,
                   (size_t)shelf->document_count + 2, sizeof *shelf->offsets, "corpus shard");
    memory_reserve((void **)&shelf->hashes, &shelf->hashes_capacity,
                   (size_t)shelf->document_count + 1, sizeof *shelf->hashes, "corpus shard");
    memory_reserve((void **)&shelf->lines, &shelf->lines_capacity,
                   (size_t)(shelf->line_count + line_count), sizeof *shelf->lines, "corpus shard");
}

enum status corpus_shelf_add(struct corpus_shelf *shelf,
                             const struct corpus_shelf_document *document, struct error *error)
{
    const int32_t *const ids = document->ids;
    const int64_t count = document->count;
    INVARIANT(count >= 1);
    if (shelf->token_count + count > shelf->shard_tokens ||
        shelf->line_count + document->line_count > CORPUS_SHARD_LINES_MAX ||
        shelf->document_count == CORPUS_SHARD_DOCUMENTS_MAX) {
        TRY(corpus_shelf_finish(shelf, error));
    }
    shelf_reserve(shelf, count, document->line_count);
    const int64_t vocabulary = shelf->facts.vocabulary;
    bool below = true;
    if (vocabulary <= CORPUS_SHARD_NARROW_IDS) {
        uint16_t *const out = (uint16_t *)shelf->tokens + shelf->token_count;
        for (int64_t i = 0; i < count; i++) {
            below = below && ids[i] >= 0 && ids[i] < vocabulary;
            out[i] = (uint16_t)ids[i];
        }
    } else {
        uint32_t *const out = (uint32_t *)shelf->tokens + shelf->token_count;
        for (int64_t i = 0; i < count; i++) {
            below = below && ids[i] >= 0 && ids[i] < vocabulary;
            out[i] = (uint32_t)ids[i];
        }
    }
    INVARIANT(below);
    shelf->offsets[shelf->document_count] = shelf->token_count;
    shelf->hashes[shelf->document_count] = document->hash;
    for (int64_t i = 0; i < document->line_count; i++) {
        shelf->lines[shelf->line_count++] =
            shelf->token_count + document->lines[i] - document->first_token;
    }
    shelf->document_count++;
    shelf->token_count += count;
    return STATUS_OK;
}
