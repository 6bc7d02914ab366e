/* Where the text of a slot comes from: which documents, of which source files. Documents of a file
 * are counted from 0, those without a token left out (the manifest counts them so too). */
#ifndef SHARDLM_DATA_PIPELINE_PROVENANCE_H
#define SHARDLM_DATA_PIPELINE_PROVENANCE_H

#include "base/json.h"
#include "data_pipeline/data_source.h"

struct provenance; /* borrows its data source */

/* One stretch of a document in a slot. */
struct provenance_part {
    int64_t row; /* of the corpus index */
    int64_t epoch;
    int64_t document;        /* in the corpus, from 0 */
    int64_t offset, count;   /* tokens of the document */
    const char *source;      /* file, as it was given to the build; "" if it is not known */
    int64_t source_document; /* in that file, from 0; -1: not known */
};

/* STATUS_INPUT for synthetic data, which has no documents. */
MUST_CHECK enum status provenance_open(struct provenance **provenance,
                                       const struct data_source *source, struct error *error);
void provenance_close(struct provenance *provenance); /* accepts NULL */
/* All parts of a slot in order; *parts (memory_release) borrows texts from `provenance`. */
MUST_CHECK enum status provenance_slot(const struct provenance *provenance, int64_t step,
                                       int64_t slot, struct provenance_part **parts, int64_t *count,
                                       struct error *error);
/* A sentence for messages: the documents of a slot, the first few by name; cut to size_bytes.
 * Synthetic data and failures give a text that says so. */
void provenance_text(const struct data_source *source, int64_t step, int64_t slot, char *text,
                     size_t size_bytes);

#endif
