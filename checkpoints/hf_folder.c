/* See hf_folder.h. */
#include "checkpoints/hf_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "checkpoints/hf_config.h"
#include "checkpoints/hf_tokenizer.h"
#include "checkpoints/safetensors.h"

enum { MISSING_NAMED_MAX = 4, MISSING_TEXT_BYTES = 640 };

static const char weights_name[] = "model.safetensors";

static enum status weights_write(const char *path, const struct parameter_table *table,
                                 const float *weights, struct error *error)
{
    struct safetensor_source *const sources =
        memory_take((size_t)table->row_count, sizeof *sources, "export");
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        sources[i] =
            (struct safetensor_source){row->name, row->rows, row->cols, weights + row->offset};
    }
    const enum status status = safetensors_write(path, sources, table->row_count, error);
    memory_release(sources);
    return status;
}

static enum status content_write(const char *folder, const struct model_options *options,
                                 const struct parameter_table *table, const float *weights,
                                 const char *tokenizer_folder, struct error *error)
{
    char path[PATH_BYTES];
    struct hf_token_ids ids = {.bos = 0,
                               .eos = 2}; /* RoBERTa's, unless a tokenizer says otherwise */
    TRY(folder_make(folder, error));
    if (tokenizer_folder != NULL) {
        TRY(hf_tokenizer_write(tokenizer_folder, folder, options->positions, &ids, error));
    }
    TRY(path_join(path, folder, "config.json", error));
    TRY(hf_config_write(path, options, &ids, error));
    TRY(path_join(path, folder, weights_name, error));
    TRY(weights_write(path, table, weights, error));
    return folder_flush(folder, error);
}

static enum status target_check(const char *folder, struct error *error)
{
    if (file_exists(folder)) {
        FAIL(error, STATUS_INPUT, "could not export to \"%s\": it is a file", folder);
    }
    if (!folder_exists(folder)) {
        return STATUS_OK;
    }
    struct folder_list list;
    TRY(folder_list_open(&list, folder, error));
    const int64_t count = list.count;
    folder_list_close(&list);
    if (count != 0) {
        FAIL(error, STATUS_INPUT, "could not export to \"%s\": the folder is not empty", folder);
    }
    return STATUS_OK;
}

/* PARENT/.NAME.partial, which a rename makes FOLDER. */
static enum status partial_path(char partial[PATH_BYTES], char parent[PATH_BYTES],
                                const char *folder, struct error *error)
{
    path_folder(folder, parent);
    const int length = snprintf(partial, PATH_BYTES, "%s/.%s.partial", parent, path_name(folder));
    if (length < 0 || length >= PATH_BYTES) {
        FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.64s…\"", PATH_BYTES - 1,
             folder);
    }
    return STATUS_OK;
}

enum status hf_folder_write(const char *folder, const struct model_options *options,
                            const struct parameter_table *table, const float *weights,
                            const char *tokenizer_folder, struct error *error)
{
    char target[PATH_BYTES];
    char parent[PATH_BYTES];
    char partial[PATH_BYTES];
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') {
        length--;
    }
    if (length == 0 || length >= sizeof target) {
        FAIL(error, STATUS_INPUT, "could not export to \"%.64s\": empty or too long a path",
             folder);
    }
    memcpy(target, folder, length);
    target[length] = '\0';
    TRY(target_check(target, error));
    TRY(partial_path(partial, parent, target, error));
    TRY(folder_make(parent, error));
    TRY(folder_remove(partial, error)); /* of an export that was interrupted */
    enum status status = content_write(partial, options, table, weights, tokenizer_folder, error);
    if (status == STATUS_OK) {
        status = file_rename(partial, target, error);
    }
    if (status != STATUS_OK) {
        struct error ignored; /* the first error is the one to tell */
        (void)!folder_remove(partial, &ignored);
        return status;
    }
    return folder_flush(parent, error);
}

enum status hf_folder_options(const char *folder, struct model_options *options,
                              struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, folder, "config.json", error));
    return hf_config_read(path, options, error);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    const size_t end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The tensor of a row, also under the names that older files use. */
static const struct safetensor *tensor_of(const struct safetensors *file,
                                          const struct parameter *row)
{
    static const struct {
        const char *end;
        const char *older;
    } others[] = {
        {"LayerNorm.weight", "LayerNorm.gamma"},
        {"LayerNorm.bias", "LayerNorm.beta"},
        {"lm_head.bias", "lm_head.decoder.bias"},
    };
    const struct safetensor *found = safetensors_find(file, row->name);
    for (int64_t i = 0; i < ARRAY_LENGTH(others) && found == NULL; i++) {
        if (ends_with(row->name, others[i].end)) {
            char name[PARAMETER_NAME_BYTES + 16];
            const size_t front = strlen(row->name) - strlen(others[i].end);
            (void)snprintf(name, sizeof name, "%.*s%s", (int)front, row->name, others[i].older);
            found = safetensors_find(file, name);
        }
    }
    return found;
}

