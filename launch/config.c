/* See config.h: defaults, --set, combinations, the resolved text. */
#include "launch/config.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "launch/config_family.h"
#include "launch/config_table.h"
#include "model/family.h"
#include "model/model.h"

enum { CONFIG_FILE_BYTES_MAX = 1 << 20 };

/* Where the fault of a value lies, in front of the message: the --set, the line, or the file as a
 * whole. */
static enum status origin_context(const struct config_reader *reader,
                                  const struct config_origin *origin, enum status status,
                                  struct error *error)
{
    if (origin->set != NULL) {
        return error_context(error, status, "option --set %.128s", origin->set);
    }
    if (origin->line > 0) {
        return error_context(error, status,
                             "could not read configuration \"%s\", line %lld, column %lld",
                             reader->path, (long long)origin->line, (long long)origin->column);
    }
    return error_context(error, status, "could not read configuration \"%s\"", reader->path);
}

/* Splits "[0.9, 0.98]" or "0.9,0.98" in place at the comma; blanks and brackets become ends of
 * words. */
static int64_t pair_split(char *text, const char *words[CONFIG_ITEMS_MAX])
{
    int64_t count = 0;
    for (char *at = text + strspn(text, "[ "); *at != '\0' && count < CONFIG_ITEMS_MAX;) {
        words[count++] = at;
        at += strcspn(at, ",] ");
        const size_t gap = strspn(at, ",] ");
        memset(at, 0, gap);
        at += gap;
    }
    return count;
}

static enum status set_apply(struct config_reader *reader, const char *set, const char *folder,
                             struct error *error)
{
    const char *const equals = strchr(set, '=');
    if (equals == NULL || equals == set) {
        FAIL(error, STATUS_INPUT, "expected key=value, as in optimizer.peak_rate=1e-3");
    }
    char name[128];
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals - set < 127 ? equals - set : 127), set);
    const int64_t index = config_key_find(name);
    if (index < 0) {
        FAIL(error, STATUS_INPUT, "unknown key \"%s\", nearest known key is \"%s\"", name,
             config_key_nearest(name));
    }
    char *const value = memory_text(equals + 1);
    const char *words[CONFIG_ITEMS_MAX] = {value};
    const int64_t count =
        config_keys[index].type == CONFIG_TYPE_REAL_PAIR ? pair_split(value, words) : 1;
    const enum status status =
        config_value_set(&config_keys[index], words, count, folder, reader->config, error);
    memory_release(value);
    reader->origins[index].set = set;
    return status;
}

static enum status sets_apply(struct config_reader *reader, const char *const *sets,
                              int64_t set_count, struct error *error)
{
    char here[PATH_BYTES];
    if (set_count > 0) {
        TRY(path_absolute(here, ".", error));
    }
    for (int64_t i = 0; i < set_count; i++) {
        const enum status status = set_apply(reader, sets[i], here, error);
        const struct config_origin origin = {.set = sets[i]};
        TRY(origin_context(reader, &origin, status, error));
    }
    return STATUS_OK;
}

static bool origin_given(const struct config_origin *origin)
{
    return origin->line > 0 || origin->set != NULL;
}

/* Sets the key to `standard`, its default, which may name another key. */
static void standard_apply(const struct config_key *key, const char *standard,
                           struct config *config)
{
    if (standard[0] == '=') {
        const int64_t other = config_key_find(standard + 1);
        INVARIANT(other >= 0 && config_keys[other].type == key->type);
        static_assert(sizeof(int64_t) == sizeof(double), "one size of number");
        INVARIANT(key->type == CONFIG_TYPE_INTEGER || key->type == CONFIG_TYPE_REAL);
        memcpy((char *)config + key->offset, (const char *)config + config_keys[other].offset,
               sizeof(int64_t));
        return;
    }
    char value[64];
    (void)snprintf(value, sizeof value, "%s", standard);
    const char *words[CONFIG_ITEMS_MAX] = {value};
    const int64_t count = key->type == CONFIG_TYPE_REAL_PAIR ? pair_split(value, words) : 1;
    const enum status status = config_value_set(key, words, count, ".", config, NULL);
    INVARIANT(status == STATUS_OK);
}

