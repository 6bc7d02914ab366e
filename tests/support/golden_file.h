/* Reads golden tensors (safetensors files of shared/golden, or the small copy in tests/golden/data)
 * for tests. Apart from checkpoints/safetensors.h so that tests of folders left of checkpoints/ can
 * use it, and so that a reader never checks itself. Whatever is wrong with a file ends the test
 * with a message; nothing returns a status.
 *
 *     struct golden_file file;
 *     golden_file_open(&file, "ops/gelu_erf.safetensors");
 *     const struct golden_tensor x = golden_file_find(&file, "x");
 *     ... golden_value(&x, i) ...
 *     golden_file_close(&file);
 */
#ifndef SHARDLM_TESTS_SUPPORT_GOLDEN_FILE_H
#define SHARDLM_TESTS_SUPPORT_GOLDEN_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/json.h"

enum golden_type {
    GOLDEN_TYPE_F32,
    GOLDEN_TYPE_F64,
    GOLDEN_TYPE_I32,
    GOLDEN_TYPE_I64,
    GOLDEN_TYPE_U8, /* BOOL too */
};

enum { GOLDEN_AXES_MAX = 8 };

struct golden_tensor {
    enum golden_type type;
    int axis_count;
    int64_t shape[GOLDEN_AXES_MAX];
    int64_t count;              /* elements: product of shape, 1 for a scalar */
    const unsigned char *bytes; /* borrows from the file; not aligned */
};

struct golden_file {
    char path[PATH_BYTES];
    struct file_map map;
    json_t *header;
    const unsigned char *data;
    int64_t data_bytes;
};

/* `name` under shared/golden/data, else under tests/golden/data. */
void golden_path(char path[PATH_BYTES], const char *name);
void golden_file_open(struct golden_file *file, const char *name);
void golden_file_open_path(struct golden_file *file, const char *path);
void golden_file_close(struct golden_file *file);

bool golden_file_has(const struct golden_file *file, const char *name);
struct golden_tensor golden_file_find(const struct golden_file *file, const char *name);
/* Calls `visit` for each tensor in the order of the header. */
void golden_file_each(const struct golden_file *file,
                      void (*visit)(void *context, const char *name,
                                    const struct golden_tensor *tensor),
                      void *context);

/* Element i of a float (F32, F64) or integer (I32, I64, U8) tensor. */
double golden_value(const struct golden_tensor *tensor, int64_t i);
int64_t golden_integer(const struct golden_tensor *tensor, int64_t i);
/* All elements, converted; caller frees with memory_release. */
float *golden_floats(const struct golden_tensor *tensor);
double *golden_doubles(const struct golden_tensor *tensor);
int32_t *golden_int32s(const struct golden_tensor *tensor);

/* |a - b| / |b| in the L2 norm (|a| where b is 0), in double. */
double golden_distance(const float *a, const double *b, int64_t count);

#endif
