/* checkpoint list|show|verify PATH: what checkpoints there are, what is in one, and whether it is
 * whole. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "checkpoints/catalog.h"
#include "launch/commands.h"
#include "launch/pretrained.h"
#include "launch/print.h"

/* The catalog of a run, of its checkpoints/ folder, or of the one checkpoint that `path` names. */
static enum status list_open(struct catalog *catalog, const char *path, struct error *error)
{
    char root[PATH_BYTES];
    char manifest[PATH_BYTES];
    TRY(path_join(root, path, "checkpoints", error));
    TRY(path_join(manifest, path, "manifest.json", error));
    if (!folder_exists(path)) {
        FAIL(error, STATUS_INPUT, "\"%s\" is no folder", path);
    }
    if (!file_exists(manifest)) {
        return catalog_open(catalog, folder_exists(root) ? root : path, error);
    }
    *catalog = (struct catalog){.count = 1};
    catalog->entries = memory_take(1, sizeof *catalog->entries, "catalog");
    return path_absolute(catalog->entries[0].path, path, error);
}

static json_t *meta_json(const struct checkpoint *checkpoint, const char *path)
{
    const struct checkpoint_meta *const meta = checkpoint_meta(checkpoint);
    char fingerprint[DIGEST_TEXT_BYTES];
    char corpus[DIGEST_TEXT_BYTES];
    digest_text(meta->fingerprint, fingerprint);
    digest_text(meta->corpus, corpus);
    json_t *const object = json_object();
    (void)json_object_set_new(object, "path", json_string(path));
    (void)json_object_set_new(object, "step", json_integer(meta->step));
    (void)json_object_set_new(object, "tokens", json_integer(meta->tokens));
    (void)json_object_set_new(object, "seed", json_integer((json_int_t)meta->seed));
    (void)json_object_set_new(object, "fingerprint", json_string(fingerprint));
    (void)json_object_set_new(object, "corpus", json_string(corpus));
    (void)json_object_set_new(object, "profile", json_string(meta->profile));
    (void)json_object_set_new(object, "held_out_loss",
                              isnan(meta->held_out_loss) ? json_null()
                                                         : json_real(meta->held_out_loss));
    return object;
}

static void loss_text(double loss, char text[32])
{
    if (isnan(loss)) {
        memcpy(text, "-", 2);
    } else {
        (void)snprintf(text, 32, "%.4f", loss);
    }
}

static void list_row(const struct checkpoint *checkpoint, const char *path)
{
    const struct checkpoint_meta *const meta = checkpoint_meta(checkpoint);
    char fingerprint[DIGEST_TEXT_BYTES];
    char loss[32];
    digest_text(meta->fingerprint, fingerprint);
    loss_text(meta->held_out_loss, loss);
    (void)printf("%10lld  %15lld  %13s  %s  %s\n", (long long)meta->step, (long long)meta->tokens,
                 loss, fingerprint, path);
}

static enum status list_run(const struct command_line *line, struct error *error)
{
    struct catalog catalog;
    TRY(list_open(&catalog, line->arguments[0], error));
    json_t *const array = json_array();
    const bool as_json = command_line_has(line, "json");
    if (!as_json && catalog.count > 0) {
        (void)printf("%10s  %15s  %13s  %-32s  %s\n", "step", "tokens", "held-out loss",
                     "fingerprint", "path");
    }
    for (int64_t i = 0; i < catalog.count; i++) {
        const char *const path = catalog.entries[i].path;
        struct checkpoint *checkpoint = NULL;
        struct error reason = {0};
        const enum status status = checkpoint_open(&checkpoint, path, false, &reason);
        if (as_json) {
            json_t *const object =
                status == STATUS_OK ? meta_json(checkpoint, path) : json_object();
            if (status != STATUS_OK) {
                (void)json_object_set_new(object, "path", json_string(path));
                (void)json_object_set_new(object, "damaged", json_string(reason.message));
            }
            (void)json_array_append_new(array, object);
        } else if (status == STATUS_OK) {
            list_row(checkpoint, path);
        } else {
            (void)printf("%10lld  damaged: %s\n", (long long)catalog.entries[i].step,
                         reason.message);
        }
        checkpoint_close(checkpoint);
    }
    if (as_json) {
        print_json(array);
    } else if (catalog.count == 0) {
        (void)printf("no checkpoints in %s\n", line->arguments[0]);
    }
    json_decref(array);
    catalog_close(&catalog);
    return STATUS_OK;
}

