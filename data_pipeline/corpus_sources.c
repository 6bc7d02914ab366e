/* See corpus_sources.h. */
#include "data_pipeline/corpus_sources.h"

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/corpus_build.h"

enum { SOURCES_DEPTH_MAX = 16 };

static enum status sources_add(struct corpus_sources *sources, const char *path,
                               struct error *error)
{
    int64_t size_bytes;
    TRY(file_size(path, &size_bytes, error));
    if (sources->count == CORPUS_SOURCES_MAX) {
        FAIL(error, STATUS_LIMIT, "more than %d text files", CORPUS_SOURCES_MAX);
    }
    memory_reserve((void **)&sources->files, &sources->capacity, (size_t)sources->count + 1,
                   sizeof *sources->files, "corpus sources");
    sources->files[sources->count++] = (struct corpus_source){
        .path = memory_text(path), .size_bytes = size_bytes, .counts.invalid_offset = -1};
    sources->size_bytes += size_bytes;
    return STATUS_OK;
}

static enum status sources_add_folder(struct corpus_sources *sources, const char *path, int depth,
                                      struct error *error)
{
    if (depth > SOURCES_DEPTH_MAX) {
        FAIL(error, STATUS_LIMIT, "could not list \"%s\": more than %d folders deep", path,
             SOURCES_DEPTH_MAX);
    }
    struct folder_list list;
    TRY(folder_list_open(&list, path, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        char inner[PATH_BYTES];
        status = path_join(inner, path, list.names[i], error);
        if (status != STATUS_OK) {
            break;
        }
        if (folder_exists(inner)) {
            status = sources_add_folder(sources, inner, depth + 1, error);
        } else if (corpus_text_accepts(inner)) {
            status = sources_add(sources, inner, error);
        } else {
            sources->passed_over++;
        }
    }
    folder_list_close(&list);
    return status;
}

enum status corpus_sources_list(struct corpus_sources *sources, const char *const *paths,
                                int64_t path_count, struct error *error)
{
    *sources = (struct corpus_sources){0};
    for (int64_t i = 0; i < path_count; i++) {
        TRY(folder_exists(paths[i]) ? sources_add_folder(sources, paths[i], 0, error)
                                    : sources_add(sources, paths[i], error));
    }
    if (sources->count == 0) {
        FAIL(error, STATUS_INPUT,
             "no text file (.txt or .jsonl, plain or with .gz or .zst) in \"%.400s\"%s",
             path_count == 0 ? "" : paths[0], path_count > 1 ? " and the other sources" : "");
    }
    return STATUS_OK;
}

void corpus_sources_deinit(struct corpus_sources *sources)
{
    for (int64_t i = 0; i < sources->count; i++) {
        memory_release(sources->files[i].path);
    }
    memory_release(sources->files);
    *sources = (struct corpus_sources){0};
}

json_t *corpus_sources_json(const struct corpus_sources *sources)
{
    json_t *const list = json_array();
    for (int64_t i = 0; i < sources->count; i++) {
        const struct corpus_source *const source = &sources->files[i];
        json_t *const object = json_object();
        /* A path that is not UTF-8 cannot stand in JSON: its name is then left empty. */
        json_t *const path = json_string(source->path);
        json_object_set_new(object, "path", path != NULL ? path : json_string(""));
        json_object_set_new(object, "size_bytes", json_integer(source->size_bytes));
        json_object_set_new(object, "documents", json_integer(source->documents));
        json_object_set_new(object, "tokens", json_integer(source->tokens));
        json_object_set_new(object, "documents_skipped",
                            json_integer(source->counts.documents_skipped));
        json_object_set_new(object, "lines_repaired", json_integer(source->counts.lines_repaired));
        json_array_append_new(list, object);
    }
    return list;
}
