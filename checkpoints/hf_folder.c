/* See hf_folder.h. */
#include "checkpoints/hf_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoints/hf_config.h"
#include "checkpoints/hf_tokenizer.h"
#include "checkpoints/hf_weights.h"
#include "checkpoints/safetensors.h"

/* SpanBERT's second head, which transformers would call unexpected. */
static bool row_is_span(const struct parameter *row)
{
    return row->role >= PARAMETER_SPAN_POSITION && row->role <= PARAMETER_SPAN_DECODER_BIAS;
}

/* The rows of one file; no file if there are none. */
static enum status weights_write(const char *folder, const char *name, bool spans,
                                 const struct parameter_table *table, const float *weights,
                                 struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, folder, name, error));
    struct safetensor_source *const sources =
        memory_take((size_t)table->row_count, sizeof *sources, "export");
    int64_t count = 0;
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        if (row_is_span(row) == spans) {
            sources[count++] = (struct safetensor_source){row->name, row->shape, row->axis_count,
                                                          weights + row->offset};
        }
    }
    const enum status status =
        count == 0 ? STATUS_OK : safetensors_write(path, sources, count, error);
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
    TRY(weights_write(folder, HF_WEIGHTS_FILE, false, table, weights, error));
    TRY(weights_write(folder, HF_WEIGHTS_SPAN_FILE, true, table, weights, error));
    return folder_flush(folder, error);
}

/* The tensor of the half-shared `table` that stands for `row` of one in which each layer has its
 * own. */
static const struct parameter *shared_row(const struct parameter_table *table,
                                          const struct parameter_table *own,
                                          const struct parameter *row)
{
    const struct parameter_group *const group = &own->groups[row->group];
    if (group->kind != PARAMETER_KIND_LAYER) {
        return parameter_find(table, row->name);
    }
    for (int half = 0; half < PARAMETER_HALVES; half++) {
        const int64_t there =
            parameter_layer_group(table, group->lowest_layer, (enum parameter_half)half);
        const struct parameter *const found = parameter_maybe(table, there, row->role);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* Hugging Face's ALBERT shares whole layers or nothing: one that shares a half of them is written
 * with that half repeated in every layer, which computes the same. */
static enum status content_write_repeated(const char *folder, const struct model_options *options,
                                          const struct parameter_table *table, const float *weights,
                                          const char *tokenizer_folder, struct error *error)
{
    struct model_options repeated = *options;
    repeated.share = MODEL_SHARE_NONE;
    struct parameter_table own;
    TRY(parameter_table_init(&own, &repeated, error));
    float *const copy = memory_take((size_t)own.element_count, sizeof *copy, "export");
    for (int64_t i = 0; i < own.row_count; i++) {
        const struct parameter *const source = shared_row(table, &own, &own.rows[i]);
        INVARIANT(source != NULL);
        INVARIANT(source->count == own.rows[i].count);
        memcpy(copy + own.rows[i].offset, weights + source->offset,
               (size_t)source->count * sizeof *copy);
    }
    const enum status status =
        content_write(folder, &repeated, &own, copy, tokenizer_folder, error);
    memory_release(copy);
    parameter_table_deinit(&own);
    return status;
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
    TRY(hf_config_check(options, error));
    TRY(target_check(target, error));
    TRY(partial_path(partial, parent, target, error));
    TRY(folder_make(parent, error));
    TRY(folder_remove(partial, error)); /* of an export that was interrupted */
    const bool half =
        options->share == MODEL_SHARE_ATTENTION || options->share == MODEL_SHARE_FEED_FORWARD;
    enum status status = (half ? content_write_repeated : content_write)(
        partial, options, table, weights, tokenizer_folder, error);
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

/* Whether BERT or ALBERT has a head for pairs, the tensors tell: all of it is missed if its pooler
 * is. */
static enum status pairs_find(const char *folder, struct model_options *options,
                              struct error *error)
{
    struct parameter_table table;
    struct hf_weights weights;
    struct model_options with = *options;
    with.without_pairs = false;
    TRY(parameter_table_init(&table, &with, error));
    const struct parameter *const pooler =
        parameter_maybe(&table, parameter_head_group(&table), PARAMETER_POOLER_WEIGHT);
    enum status status = STATUS_OK;
    if (pooler != NULL) {
        status = hf_weights_open(&weights, folder, &table, error);
        if (status == STATUS_OK) {
            options->without_pairs = hf_weights_find(&weights, pooler->name) == NULL;
            hf_weights_close(&weights);
        }
    }
    parameter_table_deinit(&table);
    return status;
}

enum status hf_folder_options(const char *folder, struct model_options *options,
                              struct error *error)
{
    char path[PATH_BYTES];
    struct model_options read;
    TRY(path_join(path, folder, "config.json", error));
    TRY(hf_config_read(path, &read, error));
    TRY(pairs_find(folder, &read, error));
    *options = read;
    return STATUS_OK;
}

enum status hf_folder_weights(const char *folder, const struct parameter_table *table,
                              float *weights, bool *fresh, struct error *error)
{
    struct hf_weights file;
    TRY(hf_weights_open(&file, folder, table, error));
    const enum status status = hf_weights_read(&file, table, weights, fresh, error);
    hf_weights_close(&file);
    return status;
}
