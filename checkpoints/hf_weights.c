/* See hf_weights.h. */
#include "checkpoints/hf_weights.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"

enum {
    INDEX_BYTES_MAX = 64 << 20,
    NAMED_MAX = 4, /* in a message */
    NAMES_BYTES = 640,
    NAME_BYTES = 2 * PARAMETER_NAME_BYTES,
};

/* ---- files */

void hf_weights_close(struct hf_weights *weights)
{
    for (int64_t i = 0; i < weights->file_count; i++) {
        safetensors_close(&weights->files[i]);
    }
    memory_release(weights->files);
    memory_release(weights->paths);
    memset(weights, 0, sizeof *weights);
}

static enum status file_add(struct hf_weights *weights, const char *folder, const char *name,
                            struct error *error)
{
    char *const path = weights->paths[weights->file_count];
    TRY(path_join(path, folder, name, error));
    for (int64_t i = 0; i < weights->file_count; i++) {
        if (strcmp(path, weights->paths[i]) == 0) {
            return STATUS_OK;
        }
    }
    if (weights->file_count + 2 > HF_WEIGHTS_FILES_MAX) {
        FAIL(error, STATUS_LIMIT, "\"%s\": more than %d files of weights", weights->path,
             HF_WEIGHTS_FILES_MAX - 2);
    }
    TRY(safetensors_open(&weights->files[weights->file_count], path, error));
    weights->file_count++;
    return STATUS_OK;
}

static enum status index_read(struct hf_weights *weights, const char *folder, const json_t *root,
                              struct error *error)
{
    json_t *map;
    TRY(json_member_object(root, "weight_map", weights->path, &map, error));
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        const char *const file = json_string_value(value);
        if (file == NULL || file[0] == '\0' || file[0] == '.' || strchr(file, '/') != NULL ||
            strlen(file) != json_string_length(value)) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": tensor \"%.128s\" lies in no file of the same folder", weights->path,
                 name);
        }
        TRY(file_add(weights, folder, file, error));
    }
    return STATUS_OK;
}

static enum status files_open(struct hf_weights *weights, const char *folder, struct error *error)
{
    TRY(path_join(weights->path, folder, HF_WEIGHTS_FILE, error));
    char index[PATH_BYTES];
    TRY(path_join(index, folder, HF_WEIGHTS_INDEX, error));
    if (file_exists(weights->path) || !file_exists(index)) {
        TRY(file_add(weights, folder, HF_WEIGHTS_FILE, error));
    } else {
        memcpy(weights->path, index, sizeof index);
        json_t *root;
        TRY(json_read_file(index, INDEX_BYTES_MAX, &root, error));
        const enum status status = index_read(weights, folder, root, error);
        json_decref(root);
        TRY(status);
    }
    char span[PATH_BYTES];
    TRY(path_join(span, folder, HF_WEIGHTS_SPAN_FILE, error));
    return file_exists(span) ? file_add(weights, folder, HF_WEIGHTS_SPAN_FILE, error) : STATUS_OK;
}

/* ---- names */

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    const size_t end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static const struct safetensor *find_exactly(const struct hf_weights *weights, const char *name)
{
    const struct safetensor *found = NULL;
    for (int64_t i = 0; i < weights->file_count && found == NULL; i++) {
        found = safetensors_find(&weights->files[i], name);
    }
    return found;
}

/* The part of a table's name behind the family's prefix, or NULL: a head's name. */
static const char *behind_prefix(const struct hf_weights *weights, const char *name)
{
    const size_t length = strlen(weights->prefix);
    return strncmp(name, weights->prefix, length) == 0 ? name + length : NULL;
}

/* Finds out what stands before the names, from that of the word table. */
static enum status leads_find(struct hf_weights *weights, const struct parameter_table *table,
                              struct error *error)
{
    const struct parameter *const word =
        parameter_of(table, parameter_embedding_group(table), PARAMETER_WORD);
    const char *const dot = strchr(word->name, '.');
    INVARIANT(dot != NULL);
    memcpy(weights->prefix, word->name, (size_t)(dot + 1 - word->name));
    const char *const bare = dot + 1;
    const struct safetensor *found = find_exactly(weights, word->name);
    for (int64_t i = 0; i < weights->file_count && found == NULL; i++) {
        for (int64_t k = 0; k < weights->files[i].count && found == NULL; k++) {
            const char *const name = weights->files[i].tensors[k].name;
            const size_t front = strlen(name) - (ends_with(name, bare) ? strlen(bare) : 0);
            if (name[front] != '\0' && (front == 0 || name[front - 1] == '.')) {
                found = &weights->files[i].tensors[k];
            }
        }
    }
    if (found == NULL) {
        FAIL(error, STATUS_FORMAT, "\"%s\": no word embedding (\"%s\") in it", weights->path,
             word->name);
    }
    const size_t lead = strlen(found->name) - strlen(bare);
    if (lead >= sizeof weights->lead) {
        FAIL(error, STATUS_FORMAT, "\"%s\": the name \"%.128s…\" is too long", weights->path,
             found->name);
    }
    memcpy(weights->lead, found->name, lead);
    if (ends_with(weights->lead, weights->prefix)) {
        memcpy(weights->head_lead, weights->lead, lead - strlen(weights->prefix));
    }
    return STATUS_OK;
}

