/* import DIR --out CHECKPOINT: a checkpoint at step 0 from a Hugging Face folder, with moments of
 * zero. It is published under a name of its own beside the place where it will stand, then renamed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoints/checkpoint.h"
#include "data_pipeline/tokenizer.h"
#include "launch/commands.h"
#include "launch/pretrained.h"
#include "shard/fingerprint.h"

static enum status import_parts(const struct pretrained *pretrained, const char *partial,
                                const float *zeros, struct error *error)
{
    for (int64_t group = 0; group < pretrained->table.group_count; group++) {
        const float *const arrays[CHECKPOINT_ARRAY_COUNT] = {
            pretrained->weights + pretrained->table.groups[group].offset, zeros, zeros};
        TRY(checkpoint_part_write(partial, &pretrained->table, group, arrays, error));
    }
    return STATUS_OK;
}

/* The tokenizer's files alone: the folder they came from holds the weights too. */
static enum status import_tokenizer(const struct pretrained *pretrained, const char *folder,
                                    struct error *error)
{
    struct tokenizer *tokenizer;
    TRY(tokenizer_open(&tokenizer, pretrained->tokenizer, error));
    const int64_t vocabulary = tokenizer_vocabulary(tokenizer);
    enum status status = STATUS_OK;
    if (vocabulary > pretrained->config.model.vocabulary) {
        status = error_set(error, STATUS_FORMAT,
                           "the tokenizer \"%.400s\" has %lld token ids, the model only %lld",
                           pretrained->tokenizer, (long long)vocabulary,
                           (long long)pretrained->config.model.vocabulary);
    } else {
        status = tokenizer_save(tokenizer, folder, error);
    }
    tokenizer_close(tokenizer);
    return status;
}

static enum status import_publish(struct pretrained *pretrained, const char *root, const char *out,
                                  struct error *error)
{
    char partial[PATH_BYTES];
    char tokenizer[PATH_BYTES];
    char published[PATH_BYTES];
    const bool has_tokenizer = pretrained->tokenizer[0] != '\0';
    TRY(checkpoint_begin(root, 0, partial, error));
    TRY(path_join(tokenizer, root, "tokenizer", error));
    if (has_tokenizer) {
        TRY(import_tokenizer(pretrained, tokenizer, error));
    }
    float *const zeros =
        memory_take((size_t)pretrained->table.element_count, sizeof *zeros, "moments");
    struct checkpoint_meta meta = {.profile = "imported", .held_out_loss = (double)NAN};
    meta.seed = pretrained->config.seed;
    meta.fingerprint = fingerprint_state(&pretrained->table, pretrained->weights, zeros, zeros, 0);
    enum status status = import_parts(pretrained, partial, zeros, error);
    memory_release(zeros);
    TRY(status);
    struct text yaml = {0};
    memcpy(pretrained->config.data.corpus, "synthetic", sizeof "synthetic");
    config_text(&pretrained->config, &yaml);
    status = checkpoint_publish(partial, root, &pretrained->table, &meta, yaml.data,
                                has_tokenizer ? tokenizer : NULL, published, error);
    text_deinit(&yaml);
    TRY(status);
    return file_rename(published, out, error);
}

/* What the folder did not have, by name. */
static void fresh_print(const struct pretrained *pretrained)
{
    for (int64_t i = 0; pretrained->fresh_count > 0 && i < pretrained->table.row_count; i++) {
        if (pretrained->fresh[i]) {
            (void)printf("not in the folder, initialised from seed %llu: %s\n",
                         (unsigned long long)pretrained->config.seed,
                         pretrained->table.rows[i].name);
        }
    }
}

static enum status import_run(const struct command_line *line, struct error *error)
{
    const char *const out = command_line_text(line, "out");
    char root[PATH_BYTES];
    if (file_exists(out) || folder_exists(out)) {
        FAIL(error, STATUS_INPUT, "could not import to \"%s\": it exists already", out);
    }
    if (snprintf(root, sizeof root, "%s.importing", out) >= PATH_BYTES) {
        FAIL(error, STATUS_LIMIT, "path is longer than %d bytes: \"%.64s…\"", PATH_BYTES - 1, out);
    }
    struct pretrained pretrained;
    TRY(pretrained_open_encoder(&pretrained, line->arguments[0], error));
    if (pretrained.checkpoint != NULL) {
        pretrained_close(&pretrained);
        FAIL(error, STATUS_INPUT, "could not import \"%s\": it is no Hugging Face folder",
             line->arguments[0]);
    }
    enum status status = import_publish(&pretrained, root, out, error);
    const enum status removed = folder_remove(root, status == STATUS_OK ? error : NULL);
    status = status == STATUS_OK ? removed : status;
    if (status == STATUS_OK) {
        (void)printf("wrote %s: %lld parameters from %s\n", out,
                     (long long)pretrained.table.parameter_count, pretrained.path);
        fresh_print(&pretrained);
    }
    pretrained_close(&pretrained);
    return status;
}

static const struct command_option import_options[] = {
    {.name = "out",
     .argument = "CHECKPOINT",
     .help = "checkpoint to write; must not exist",
     .required = true},
};

const struct command command_import = {
    .name = "import",
    .arguments = "DIR",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "make a checkpoint from a Hugging Face folder",
    .detail =
        "Reads config.json, model.safetensors (or the files of its index) and the tokenizer's "
        "files of a RoBERTa, BERT, SpanBERT, ALBERT, GPT-2 or XLNet. A head that the folder "
        "lacks, in whole or in part, is initialised and named. The checkpoint is at step 0, its "
        "moments are zero, and its configuration names no corpus (\"synthetic\").",
    .options = import_options,
    .option_count = ARRAY_LENGTH(import_options),
    .run = import_run,
};