/* Defaults of keys that `origins` does not have: first the plain ones, then those that follow
 * another key. */
static void standards_apply(const struct config_origin *origins, struct config *config)
{
    const enum model_family family = config->model.family;
    for (int follows = 0; follows < 2; follows++) {
        for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
            const char *const standard = config_family_standard(&config_keys[i], family);
            if (!origin_given(&origins[i]) && standard != NULL &&
                (standard[0] == '=') == (follows == 1)) {
                standard_apply(&config_keys[i], standard, config);
            }
        }
    }
}

/* What has no key of its own. */
static void config_derive(struct config *config)
{
    config->model.without_pairs = config->data.pairs == DATA_PAIRS_NONE;
}

void config_defaults(struct config *config, enum model_family family)
{
    struct config_origin origins[CONFIG_KEY_COUNT] = {0};
    memset(config, 0, sizeof *config);
    config->model.family = family;
    origins[config_key_find("model.family")].line = 1;
    standards_apply(origins, config);
    config_derive(config);
}

/* Puts the place of the likelier culprit of two keys in front: a --set, else what the file gives.
 */
static enum status pair_context(const struct config_reader *reader, const char *key,
                                const char *other, enum status status, struct error *error)
{
    const struct config_origin *const one = &reader->origins[config_key_find(key)];
    const struct config_origin *const two = &reader->origins[config_key_find(other)];
    const bool take_two = one->set == NULL && (two->set != NULL || !origin_given(one));
    return origin_context(reader, take_two ? two : one, status, error);
}

static enum status check_multiple(const struct config_reader *reader, const char *key,
                                  int64_t value, const char *unit_key, int64_t unit,
                                  struct error *error)
{
    if (value % unit == 0) {
        return STATUS_OK;
    }
    const enum status status =
        error_set(error, STATUS_FORMAT, "%s %lld is not a multiple of %s %lld", key,
                  (long long)value, unit_key, (long long)unit);
    return pair_context(reader, key, unit_key, status, error);
}

static enum status check_at_most(const struct config_reader *reader, const char *key, int64_t value,
                                 const char *most_key, int64_t most, struct error *error)
{
    if (value <= most) {
        return STATUS_OK;
    }
    const enum status status = error_set(error, STATUS_FORMAT, "%s %lld is more than %s %lld", key,
                                         (long long)value, most_key, (long long)most);
    return pair_context(reader, key, most_key, status, error);
}

static enum status check_words(const struct config_reader *reader, bool holds, const char *key,
                               const char *other, const char *message, struct error *error)
{
    if (holds) {
        return STATUS_OK;
    }
    const enum status status = error_set(error, STATUS_FORMAT, "%s", message);
    return pair_context(reader, key, other, status, error);
}

/* A key that asks for what layers that share tensors have; NULL: none does. */
static const char *sharing_key(const struct model_options *model)
{
    return model_embedding_width(model) != model->hidden ? "model.embedding_width"
           : model->share != MODEL_SHARE_NONE            ? "model.share"
           : model->groups != 1                          ? "model.groups"
           : model->inner_layers != 1                    ? "model.inner_layers"
                                                         : NULL;
}

/* XLNet's keys go together. */
static enum status check_relative(const struct config_reader *reader, const struct family *family,
                                  struct error *error)
{
    const struct model_options *const model = &reader->config->model;
    const struct data_options *const data = &reader->config->data;
    TRY(check_words(reader, family->relative == (data->objective == DATA_OBJECTIVE_PERMUTATION),
                    "data.objective", "model.family",
                    family->relative ? "model.family xlnet needs data.objective permutation"
                                     : "data.objective permutation needs model.family xlnet",
                    error));
    TRY(check_words(reader,
                    family->relative || (model->memory_tokens == 0 && model->memory_reuse == 0 &&
                                         model->distance_max == 0),
                    "model.family", "model.memory_tokens",
                    "model.memory_tokens, memory_reuse and distance_max go with model.family xlnet "
                    "only",
                    error));
    TRY(check_words(reader, family->relative || (data->chain_rows == 1 && !data->bi_data),
                    "model.family", "data.chain_rows",
                    "data.chain_rows and bi_data go with model.family xlnet only", error));
    return check_words(reader, !family->relative || model->hidden % 2 == 0, "model.hidden",
                       "model.family", "model.family xlnet needs an even model.hidden", error);
}

