/* See pretrained.h. */
#include "launch/pretrained.h"

#include <string.h>

#include "base/memory.h"
#include "checkpoints/catalog.h"
#include "checkpoints/hf_folder.h"
#include "data_pipeline/tokenizer.h"
#include "shard/fingerprint.h"

enum { FINGERPRINT_PIECE = 256 * PARAMETER_BLOCK }; /* elements read at a time */

/* Is there a file `name` in the folder? */
static bool folder_holds(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    return path_join(path, folder, name, NULL) == STATUS_OK && file_exists(path);
}

enum status checkpoint_find(const char *path, char found[PATH_BYTES], struct error *error)
{
    char root[PATH_BYTES];
    if (folder_holds(path, "manifest.json")) {
        return path_absolute(found, path, error);
    }
    TRY(path_join(root, path, "checkpoints", error));
    if (!folder_exists(root)) {
        FAIL(error, STATUS_INPUT,
             "\"%s\" is no checkpoint (no manifest.json in it) and no run (no checkpoints/ in it)",
             path);
    }
    int64_t step;
    return catalog_newest_good(root, found, &step, error);
}

enum status checkpoint_network(const struct checkpoint *checkpoint, const char *path,
                               struct config *config, struct parameter_table *table,
                               struct error *error)
{
    const char *const text = checkpoint_config(checkpoint);
    char file[PATH_BYTES];
    TRY(path_join(file, path, "config.yaml", error));
    TRY(config_parse_text(file, text, strlen(text), NULL, 0, config, error));
    if (config->model.vocabulary == 0 && checkpoint_tokenizer(checkpoint) != NULL) {
        struct tokenizer *tokenizer;
        TRY(tokenizer_open(&tokenizer, checkpoint_tokenizer(checkpoint), error));
        config->model.vocabulary = tokenizer_vocabulary(tokenizer);
        tokenizer_close(tokenizer);
    }
    return parameter_table_init(table, &config->model, error);
}

enum status checkpoint_fingerprint(const struct checkpoint *checkpoint, const char *path,
                                   struct digest *fingerprint, struct error *error)
{
    struct config config;
    struct parameter_table table;
    TRY(checkpoint_network(checkpoint, path, &config, &table, error));
    const int64_t blocks = table.element_count / PARAMETER_BLOCK;
    struct digest *const digests =
        memory_take((size_t)(FINGERPRINT_ARRAYS * blocks), sizeof *digests, "fingerprint");
    float *const piece = memory_take(FINGERPRINT_PIECE, sizeof *piece, "fingerprint");
    enum status status = STATUS_OK;
    for (int array = 0; status == STATUS_OK && array < CHECKPOINT_ARRAY_COUNT; array++) {
        for (int64_t first = 0; status == STATUS_OK && first < table.element_count;
             first += FINGERPRINT_PIECE) {
            const int64_t left = table.element_count - first;
            const int64_t count = left < FINGERPRINT_PIECE ? left : FINGERPRINT_PIECE;
            status = checkpoint_read(checkpoint, &table, (enum checkpoint_array)array, first, count,
                                     piece, error);
            if (status == STATUS_OK) {
                fingerprint_blocks(digests + array * blocks + first / PARAMETER_BLOCK, piece,
                                   count);
            }
        }
    }
    const struct checkpoint_meta *const meta = checkpoint_meta(checkpoint);
    if (status == STATUS_OK) {
        *fingerprint = fingerprint_combine(digests, blocks, meta->step);
        if (!digest_equal(*fingerprint, meta->fingerprint)) {
            char computed[DIGEST_TEXT_BYTES];
            char stored[DIGEST_TEXT_BYTES];
            digest_text(*fingerprint, computed);
            digest_text(meta->fingerprint, stored);
            status = error_set(error, STATUS_FORMAT,
                               "checkpoint \"%s\": its state has fingerprint %s, but it says %s",
                               path, computed, stored);
        }
    }
    memory_release(piece);
    memory_release(digests);
    parameter_table_deinit(&table);
    return status;
}

static void weights_take(struct pretrained *pretrained)
{
    pretrained->weights = memory_take((size_t)pretrained->table.element_count,
                                      sizeof *pretrained->weights, "weights");
}

