/* The manifest corpus.json of a corpus folder, read. Writing it: corpus_manifest_write in corpus_folder.h. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_MANIFEST_H
#define SHARDLM_DATA_PIPELINE_CORPUS_MANIFEST_H

#include "data_pipeline/corpus_shard.h"

struct corpus_manifest {
    struct corpus_facts facts;
    struct corpus_shard_entry *entries; /* (entry_count) */
    int64_t entry_count;
};

/* STATUS_INPUT if the folder holds no manifest, STATUS_FORMAT names the key that is not as it must be. */
MUST_CHECK enum status corpus_manifest_read(struct corpus_manifest *manifest, const char *folder,
                                            struct error *error);
void corpus_manifest_deinit(struct corpus_manifest *manifest); /* accepts a zeroed manifest */

#endif
