/* See config_change.h. */
#include "launch/config_change.h"

#include <string.h>

#include "launch/config_table.h"

bool config_change_neutral(const char *name)
{
    static const char *const neutral[] = {"shard.", "lease.", "checkpoint.", "evaluation.",
                                          "restart."};
    for (int64_t i = 0; i < ARRAY_LENGTH(neutral); i++) {
        if (strncmp(name, neutral[i], strlen(neutral[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* A corpus may move, and what a run began with; the vector level that a run got is in its numeric
 * profile; and what is done about bad numbers may be decided when they come. */
static bool checked_elsewhere(const char *name)
{
    static const char numerics[] = "numerics.";
    return strcmp(name, "data.corpus") == 0 || strcmp(name, "start.checkpoint") == 0 ||
           (strncmp(name, numerics, strlen(numerics)) == 0 &&
            strcmp(name, "numerics.compute") != 0);
}

static enum status key_check(const struct config_key *key, const struct config *now,
                             const struct config *then, struct error *error)
{
    struct text now_text = {0};
    struct text then_text = {0};
    config_value_text(key, now, &now_text);
    config_value_text(key, then, &then_text);
    enum status status = STATUS_OK;
    if (strcmp(now_text.data, then_text.data) != 0) {
        status = error_set(error, STATUS_INPUT,
                           "%s is %.200s in the run's config.yaml, but %.200s in its checkpoint: a "
                           "resumed run keeps what its weights follow from",
                           key->name, now_text.data, then_text.data);
    }
    text_deinit(&now_text);
    text_deinit(&then_text);
    return status;
}

enum status config_change_check(const struct config *now, const struct config *then,
                                struct error *error)
{
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *const key = &config_keys[i];
        if (!config_change_neutral(key->name) && !checked_elsewhere(key->name)) {
            TRY(key_check(key, now, then, error));
        }
    }
    return STATUS_OK;
}