const struct safetensor *hf_weights_find(const struct hf_weights *weights, const char *name)
{
    static const struct {
        const char *end;
        const char *other;
    } others[] = {
        {"LayerNorm.weight", "LayerNorm.gamma"},
        {"LayerNorm.bias", "LayerNorm.beta"},
        {"lm_head.bias", "lm_head.decoder.bias"},
        {"predictions.bias", "predictions.decoder.bias"},
    };
    char full[NAME_BYTES];
    const char *const bare = behind_prefix(weights, name);
    (void)snprintf(full, sizeof full, "%s%s", bare != NULL ? weights->lead : weights->head_lead,
                   bare != NULL ? bare : name);
    const struct safetensor *found = find_exactly(weights, full);
    for (int64_t i = 0; i < ARRAY_LENGTH(others) && found == NULL; i++) {
        if (ends_with(full, others[i].end)) {
            char other[NAME_BYTES + 16];
            (void)snprintf(other, sizeof other, "%.*s%s",
                           (int)(strlen(full) - strlen(others[i].end)), full, others[i].other);
            found = find_exactly(weights, other);
        }
    }
    return found;
}

enum status hf_weights_open(struct hf_weights *weights, const char *folder,
                            const struct parameter_table *table, struct error *error)
{
    memset(weights, 0, sizeof *weights);
    weights->paths = memory_take(HF_WEIGHTS_FILES_MAX, sizeof *weights->paths, "weights");
    weights->files = memory_take(HF_WEIGHTS_FILES_MAX, sizeof *weights->files, "weights");
    enum status status = files_open(weights, folder, error);
    if (status == STATUS_OK) {
        status = leads_find(weights, table, error);
    }
    if (status != STATUS_OK) {
        hf_weights_close(weights);
    }
    return status;
}

/* ---- values */

static enum status row_read(const struct hf_weights *weights, const struct safetensor *tensor,
                            const struct parameter *row, float *out, struct error *error)
{
    bool same = tensor->axes == row->axis_count;
    for (int64_t axis = 0; axis < row->axis_count && same; axis++) {
        same = tensor->shape[axis] == row->shape[axis];
    }
    if (!same) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": tensor \"%s\" has another shape than config.json says: expected (%lld, %lld)",
             weights->path, tensor->name, (long long)row->rows, (long long)row->cols);
    }
    if (!safetensor_floats(tensor, out)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": tensor \"%s\" is %s, expected F32, F16 or BF16",
             weights->path, tensor->name, tensor->type);
    }
    return STATUS_OK;
}

/* The role of what a tied tensor copies, by the end of its name; -1: it is no such copy. */
static int tied_role(const char *name)
{
    static const struct {
        const char *end;
        enum parameter_role role;
    } tied[] = {
        {"lm_head.decoder.weight", PARAMETER_WORD},
        {"lm_head.weight", PARAMETER_WORD},
        {"predictions.decoder.weight", PARAMETER_WORD},
        {"lm_loss.weight", PARAMETER_WORD},
        {"lm_head.decoder.bias", PARAMETER_DECODER_BIAS},
        {"predictions.decoder.bias", PARAMETER_DECODER_BIAS},
    };
    for (int64_t i = 0; i < ARRAY_LENGTH(tied); i++) {
        if (ends_with(name, tied[i].end)) {
            return (int)tied[i].role;
        }
    }
    return -1;
}

/* A tied tensor that was saved nevertheless must equal the row it is tied to. */
static enum status copy_check(const struct hf_weights *weights, const struct safetensor *tensor,
                              const struct parameter *row, const float *out, struct error *error)
{
    float *const values = memory_take((size_t)tensor->count, sizeof *values, "import");
    const bool equal = tensor->count == row->count && safetensor_floats(tensor, values) &&
                       memcmp(values, out + row->offset, (size_t)row->count * sizeof *values) == 0;
    memory_release(values);
    if (!equal) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": tensor \"%s\" differs from \"%s\", untied heads are not supported",
             weights->path, tensor->name, row->name);
    }
    return STATUS_OK;
}

