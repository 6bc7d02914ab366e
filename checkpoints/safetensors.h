/* The safetensors format: 8 bytes header length (little-endian), a JSON header, the tensors' bytes.
 *
 *     {"__metadata__": {"format": "pt"}, "NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}
 *
 * Read by memory map: the file must not be cut short by others while it is open. Everything in the header is checked
 * before use; what the reference implementation refuses (holes, overlaps, duplicates, wrong sizes, trailing bytes) is
 * refused here too. Written as the reference writes: sorted by name, header padded with spaces to eight bytes. */
#ifndef SHARDLM_CHECKPOINTS_SAFETENSORS_H
#define SHARDLM_CHECKPOINTS_SAFETENSORS_H

#include "base/error.h"
#include "base/file.h"

enum {
    SAFETENSORS_HEADER_BYTES_MAX = 100000000, /* as in the reference */
    SAFETENSORS_AXES_MAX = 8,
};

struct safetensor {
    const char *name;
    const char *type; /* "F32", "BF16", …; of static life */
    int64_t shape[SAFETENSORS_AXES_MAX];
    int64_t axes;              /* 0: a scalar */
    int64_t count;             /* elements */
    const unsigned char *data; /* not aligned */
    size_t size_bytes;
};

struct safetensors {
    struct file_map map;
    struct safetensor *tensors; /* in the order of their data */
    int64_t count;
    void *header; /* keeps the names */
};

/* STATUS_INPUT if there is no such file, STATUS_FORMAT with the place if it is not valid. */
MUST_CHECK enum status safetensors_open(struct safetensors *file, const char *path,
                                        struct error *error);
void safetensors_close(struct safetensors *file); /* accepts a zeroed file */
const struct safetensor *safetensors_find(const struct safetensors *file,
                                          const char *name); /* or NULL */
/* All elements as fp32, exactly; false unless the type is F32, F16 or BF16. */
bool safetensor_floats(const struct safetensor *tensor, float *out /* (count) */);

/* A tensor to write, fp32. */
struct safetensor_source {
    const char *name;
    const int64_t *shape; /* (axes) borrowed for the call, as the data */
    int64_t axes;
    const float *data;
};
/* Durable, with metadata {"format": "pt"}. Sorts `sources` by name. */
MUST_CHECK enum status safetensors_write(const char *path, struct safetensor_source *sources,
                                         int64_t count, struct error *error);

#endif