static enum status parameters_count(const struct checkpoint *checkpoint, const char *path,
                                    int64_t *count, struct error *error)
{
    struct config config;
    struct parameter_table table;
    TRY(checkpoint_network(checkpoint, path, &config, &table, error));
    *count = table.parameter_count;
    parameter_table_deinit(&table);
    return STATUS_OK;
}

static enum status show_run(const struct command_line *line, struct error *error)
{
    char path[PATH_BYTES];
    TRY(checkpoint_find(line->arguments[0], path, error));
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, path, false, error));
    int64_t parameters;
    const enum status counted = parameters_count(checkpoint, path, &parameters, error);
    if (counted != STATUS_OK) {
        checkpoint_close(checkpoint);
        return counted;
    }
    json_t *const object = meta_json(checkpoint, path);
    (void)json_object_set_new(object, "parameters", json_integer(parameters));
    if (command_line_has(line, "json")) {
        (void)json_object_set_new(object, "config", json_string(checkpoint_config(checkpoint)));
        print_json(object);
    } else {
        const char *key;
        json_t *value;
        json_object_foreach(object, key, value)
        {
            char number[48] = "none";
            if (json_is_integer(value)) {
                (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT,
                               json_integer_value(value));
            } else if (json_is_real(value)) {
                (void)snprintf(number, sizeof number, "%.6f", json_real_value(value));
            }
            (void)printf("%-14s %s\n", key,
                         json_is_string(value) ? json_string_value(value) : number);
        }
        (void)printf("\n%s", checkpoint_config(checkpoint));
    }
    json_decref(object);
    checkpoint_close(checkpoint);
    return STATUS_OK;
}

/* Every digest, then the state's fingerprint. */
static enum status verify_one(const char *path, struct error *error)
{
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, path, true, error));
    struct digest fingerprint;
    const enum status status = checkpoint_fingerprint(checkpoint, path, &fingerprint, error);
    checkpoint_close(checkpoint);
    return status;
}

static enum status verify_run(const struct command_line *line, struct error *error)
{
    struct catalog catalog;
    TRY(list_open(&catalog, line->arguments[0], error));
    enum status worst = STATUS_OK;
    for (int64_t i = 0; i < catalog.count; i++) {
        struct error reason = {0};
        const enum status status = verify_one(catalog.entries[i].path, &reason);
        (void)printf("%-8s %s%s%s\n", status == STATUS_OK ? "good" : "DAMAGED",
                     catalog.entries[i].path, status == STATUS_OK ? "" : ": ",
                     status == STATUS_OK ? "" : reason.message);
        if (status != STATUS_OK && worst == STATUS_OK) {
            worst = error_set(error, status, "%s", reason.message);
        }
    }
    if (catalog.count == 0) {
        worst = error_set(error, STATUS_INPUT, "no checkpoints in \"%s\"", line->arguments[0]);
    }
    catalog_close(&catalog);
    return worst;
}

static const struct command_option json_option[] = {
    {.name = "json", .help = "print JSON"},
};

const struct command command_checkpoint_list = {
    .name = "checkpoint list",
    .arguments = "PATH",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "list the checkpoints of a run",
    .detail = "PATH is a run, its checkpoints/ folder or one checkpoint.",
    .options = json_option,
    .option_count = ARRAY_LENGTH(json_option),
    .run = list_run,
};

const struct command command_checkpoint_show = {
    .name = "checkpoint show",
    .arguments = "PATH",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "show what a checkpoint holds, with its configuration",
    .detail = "PATH is a checkpoint or a run (its newest good checkpoint is taken).",
    .options = json_option,
    .option_count = ARRAY_LENGTH(json_option),
    .run = show_run,
};

const struct command command_checkpoint_verify = {
    .name = "checkpoint verify",
    .arguments = "PATH",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "recompute every digest and the fingerprint of checkpoints",
    .detail = "PATH is a run, its checkpoints/ folder or one checkpoint; all that are found are "
              "checked. Exit "
              "code 0: all are good.",
    .run = verify_run,
};
