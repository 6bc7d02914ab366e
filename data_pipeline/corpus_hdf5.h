/* HDF5 as the corpus shards use it: one-dimensional contiguous datasets and attributes of the root group. Silent:
 * HDF5's own error printing is off, its reason becomes part of our message. The only file of this folder that sees
 * HDF5. Not thread-safe. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_HDF5_H
#define SHARDLM_DATA_PIPELINE_CORPUS_HDF5_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct corpus_hdf5 {
    int64_t file;     /* HDF5's handle; 0 when closed */
    const char *path; /* borrowed until close */
};

enum corpus_element {
    CORPUS_ELEMENT_UINT16,
    CORPUS_ELEMENT_UINT32,
    CORPUS_ELEMENT_INT64,
    CORPUS_ELEMENT_UINT64,
};

MUST_CHECK enum status corpus_hdf5_create(struct corpus_hdf5 *hdf5, const char *path,
                                          struct error *error);
MUST_CHECK enum status corpus_hdf5_open(struct corpus_hdf5 *hdf5, const char *path,
                                        struct error *error);
MUST_CHECK enum status corpus_hdf5_close(struct corpus_hdf5 *hdf5, struct error *error);
/* *offset_bytes: where the data lies in the file. */
MUST_CHECK enum status corpus_hdf5_write(const struct corpus_hdf5 *hdf5, const char *name,
                                         enum corpus_element element, const void *data,
                                         int64_t count, int64_t *offset_bytes, struct error *error);
/* Checks that the dataset exists, is contiguous and holds `count` elements of the kind; gives its place. */
MUST_CHECK enum status corpus_hdf5_find(const struct corpus_hdf5 *hdf5, const char *name,
                                        enum corpus_element element, int64_t count,
                                        int64_t *offset_bytes, struct error *error);
MUST_CHECK enum status corpus_hdf5_put_integers(const struct corpus_hdf5 *hdf5, const char *name,
                                                const int64_t *values, int64_t count,
                                                struct error *error);
MUST_CHECK enum status corpus_hdf5_get_integers(const struct corpus_hdf5 *hdf5, const char *name,
                                                int64_t *values, int64_t count,
                                                struct error *error);
MUST_CHECK enum status corpus_hdf5_put_text(const struct corpus_hdf5 *hdf5, const char *name,
                                            const char *text, struct error *error);
/* Compares: STATUS_FORMAT unless the attribute is exactly `text` (under 256 bytes). */
MUST_CHECK enum status corpus_hdf5_match_text(const struct corpus_hdf5 *hdf5, const char *name,
                                              const char *text, struct error *error);

#endif
