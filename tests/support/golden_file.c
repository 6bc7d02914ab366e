/* See golden_file.h. */
#include "tests/support/golden_file.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "tests/support/suite.h"

static const struct {
    const char *name;
    enum golden_type type;
    int64_t size_bytes;
} golden_types[] = {
    {"F32", GOLDEN_TYPE_F32, 4}, {"F64", GOLDEN_TYPE_F64, 8}, {"I32", GOLDEN_TYPE_I32, 4},
    {"I64", GOLDEN_TYPE_I64, 8}, {"U8", GOLDEN_TYPE_U8, 1},   {"BOOL", GOLDEN_TYPE_U8, 1},
};

void golden_path(char path[PATH_BYTES], const char *name)
{
    struct error error = {0};
    CHECK_OK(path_join(path, SHARDLM_GOLDEN_SHARED, name, &error), error);
    if (!file_exists(path)) {
        CHECK_OK(path_join(path, SHARDLM_GOLDEN_SMALL, name, &error), error);
    }
    ck_assert_msg(file_exists(path), "golden file \"%s\" is neither in %s nor in %s", name,
                  SHARDLM_GOLDEN_SHARED, SHARDLM_GOLDEN_SMALL);
}

void golden_file_open(struct golden_file *file, const char *name)
{
    char path[PATH_BYTES];
    golden_path(path, name);
    golden_file_open_path(file, path);
}

void golden_file_open_path(struct golden_file *file, const char *path)
{
    struct error error = {0};
    *file = (struct golden_file){0};
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    CHECK_OK(file_map_open(&file->map, path, &error), error);
    uint64_t header_bytes = 0;
    ck_assert_msg(file->map.size_bytes >= sizeof header_bytes, "%s is too short", path);
    memcpy(&header_bytes, file->map.data, sizeof header_bytes);
    ck_assert_msg(header_bytes <= file->map.size_bytes - sizeof header_bytes,
                  "%s: header ends behind the file", path);
    const char *const text = (const char *)file->map.data + sizeof header_bytes;
    CHECK_OK(json_read_text(path, text, (size_t)header_bytes, &file->header, &error), error);
    file->data = file->map.data + sizeof header_bytes + header_bytes;
    file->data_bytes = (int64_t)(file->map.size_bytes - sizeof header_bytes - header_bytes);
}

void golden_file_close(struct golden_file *file)
{
    json_decref(file->header);
    file_map_close(&file->map);
    *file = (struct golden_file){0};
}

bool golden_file_has(const struct golden_file *file, const char *name)
{
    return json_object_get(file->header, name) != NULL;
}

static struct golden_tensor tensor_read(const struct golden_file *file, const char *name,
                                        const json_t *entry)
{
    struct golden_tensor tensor = {.count = 1};
    int64_t size_bytes = 0;
    const char *const type = json_string_value(json_object_get(entry, "dtype"));
    for (int64_t i = 0; type != NULL && i < ARRAY_LENGTH(golden_types); i++) {
        if (strcmp(type, golden_types[i].name) == 0) {
            tensor.type = golden_types[i].type;
            size_bytes = golden_types[i].size_bytes;
        }
    }
    ck_assert_msg(size_bytes > 0, "%s: tensor \"%s\" has another type", file->path, name);
    const json_t *const shape = json_object_get(entry, "shape");
    ck_assert_msg(json_is_array(shape) && json_array_size(shape) <= GOLDEN_AXES_MAX,
                  "%s: shape of \"%s\"", file->path, name);
    for (size_t axis = 0; axis < json_array_size(shape); axis++) {
        const int64_t length = json_integer_value(json_array_get(shape, axis));
        ck_assert_msg(length >= 0 && length <= file->data_bytes, "%s: shape of \"%s\"", file->path,
                      name);
        tensor.shape[tensor.axis_count++] = length;
        tensor.count *= length;
        ck_assert_msg(tensor.count <= file->data_bytes, "%s: shape of \"%s\"", file->path, name);
    }
    const json_t *const place = json_object_get(entry, "data_offsets");
    const int64_t first = json_integer_value(json_array_get(place, 0));
    const int64_t end = json_integer_value(json_array_get(place, 1));
    ck_assert_msg(first >= 0 && end <= file->data_bytes && end - first == tensor.count * size_bytes,
                  "%s: place of \"%s\"", file->path, name);
    tensor.bytes = file->data + first;
    return tensor;
}

struct golden_tensor golden_file_find(const struct golden_file *file, const char *name)
{
    const json_t *const entry = json_object_get(file->header, name);
    ck_assert_msg(entry != NULL, "%s has no tensor \"%s\"", file->path, name);
    return tensor_read(file, name, entry);
}

void golden_file_each(const struct golden_file *file,
                      void (*visit)(void *context, const char *name,
                                    const struct golden_tensor *tensor),
                      void *context)
{
    const char *name;
    json_t *entry;
    json_object_foreach(file->header, name, entry)
    {
        if (strcmp(name, "__metadata__") != 0) {
            const struct golden_tensor tensor = tensor_read(file, name, entry);
            visit(context, name, &tensor);
        }
    }
}

double golden_value(const struct golden_tensor *tensor, int64_t i)
{
    ck_assert(i >= 0 && i < tensor->count);
    if (tensor->type == GOLDEN_TYPE_F64) {
        double value;
        memcpy(&value, tensor->bytes + (size_t)i * sizeof value, sizeof value);
        return value;
    }
    ck_assert_int_eq(tensor->type, GOLDEN_TYPE_F32);
    float value;
    memcpy(&value, tensor->bytes + (size_t)i * sizeof value, sizeof value);
    return (double)value;
}

int64_t golden_integer(const struct golden_tensor *tensor, int64_t i)
{
    ck_assert(i >= 0 && i < tensor->count);
    if (tensor->type == GOLDEN_TYPE_I64) {
        int64_t value;
        memcpy(&value, tensor->bytes + (size_t)i * sizeof value, sizeof value);
        return value;
    }
    if (tensor->type == GOLDEN_TYPE_I32) {
        int32_t value;
        memcpy(&value, tensor->bytes + (size_t)i * sizeof value, sizeof value);
        return value;
    }
    ck_assert_int_eq(tensor->type, GOLDEN_TYPE_U8);
    return tensor->bytes[i];
}

float *golden_floats(const struct golden_tensor *tensor)
{
    float *const values = memory_take((size_t)tensor->count, sizeof *values, "golden tensor");
    for (int64_t i = 0; i < tensor->count; i++) {
        values[i] = (float)golden_value(tensor, i);
    }
    return values;
}

double *golden_doubles(const struct golden_tensor *tensor)
{
    double *const values = memory_take((size_t)tensor->count, sizeof *values, "golden tensor");
    for (int64_t i = 0; i < tensor->count; i++) {
        values[i] = golden_value(tensor, i);
    }
    return values;
}

int32_t *golden_int32s(const struct golden_tensor *tensor)
{
    int32_t *const values = memory_take((size_t)tensor->count, sizeof *values, "golden tensor");
    for (int64_t i = 0; i < tensor->count; i++) {
        values[i] = (int32_t)golden_integer(tensor, i);
    }
    return values;
}

double golden_distance(const float *a, const double *b, int64_t count)
{
    double difference = 0;
    double size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += b[i] * b[i];
    }
    return sqrt(size > 0 ? difference / size : difference);
}
