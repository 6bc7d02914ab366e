/* See safetensors.h. */
#include "checkpoints/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

enum { LENGTH_BYTES = 8, HEADER_ALIGNMENT = 8 };

static const char metadata_key[] = "__metadata__";

static const struct {
    const char *name;
    int64_t size_bytes;
} element_types[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
    {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
    {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8},
};

void safetensors_close(struct safetensors *file)
{
    memory_release(file->tensors);
    json_decref(file->header);
    file_map_close(&file->map);
    *file = (struct safetensors){0};
}

/* Type, shape and element count of one header entry. */
static enum status shape_read(struct safetensor *tensor, const json_t *entry, const char *path,
                              int64_t *element_bytes, struct error *error)
{
    const char *type;
    TRY(json_member_text(entry, "dtype", path, &type, error));
    for (int64_t i = 0; i < ARRAY_LENGTH(element_types); i++) {
        if (strcmp(type, element_types[i].name) == 0) {
            tensor->type = element_types[i].name;
            *element_bytes = element_types[i].size_bytes;
        }
    }
    if (tensor->type == NULL) {
        FAIL(error, STATUS_FORMAT, "\"%s\": unknown dtype \"%.32s\"", path, type);
    }
    json_t *shape;
    TRY(json_member_array(entry, "shape", path, &shape, error));
    if (json_array_size(shape) > SAFETENSORS_AXES_MAX) {
        FAIL(error, STATUS_FORMAT, "\"%s\": shape of %zu axes, at most %d are read", path,
             json_array_size(shape), SAFETENSORS_AXES_MAX);
    }
    tensor->count = 1;
    size_t i;
    const json_t *axis;
    json_array_foreach(shape, i, axis)
    {
        const int64_t size = json_is_integer(axis) ? (int64_t)json_integer_value(axis) : -1;
        int64_t product;
        if (size < 0 || __builtin_mul_overflow(tensor->count, size, &product)) {
            FAIL(error, STATUS_FORMAT, "\"%s\": impossible shape", path);
        }
        tensor->shape[tensor->axes++] = size;
        tensor->count = product;
    }
    return STATUS_OK;
}

/* One header entry; data_bytes: what follows the header. */
static enum status tensor_read(struct safetensor *tensor, const json_t *entry,
                               const unsigned char *data, int64_t data_bytes, const char *path,
                               struct error *error)
{
    int64_t element_bytes = 0;
    const enum status shaped = shape_read(tensor, entry, path, &element_bytes, error);
    if (shaped != STATUS_OK) {
        return error_context(error, shaped, "tensor \"%.128s\"", tensor->name);
    }
    json_t *offsets;
    TRY(json_member_array(entry, "data_offsets", path, &offsets, error));
    const json_t *const first = json_array_get(offsets, 0);
    const json_t *const second = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": tensor \"%s\": data_offsets are not two integers", path,
             tensor->name);
    }
    const int64_t begin = (int64_t)json_integer_value(first);
    const int64_t end = (int64_t)json_integer_value(second);
    int64_t size_bytes;
    if (begin < 0 || end < begin || end > data_bytes) {
        FAIL(error, STATUS_FORMAT, "\"%s\": tensor \"%s\" lies at bytes %lld to %lld of %lld", path,
             tensor->name, (long long)begin, (long long)end, (long long)data_bytes);
    }
    if (__builtin_mul_overflow(tensor->count, element_bytes, &size_bytes) ||
        size_bytes != end - begin) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": tensor \"%s\" has %lld bytes, its shape and type need others", path,
             tensor->name, (long long)(end - begin));
    }
    tensor->data = data + begin;
    tensor->size_bytes = (size_t)size_bytes;
    return STATUS_OK;
}

static enum status metadata_check(json_t *metadata, const char *path, struct error *error)
{
    if (!json_is_object(metadata)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %s is not an object", path, metadata_key);
    }
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value)) {
            FAIL(error, STATUS_FORMAT, "\"%s\": %s \"%.64s\" is not a text", path, metadata_key,
                 key);
        }
    }
    return STATUS_OK;
}

