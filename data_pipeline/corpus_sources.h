/* The files of a corpus build, in order, and what was found in each. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_SOURCES_H
#define SHARDLM_DATA_PIPELINE_CORPUS_SOURCES_H

#include "base/json.h"
#include "data_pipeline/corpus_text.h"

struct corpus_source {
    char *path;
    int64_t size_bytes;
    int64_t documents;
    int64_t tokens;
    struct corpus_text_counts counts;
};

struct corpus_sources {
    struct corpus_source *files; /* (count) */
    size_t capacity;
    int64_t count;
    int64_t size_bytes;  /* of all files */
    int64_t passed_over; /* files in folders whose kind is not known */
};

/* Lists files and folders (their known files by name, with subfolders). Release with corpus_sources_deinit, also after
 * a failure. */
MUST_CHECK enum status corpus_sources_list(struct corpus_sources *sources, const char *const *paths,
                                           int64_t path_count, struct error *error);
void corpus_sources_deinit(struct corpus_sources *sources);
/* For the manifest; caller owns the reference. */
json_t *corpus_sources_json(const struct corpus_sources *sources);

#endif
