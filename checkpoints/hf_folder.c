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