static enum status open_checkpoint(struct pretrained *pretrained, const char *path,
                                   struct error *error)
{
    TRY(checkpoint_find(path, pretrained->path, error));
    TRY(checkpoint_open(&pretrained->checkpoint, pretrained->path, true, error));
    const char *const tokenizer = checkpoint_tokenizer(pretrained->checkpoint);
    if (tokenizer != NULL) {
        TRY(path_absolute(pretrained->tokenizer, tokenizer, error));
    }
    TRY(checkpoint_network(pretrained->checkpoint, pretrained->path, &pretrained->config,
                           &pretrained->table, error));
    weights_take(pretrained);
    return checkpoint_read(pretrained->checkpoint, &pretrained->table, CHECKPOINT_ARRAY_WEIGHTS, 0,
                           pretrained->table.element_count, pretrained->weights, error);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Has a folder a tokenizer that tokenizer_open knows? */
static bool folder_holds_tokenizer(const char *path)
{
    static const char *const names[] = {"tokenizer.json",  "vocab.json",
                                        "vocab.txt",       "spiece.model",
                                        "tokenizer.model", "sentencepiece.bpe.model"};
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (folder_holds(path, names[i])) {
            return true;
        }
    }
    return false;
}

static enum status open_hf_folder(struct pretrained *pretrained, const char *path,
                                  bool encoder_alone, struct error *error)
{
    struct config *const config = &pretrained->config;
    TRY(path_absolute(pretrained->path, path, error));
    struct model_options model;
    TRY(hf_folder_options(path, &model, error));
    config_defaults(config, model.family);
    config->model = model;
    config->data.pairs = model.without_pairs ? DATA_PAIRS_NONE : config->data.pairs;
    config->data.sequence_tokens = smaller(config->data.sequence_tokens, config->model.positions);
    config->step.slot_tokens -= config->step.slot_tokens % config->data.sequence_tokens;
    config->step.tokens -= config->step.tokens % config->step.slot_tokens;
    if (folder_holds_tokenizer(path)) {
        TRY(path_absolute(pretrained->tokenizer, path, error));
    }
    TRY(parameter_table_init(&pretrained->table, &config->model, error));
    weights_take(pretrained);
    const struct parameter_table *const table = &pretrained->table;
    pretrained->fresh = memory_take((size_t)table->row_count, sizeof *pretrained->fresh, "import");
    parameter_fill(table, model.init_range, config->seed, 0, table->element_count,
                   pretrained->weights);
    TRY(hf_folder_weights(path, table, pretrained->weights,
                          encoder_alone ? pretrained->fresh : NULL, error));
    for (int64_t i = 0; i < table->row_count; i++) {
        pretrained->fresh_count += pretrained->fresh[i] ? 1 : 0;
    }
    return STATUS_OK;
}

static enum status open_either(struct pretrained *pretrained, const char *path, bool encoder_alone,
                               struct error *error)
{
    memset(pretrained, 0, sizeof *pretrained);
    const bool is_hf = folder_holds(path, "config.json") && !folder_holds(path, "manifest.json");
    const enum status status = is_hf ? open_hf_folder(pretrained, path, encoder_alone, error)
                                     : open_checkpoint(pretrained, path, error);
    if (status != STATUS_OK) {
        pretrained_close(pretrained);
    }
    return status;
}

enum status pretrained_open(struct pretrained *pretrained, const char *path, struct error *error)
{
    return open_either(pretrained, path, false, error);
}

enum status pretrained_open_encoder(struct pretrained *pretrained, const char *path,
                                    struct error *error)
{
    return open_either(pretrained, path, true, error);
}

void pretrained_close(struct pretrained *pretrained)
{
    memory_release(pretrained->fresh);
    memory_release(pretrained->weights);
    parameter_table_deinit(&pretrained->table);
    checkpoint_close(pretrained->checkpoint);
    memset(pretrained, 0, sizeof *pretrained);
}

enum status kernels_open_configured(struct kernels *kernels, const struct numerics_options *options,
                                    struct error *error)
{
    enum kernels_level level = kernels_level_best();
    switch (options->core) {
    case NUMERICS_CORE_AUTO:
        break;
    case NUMERICS_CORE_AVX2:
        level = KERNELS_LEVEL_AVX2;
        break;
    case NUMERICS_CORE_AVX512:
        level = KERNELS_LEVEL_AVX512;
        break;
    }
    return kernels_open(kernels, level, error);
}