/* Values that are computed, not learnt; older versions saved them. */
static bool is_buffer(const char *name)
{
    static const char *const ends[] = {"position_ids", "token_type_ids", ".attn.bias",
                                       ".attn.masked_bias"};
    for (int64_t i = 0; i < ARRAY_LENGTH(ends); i++) {
        if (ends_with(name, ends[i])) {
            return true;
        }
    }
    return false;
}

/* Names for a message: the first few, then how many more. */
struct names {
    char text[NAMES_BYTES];
    int64_t count;
};

static void names_add(struct names *names, const char *name)
{
    if (names->count < NAMED_MAX) {
        const size_t used = strlen(names->text);
        (void)snprintf(names->text + used, sizeof names->text - used, "%s%.128s",
                       names->count == 0 ? "" : ", ", name);
    }
    names->count++;
}

/* Tensors that no row took: tied copies are compared, buffers skipped, the rest named. */
static enum status others_check(const struct hf_weights *weights, const struct safetensors *file,
                                const bool *taken, const struct parameter_table *table,
                                const float *out, struct names *unexpected, struct error *error)
{
    for (int64_t i = 0; i < file->count; i++) {
        const struct safetensor *const tensor = &file->tensors[i];
        if (taken[i] || is_buffer(tensor->name)) {
            continue;
        }
        const int role = tied_role(tensor->name);
        if (role < 0) {
            names_add(unexpected, tensor->name);
            continue;
        }
        for (int64_t row = 0; row < table->row_count; row++) {
            if ((int)table->rows[row].role == role) {
                TRY(copy_check(weights, tensor, &table->rows[row], out, error));
            }
        }
    }
    return STATUS_OK;
}

/* May this row be missing? Only a head's: an encoder with a part of it random is of no use. */
static bool row_may_miss(const struct parameter_table *table, const struct parameter *row)
{
    return row->group == parameter_head_group(table) && row->role != PARAMETER_FINAL_NORM_GAIN &&
           row->role != PARAMETER_FINAL_NORM_SHIFT;
}

static enum status rows_read(const struct hf_weights *weights, const struct parameter_table *table,
                             bool **taken, float *out, bool *fresh, struct error *error)
{
    struct names missing = {0};
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        const struct safetensor *const tensor = hf_weights_find(weights, row->name);
        if (tensor != NULL) {
            TRY(row_read(weights, tensor, row, out + row->offset, error));
            for (int64_t k = 0; k < weights->file_count; k++) {
                const struct safetensors *const file = &weights->files[k];
                if (tensor >= file->tensors && tensor < file->tensors + file->count) {
                    taken[k][tensor - file->tensors] = true;
                }
            }
        } else if (fresh != NULL && row_may_miss(table, row)) {
            fresh[i] = true;
        } else {
            names_add(&missing, row->name);
        }
    }
    if (missing.count > 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %lld tensors are missing: %s%s", weights->path,
             (long long)missing.count, missing.text, missing.count > NAMED_MAX ? ", …" : "");
    }
    return STATUS_OK;
}

enum status hf_weights_read(const struct hf_weights *weights, const struct parameter_table *table,
                            float *out, bool *fresh, struct error *error)
{
    bool **const taken = memory_take((size_t)weights->file_count, sizeof *taken, "import");
    for (int64_t i = 0; i < weights->file_count; i++) {
        taken[i] = memory_take((size_t)weights->files[i].count, sizeof **taken, "import");
    }
    if (fresh == NULL) {
        memset(out, 0, (size_t)table->element_count * sizeof *out); /* padding */
    }
    struct names unexpected = {0};
    enum status status = rows_read(weights, table, taken, out, fresh, error);
    for (int64_t i = 0; i < weights->file_count; i++) {
        if (status == STATUS_OK) {
            status =
                others_check(weights, &weights->files[i], taken[i], table, out, &unexpected, error);
        }
        memory_release(taken[i]);
    }
    memory_release(taken);
    if (status == STATUS_OK && unexpected.count > 0) {
        log_line(LOG_LEVEL_WARN, "import_ignores_tensors count=%lld names=\"%s%s\" path=\"%s\"",
                 (long long)unexpected.count, unexpected.text,
                 unexpected.count > NAMED_MAX ? ", …" : "", weights->path);
    }
    return status;
}