static int data_compare(const void *a, const void *b)
{
    const struct safetensor *const first = a;
    const struct safetensor *const second = b;
    if (first->data != second->data) {
        return first->data < second->data ? -1 : 1;
    }
    return (first->size_bytes > second->size_bytes) - (first->size_bytes < second->size_bytes);
}

/* The tensors, in the order of their data, cover it without holes and without overlaps. */
static enum status cover_check(struct safetensors *file, const unsigned char *data,
                               int64_t data_bytes, const char *path, struct error *error)
{
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, data_compare);
    const unsigned char *end = data;
    for (int64_t i = 0; i < file->count; i++) {
        const struct safetensor *const tensor = &file->tensors[i];
        if (tensor->data != end) {
            FAIL(error, STATUS_FORMAT, "\"%s\": tensor \"%s\" %s", path, tensor->name,
                 tensor->data < end ? "overlaps with another" : "follows a hole");
        }
        end += tensor->size_bytes;
    }
    if (end != data + data_bytes) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %lld bytes behind the last tensor", path,
             (long long)(data + data_bytes - end));
    }
    return STATUS_OK;
}

static enum status tensors_read(struct safetensors *file, const char *path, int64_t header_bytes,
                                struct error *error)
{
    json_t *const header = file->header;
    if (!json_is_object(header)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": header is not an object", path);
    }
    const unsigned char *const data = file->map.data + LENGTH_BYTES + header_bytes;
    const int64_t data_bytes = (int64_t)file->map.size_bytes - LENGTH_BYTES - header_bytes;
    file->tensors =
        memory_take(json_object_size(header), sizeof *file->tensors, "safetensors header");
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, metadata_key) == 0) {
            TRY(metadata_check(entry, path, error));
            continue;
        }
        struct safetensor *const tensor = &file->tensors[file->count++];
        tensor->name = name;
        TRY(tensor_read(tensor, entry, data, data_bytes, path, error));
    }
    return cover_check(file, data, data_bytes, path, error);
}

static enum status content_read(struct safetensors *file, const char *path, struct error *error)
{
    const size_t size_bytes = file->map.size_bytes;
    if (size_bytes < LENGTH_BYTES) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %zu bytes, too short for a safetensors file", path,
             size_bytes);
    }
    uint64_t header_bytes = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) {
        header_bytes = header_bytes << 8 | file->map.data[i];
    }
    if (header_bytes > SAFETENSORS_HEADER_BYTES_MAX || header_bytes > size_bytes - LENGTH_BYTES) {
        FAIL(error, STATUS_FORMAT, "\"%s\": header of %llu bytes in a file of %zu (limit %d)", path,
             (unsigned long long)header_bytes, size_bytes, SAFETENSORS_HEADER_BYTES_MAX);
    }
    const char *const text = (const char *)file->map.data + LENGTH_BYTES;
    if (header_bytes == 0 || text[0] != '{') {
        FAIL(error, STATUS_FORMAT, "\"%s\": header does not begin with \"{\"", path);
    }
    json_t *header;
    TRY(json_read_text(path, text, (size_t)header_bytes, &header, error));
    file->header = header;
    return tensors_read(file, path, (int64_t)header_bytes, error);
}

