/* launch/config_change: what a resumed run may have otherwise than its checkpoint. */
#include "launch/config_change.h"

#include <stdio.h>
#include <string.h>

#include "launch/config_table.h"
#include "tests/support/suite.h"

static void change(const struct config_key *key, struct config *config)
{
    char *const field = (char *)config + key->offset;
    switch (key->type) {
    case CONFIG_TYPE_INTEGER:
    case CONFIG_TYPE_CHOICE:
    case CONFIG_TYPE_BOOLEAN:
        field[0] ^= 1; /* the other of two words, an odd number for an even one */
        break;
    case CONFIG_TYPE_REAL:
    case CONFIG_TYPE_REAL_PAIR: {
        double value;
        memcpy(&value, field, sizeof value);
        value = value * 0.5 + 0.011;
        memcpy(field, &value, sizeof value);
        break;
    }
    case CONFIG_TYPE_PATH:
        (void)snprintf(field, PATH_BYTES, "/elsewhere");
        break;
    case CONFIG_TYPE_DIGEST:
        (void)snprintf(field, DIGEST_TEXT_BYTES, "00112233445566778899aabbccddeeff");
        break;
    }
}

static bool has_one_word(const struct config_key *key)
{
    return key->type == CONFIG_TYPE_CHOICE && key->words[1] == NULL;
}

START_TEST(test_config_change_refuses_each_key_that_takes_part_in_the_weights)
{
    struct config then;
    config_defaults(&then, MODEL_FAMILY_ROBERTA);
    int64_t refused = 0;
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *const key = &config_keys[i];
        if (has_one_word(key)) {
            continue;
        }
        struct config now = then;
        change(key, &now);
        struct error error = {0};
        const bool free =
            config_change_neutral(key->name) || key->type == CONFIG_TYPE_PATH ||
            (strncmp(key->name, "numerics.", 9) == 0 && strcmp(key->name, "numerics.compute") != 0);
        const enum status status = config_change_check(&now, &then, &error);
        ck_assert_msg(status == (free ? STATUS_OK : STATUS_INPUT), "%s: status %d", key->name,
                      status);
        ck_assert(free || strncmp(error.message, key->name, strlen(key->name)) == 0);
        refused += !free;
    }
    ck_assert_int_gt(refused, 30);
}
END_TEST

START_TEST(test_config_change_names_key_and_both_values)
{
    struct config then;
    config_defaults(&then, MODEL_FAMILY_ROBERTA);
    struct config now = then;
    struct error error;
    CHECK_OK(config_change_check(&now, &then, &error), error);
    now.optimizer.peak_rate = 0.25;
    CHECK_FAILS(config_change_check(&now, &then, &error), STATUS_INPUT);
    ck_assert_ptr_nonnull(strstr(error.message, "optimizer.peak_rate is 0.25 in the run's"));
    ck_assert_ptr_nonnull(strstr(error.message, "but 0.001 in its checkpoint"));
}
END_TEST

int main(void)
{
    return suite_run(
        "config_change",
        (const TTest *[]){test_config_change_refuses_each_key_that_takes_part_in_the_weights,
                          test_config_change_names_key_and_both_values, NULL});
}