/* What some families have and others have not. */
static enum status check_family(const struct config_reader *reader, struct error *error)
{
    const struct model_options *const model = &reader->config->model;
    const struct data_options *const data = &reader->config->data;
    const struct family *const family = family_find(model);
    TRY(check_words(reader, family != NULL, "model.norm", "model.family",
                    "this model.family has another place for LayerNorm than model.norm says",
                    error));
    TRY(check_at_most(reader, "model.embedding_width", model->embedding_width, "model.hidden",
                      model->hidden, error));
    const char *const sharing = sharing_key(model);
    TRY(check_words(reader, family->shares || sharing == NULL, sharing, "model.family",
                    "model.embedding_width, share, groups and inner_layers go with model.family "
                    "albert only",
                    error));
    TRY(check_multiple(reader, "model.layers", model->layers, "model.groups",
                       model->groups * model->inner_layers, error));
    TRY(check_words(reader, family->causal == (data->objective == DATA_OBJECTIVE_CAUSAL),
                    "data.objective", "model.family",
                    family->causal ? "model.family gpt needs data.objective causal"
                                   : "data.objective causal needs model.family gpt",
                    error));
    TRY(check_relative(reader, family, error));
    TRY(check_words(reader, data->pairs == DATA_PAIRS_NONE || family_labels_pairs(family),
                    "data.pairs", "model.family",
                    "this model.family has no head for data.pairs; bert and albert have", error));
    return check_words(reader, data->pairs == DATA_PAIRS_NONE || model->type_vocabulary >= 2,
                       "model.type_vocabulary", "data.pairs",
                       "data.pairs needs model.type_vocabulary of at least 2", error);
}

/* Heads, feed-forward and vocabulary can be cut as asked. */
static enum status check_parts(const struct config_reader *reader, struct error *error)
{
    const struct config *const config = reader->config;
    struct model_options model = config->model;
    const struct model_role role = {.tensor_parts = config->numerics.tensor_parts};
    if (model.vocabulary == 0) {
        model.vocabulary = role.tensor_parts; /* the corpus' is checked when it is known */
    }
    const enum status status = model_role_check(&model, &role, error);
    return status == STATUS_OK
               ? STATUS_OK
               : origin_context(reader, &reader->origins[config_key_find("numerics.tensor_parts")],
                                status, error);
}