static enum status row_read(const struct safetensor *tensor, const struct parameter *row,
                            const char *path, float *out, struct error *error)
{
    const int64_t axes = row->cols == 0 ? 1 : 2;
    if (tensor->axes != axes || tensor->shape[0] != row->rows ||
        (axes == 2 && tensor->shape[1] != row->cols)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": tensor \"%s\" has another shape than config.json says: expected (%lld, %lld)",
             path, tensor->name, (long long)row->rows, (long long)row->cols);
    }
    if (!safetensor_floats(tensor, out)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": tensor \"%s\" is %s, expected F32, F16 or BF16", path,
             tensor->name, tensor->type);
    }
    return STATUS_OK;
}

/* A tied tensor that was saved nevertheless must equal the row it is tied to. */
static enum status copy_check(const struct safetensor *tensor, const struct parameter *row,
                              const float *weights, const char *path, struct error *error)
{
    float *const values = memory_take((size_t)tensor->count, sizeof *values, "import");
    const bool equal =
        tensor->count == row->count && safetensor_floats(tensor, values) &&
        memcmp(values, weights + row->offset, (size_t)row->count * sizeof *values) == 0;
    memory_release(values);
    if (!equal) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": tensor \"%s\" differs from \"%s\", untied heads are not supported", path,
             tensor->name, row->name);
    }
    return STATUS_OK;
}

/* Tensors that no row took: tied copies are compared, buffers skipped, the rest counted. */
static enum status others_check(const struct safetensors *file, const bool *taken,
                                const struct parameter_table *table, const float *weights,
                                const char *path, struct error *error)
{
    int64_t unexpected = 0;
    const char *example = "";
    for (int64_t i = 0; i < file->count; i++) {
        const struct safetensor *const tensor = &file->tensors[i];
        const char *tied = strcmp(tensor->name, "lm_head.decoder.weight") == 0
                               ? "word_embeddings.weight"
                           : strcmp(tensor->name, "lm_head.decoder.bias") == 0 ? "lm_head.bias"
                                                                               : NULL;
        if (taken[i] || ends_with(tensor->name, ".position_ids") ||
            ends_with(tensor->name, ".token_type_ids")) {
            continue;
        }
        if (tied == NULL) {
            unexpected++;
            example = tensor->name;
            continue;
        }
        for (int64_t row = 0; row < table->row_count; row++) {
            if (ends_with(table->rows[row].name, tied)) {
                TRY(copy_check(tensor, &table->rows[row], weights, path, error));
            }
        }
    }
    if (unexpected > 0) {
        log_line(LOG_LEVEL_WARN, "import_ignores_tensors count=%lld example=\"%s\" path=\"%s\"",
                 (long long)unexpected, example, path);
    }
    return STATUS_OK;
}

static void missing_add(char text[MISSING_TEXT_BYTES], int64_t index, const char *name)
{
    if (index < MISSING_NAMED_MAX) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, MISSING_TEXT_BYTES - used, "%s%s", index == 0 ? "" : ", ",
                       name);
    }
}

static enum status rows_read(const struct safetensors *file, bool *taken,
                             const struct parameter_table *table, float *weights, const char *path,
                             struct error *error)
{
    char missing[MISSING_TEXT_BYTES] = "";
    int64_t missing_count = 0;
    memset(weights, 0, (size_t)table->element_count * sizeof *weights); /* padding */
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        const struct safetensor *const tensor = tensor_of(file, row);
        if (tensor == NULL) {
            missing_add(missing, missing_count++, row->name);
            continue;
        }
        TRY(row_read(tensor, row, path, weights + row->offset, error));
        taken[tensor - file->tensors] = true;
    }
    if (missing_count > 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %lld tensors are missing: %s%s", path,
             (long long)missing_count, missing, missing_count > MISSING_NAMED_MAX ? ", …" : "");
    }
    return others_check(file, taken, table, weights, path, error);
}

enum status hf_folder_weights(const char *folder, const struct parameter_table *table,
                              float *weights, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, folder, weights_name, error));
    struct safetensors file;
    TRY(safetensors_open(&file, path, error));
    bool *const taken = memory_take((size_t)file.count, sizeof *taken, "import");
    const enum status status = rows_read(&file, taken, table, weights, path, error);
    memory_release(taken);
    safetensors_close(&file);
    return status;
}
