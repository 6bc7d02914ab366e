/* See run_start.h. */
#include "launch/run_start.h"

#include <string.h>

#include "data_pipeline/corpus_manifest.h"
#include "data_pipeline/tokenizer.h"
#include "launch/config_table.h"
#include "launch/pretrained.h"

/* Keys of the network under which the same weights are still the same model: they are about
 * training, or about how much of a text is seen. */
static bool key_is_free(const char *name)
{
    static const char *const names[] = {"model.dropout", "model.attention_dropout",
                                        "model.init_range", "model.memory_tokens",
                                        "model.memory_reuse"};
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum status network_check(const struct config *config, const struct config *origin,
                                 struct error *error)
{
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *const key = &config_keys[i];
        if (strncmp(key->name, "model.", strlen("model.")) != 0 || key_is_free(key->name)) {
            continue;
        }
        struct text own = {0};
        struct text theirs = {0};
        config_value_text(key, config, &own);
        config_value_text(key, origin, &theirs);
        enum status status = STATUS_OK;
        if (strcmp(own.data, theirs.data) != 0) {
            status = error_set(error, STATUS_INPUT,
                               "%s is %.200s in the configuration, but %.200s in the checkpoint",
                               key->name, own.data, theirs.data);
        }
        text_deinit(&own);
        text_deinit(&theirs);
        TRY(status);
    }
    return STATUS_OK;
}

/* A head that this run trains may not be there: one for pairs, say. */
static enum status tensors_check(const struct config *config, const struct parameter_table *origin,
                                 struct error *error)
{
    struct parameter_table table;
    TRY(parameter_table_init(&table, &config->model, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < table.row_count && status == STATUS_OK; i++) {
        if (parameter_find(origin, table.rows[i].name) == NULL) {
            status = error_set(error, STATUS_INPUT,
                               "the checkpoint has no tensor %s, which this configuration trains "
                               "(data.pairs and data.objective decide on heads)",
                               table.rows[i].name);
        }
    }
    parameter_table_deinit(&table);
    return status;
}

static enum status tokenizer_check(const struct config *config, const struct checkpoint *checkpoint,
                                   struct error *error)
{
    const char *const folder = checkpoint_tokenizer(checkpoint);
    if (folder == NULL || strcmp(config->data.corpus, "synthetic") == 0) {
        return STATUS_OK; /* nothing to compare: ids alone count */
    }
    struct corpus_manifest manifest = {0};
    TRY(corpus_manifest_read(&manifest, config->data.corpus, error));
    const struct digest expected = manifest.facts.tokenizer;
    corpus_manifest_deinit(&manifest);
    struct tokenizer *tokenizer;
    TRY(tokenizer_open(&tokenizer, folder, error));
    const bool same = digest_equal(tokenizer_fingerprint(tokenizer), expected);
    tokenizer_close(tokenizer);
    if (!same) {
        FAIL(error, STATUS_INPUT,
             "corpus \"%.400s\" was built with another tokenizer: build one with --tokenizer "
             "\"%.400s\"",
             config->data.corpus, folder);
    }
    return STATUS_OK;
}

static enum status origin_check(struct config *config, const struct checkpoint *checkpoint,
                                const char *path, struct error *error)
{
    struct config origin;
    struct parameter_table table;
    TRY(checkpoint_network(checkpoint, path, &origin, &table, error));
    if (config->model.vocabulary == 0) {
        config->model.vocabulary = origin.model.vocabulary;
    }
    enum status status = network_check(config, &origin, error);
    if (status == STATUS_OK) {
        status = tensors_check(config, &table, error);
    }
    if (status == STATUS_OK) {
        status = tokenizer_check(config, checkpoint, error);
    }
    parameter_table_deinit(&table);
    return status;
}

static enum status fingerprint_take(struct start_options *start, struct digest fingerprint,
                                    struct error *error)
{
    char text[DIGEST_TEXT_BYTES];
    digest_text(fingerprint, text);
    if (strcmp(start->fingerprint, "none") != 0 && strcmp(start->fingerprint, text) != 0) {
        FAIL(error, STATUS_INPUT, "it has fingerprint %s, but start.fingerprint is %s", text,
             start->fingerprint);
    }
    memcpy(start->fingerprint, text, sizeof text);
    return STATUS_OK;
}

enum status run_start_resolve(struct config *config, struct error *error)
{
    struct start_options *const start = &config->start;
    if (strcmp(start->checkpoint, "none") == 0) {
        return STATUS_OK;
    }
    char hf[PATH_BYTES];
    char manifest[PATH_BYTES];
    TRY(path_join(hf, start->checkpoint, "config.json", error));
    TRY(path_join(manifest, start->checkpoint, "manifest.json", error));
    if (file_exists(hf) && !file_exists(manifest)) {
        FAIL(error, STATUS_INPUT,
             "\"%.400s\" is a Hugging Face folder: make a checkpoint of it with shardlm import",
             start->checkpoint);
    }
    char found[PATH_BYTES];
    struct checkpoint *checkpoint;
    TRY(checkpoint_find(start->checkpoint, found, error));
    TRY(checkpoint_open(&checkpoint, found, true, error));
    enum status status = origin_check(config, checkpoint, found, error);
    if (status == STATUS_OK) {
        status = fingerprint_take(start, checkpoint_meta(checkpoint)->fingerprint, error);
    }
    checkpoint_close(checkpoint);
    TRY(error_context(error, status, "could not begin with \"%.400s\"", found));
    memset(start->checkpoint, 0, sizeof start->checkpoint);
    memcpy(start->checkpoint, found, strlen(found));
    return STATUS_OK;
}