/* What no single key can tell. */
static enum status config_check(const struct config_reader *reader, struct error *error)
{
    const struct config *const config = reader->config;
    const struct model_options *const model = &config->model;
    const struct data_options *const data = &config->data;
    TRY(check_multiple(reader, "model.hidden", model->hidden, "model.heads", model->heads, error));
    TRY(check_family(reader, error));
    TRY(check_parts(reader, error));
    TRY(check_multiple(reader, "numerics.tensor_parts", config->numerics.tensor_parts,
                       "shard.tensor", config->shard.tensor, error));
    TRY(check_at_most(reader, "data.sequence_tokens", data->sequence_tokens, "model.positions",
                      model->positions, error));
    TRY(check_multiple(reader, "step.slot_tokens", config->step.slot_tokens, "data.sequence_tokens",
                       data->sequence_tokens, error));
    TRY(check_words(reader,
                    config->step.slot_tokens % (data->chain_rows * data->sequence_tokens) == 0,
                    "data.chain_rows", "step.slot_tokens",
                    "step.slot_tokens is not a multiple of data.chain_rows times "
                    "data.sequence_tokens",
                    error));
    TRY(check_multiple(reader, "step.tokens", config->step.tokens, "step.slot_tokens",
                       config->step.slot_tokens, error));
    TRY(check_at_most(reader, "optimizer.warmup_steps", config->optimizer.warmup_steps,
                      "optimizer.total_steps", config->optimizer.total_steps, error));
    TRY(check_words(reader, data->mask_share + data->random_share <= 1.0, "data.random_share",
                    "data.mask_share",
                    "data.mask_share and data.random_share add up to more than 1", error));
    TRY(check_words(reader, strcmp(data->corpus, "synthetic") != 0 || model->vocabulary > 0,
                    "data.corpus", "model.vocabulary",
                    "data.corpus \"synthetic\" needs model.vocabulary above 0", error));
    TRY(check_words(reader, model->vocabulary == 0 || model->pad_id < model->vocabulary,
                    "model.pad_id", "model.vocabulary", "model.pad_id is outside model.vocabulary",
                    error));
    TRY(check_words(reader,
                    config->numerics.products != NUMERICS_PRODUCTS_OPENBLAS ||
                        config->numerics.compute == NUMERICS_COMPUTE_FP32,
                    "numerics.products", "numerics.compute",
                    "numerics.products \"openblas\" needs numerics.compute \"fp32\"", error));
    TRY(check_words(reader, config->shard.stage < 2 || config->lease.mode != LEASE_MODE_DYNAMIC,
                    "lease.mode", "shard.stage",
                    "lease.mode dynamic needs shard.stage 0 or 1: from stage 2 on all workers go "
                    "in rounds",
                    error));
    TRY(check_words(reader, config->lease.silence_seconds > config->lease.heartbeat_seconds,
                    "lease.silence_seconds", "lease.heartbeat_seconds",
                    "lease.silence_seconds is not more than lease.heartbeat_seconds", error));
    return check_words(reader, config->evaluation.every_steps == 0 || data->held_out > 0,
                       "evaluation.every_steps", "data.held_out",
                       "evaluation.every_steps above 0 needs data.held_out above 0", error);
}

/* Required keys are there; all others have a value. */
static enum status config_complete(struct config_reader *reader, struct error *error)
{
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *const key = &config_keys[i];
        if (!origin_given(&reader->origins[i]) && key->standard == NULL) {
            struct text expected = {0};
            config_key_expectation(key, &expected);
            (void)error_set(
                error, STATUS_FORMAT,
                "could not read configuration \"%s\": key \"%s\" is missing, expected %s",
                reader->path, key->name, expected.data);
            text_deinit(&expected);
            return STATUS_FORMAT;
        }
    }
    standards_apply(reader->origins, reader->config);
    config_derive(reader->config);
    return STATUS_OK;
}

enum status config_parse_text(const char *path, const char *text, size_t size_bytes,
                              const char *const *sets, int64_t set_count, struct config *config,
                              struct error *error)
{
    char absolute[PATH_BYTES];
    char folder[PATH_BYTES];
    TRY(path_absolute(absolute, path, error));
    path_folder(absolute, folder);
    struct config_reader reader = {.path = path, .folder = folder, .config = config};
    config_defaults(config, MODEL_FAMILY_ROBERTA);
    TRY(config_yaml_read(&reader, text, size_bytes, error));
    TRY(sets_apply(&reader, sets, set_count, error));
    TRY(config_complete(&reader, error));
    return config_check(&reader, error);
}

enum status config_read(const char *path, const char *const *sets, int64_t set_count,
                        struct config *config, struct error *error)
{
    char *text;
    size_t size_bytes;
    const enum status status = file_read(path, CONFIG_FILE_BYTES_MAX, &text, &size_bytes, error);
    TRY(error_context(error, status, "could not read configuration \"%s\"", path));
    const enum status parsed =
        config_parse_text(path, text, size_bytes, sets, set_count, config, error);
    memory_release(text);
    return parsed;
}

void config_text(const struct config *config, struct text *out)
{
    char section[64] = "";
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const char *const name = config_keys[i].name;
        const char *const dot = strchr(name, '.');
        const size_t length = dot == NULL ? 0 : (size_t)(dot - name);
        if (dot != NULL && (strncmp(section, name, length) != 0 || section[length] != '\0')) {
            (void)snprintf(section, sizeof section, "%.*s", (int)length, name);
            text_add(out, "%s:\n", section);
        }
        text_add(out, "%s%s: ", dot == NULL ? "" : "  ", dot == NULL ? name : dot + 1);
        config_value_text(&config_keys[i], config, out);
        text_add(out, "\n");
    }
}