enum status safetensors_open(struct safetensors *file, const char *path, struct error *error)
{
    *file = (struct safetensors){0};
    TRY(file_map_open(&file->map, path, error));
    const enum status status = content_read(file, path, error);
    if (status != STATUS_OK) {
        safetensors_close(file);
    }
    return status;
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
    for (int64_t i = 0; i < file->count; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float float_of_half(uint32_t half)
{
    const uint32_t sign = (half & 0x8000U) << 16;
    const uint32_t exponent = half >> 10 & 0x1fU;
    const uint32_t fraction = half & 0x3ffU;
    if (exponent == 0x1fU) { /* infinities and NaN */
        return float_of_bits(sign | 0x7f800000U | fraction << 13);
    }
    if (exponent != 0) {
        return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    }
    const float small = (float)fraction * 0x1p-24F; /* exact */
    return sign != 0 ? -small : small;
}

bool safetensor_floats(const struct safetensor *tensor, float *out)
{
    if (strcmp(tensor->type, "F32") == 0) {
        memcpy(out, tensor->data, tensor->size_bytes);
        return true;
    }
    const bool is_half = strcmp(tensor->type, "F16") == 0;
    if (!is_half && strcmp(tensor->type, "BF16") != 0) {
        return false;
    }
    for (int64_t i = 0; i < tensor->count; i++) {
        const uint32_t bits = (uint32_t)tensor->data[2 * i] | (uint32_t)tensor->data[2 * i + 1]
                                                                  << 8;
        out[i] = is_half ? float_of_half(bits) : float_of_bits(bits << 16);
    }
    return true;
}

static int source_compare(const void *a, const void *b)
{
    return strcmp(((const struct safetensor_source *)a)->name,
                  ((const struct safetensor_source *)b)->name);
}

/* The header as text, padded with spaces; caller frees with memory_release. Adds the data to
 * `pieces`. */
static enum status header_make(const struct safetensor_source *sources, int64_t count,
                               struct file_piece *pieces, char **text, size_t *text_bytes,
                               const char *path, struct error *error)
{
    json_t *const header = json_object();
    (void)json_object_set_new(header, metadata_key, json_pack("{ss}", "format", "pt"));
    int64_t offset = 0;
    bool packed = true;
    for (int64_t i = 0; i < count; i++) {
        const struct safetensor_source *const source = &sources[i];
        int64_t elements = 1;
        json_t *const shape = json_array();
        for (int64_t axis = 0; axis < source->axes; axis++) {
            (void)json_array_append_new(shape, json_integer((json_int_t)source->shape[axis]));
            elements *= source->shape[axis];
        }
        const int64_t end = offset + elements * (int64_t)sizeof *source->data;
        packed = json_object_set_new(header, source->name,
                                     json_pack("{ss so s[II]}", "dtype", "F32", "shape", shape,
                                               "data_offsets", (json_int_t)offset,
                                               (json_int_t)end)) == 0 &&
                 packed;
        pieces[i] = (struct file_piece){source->data, (size_t)(end - offset)};
        offset = end;
    }
    char *const dump = packed ? json_text(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (dump == NULL) {
        FAIL(error, STATUS_INTERNAL, "could not write \"%s\": a name is not UTF-8", path);
    }
    const size_t length = strlen(dump);
    *text_bytes = (length + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT * HEADER_ALIGNMENT;
    *text = memory_take(*text_bytes, 1, "safetensors header");
    memset(*text, ' ', *text_bytes);
    memcpy(*text, dump, length);
    memory_release(dump);
    return STATUS_OK;
}

enum status safetensors_write(const char *path, struct safetensor_source *sources, int64_t count,
                              struct error *error)
{
    qsort(sources, (size_t)count, sizeof *sources, source_compare);
    struct file_piece *const pieces =
        memory_take((size_t)count + 2, sizeof *pieces, "safetensors pieces");
    char *text = NULL;
    size_t text_bytes = 0;
    enum status status = header_make(sources, count, pieces + 2, &text, &text_bytes, path, error);
    unsigned char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++) {
        length[i] = (unsigned char)(text_bytes >> (8 * i));
    }
    pieces[0] = (struct file_piece){length, sizeof length};
    pieces[1] = (struct file_piece){text, text_bytes};
    if (status == STATUS_OK) {
        status = file_write_durable_pieces(path, pieces, count + 2, error);
    }
    memory_release(text);
    memory_release(pieces);
    return status;
}
