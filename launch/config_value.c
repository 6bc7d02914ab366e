/* One key's value: from words to the field and back; see config_table.h. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "data_pipeline/utf8.h"
#include "launch/config_table.h"
#include "launch/word.h"

enum { GOT_BYTES = 160 };

static bool range_bounded(const struct config_range *range)
{
    return range->high > range->low;
}

static void range_text(const struct config_range *range, struct text *out)
{
    if (!range_bounded(range)) {
        text_add(out, " %s %.15g", range->above ? "above" : "of at least", range->low);
    } else if (!range->above && !range->below) {
        text_add(out, " from %.15g to %.15g", range->low, range->high);
    } else {
        text_add(out, " %s %.15g and %s %.15g", range->above ? "above" : "of at least", range->low,
                 range->below ? "below" : "at most", range->high);
    }
}

void config_key_expectation(const struct config_key *key, struct text *out)
{
    switch (key->type) {
    case CONFIG_TYPE_INTEGER:
        text_add(out, "an integer");
        range_text(&key->range, out);
        break;
    case CONFIG_TYPE_REAL:
        text_add(out, "a number");
        range_text(&key->range, out);
        break;
    case CONFIG_TYPE_REAL_PAIR:
        text_add(out, "a list of two numbers, each");
        range_text(&key->range, out);
        break;
    case CONFIG_TYPE_BOOLEAN:
        text_add(out, "true or false");
        break;
    case CONFIG_TYPE_CHOICE:
    case CONFIG_TYPE_PATH:
    case CONFIG_TYPE_DIGEST:
        text_add(out, key->type == CONFIG_TYPE_PATH     ? "a path"
                      : key->type == CONFIG_TYPE_DIGEST ? "32 hexadecimal digits"
                                                        : "");
        for (int64_t i = 0; key->words != NULL && key->words[i] != NULL; i++) {
            const char *const between = i > 0 ? ", " : key->words[1] != NULL ? "one of " : "";
            text_add(out, "%s\"%s\"", key->type == CONFIG_TYPE_CHOICE ? between : " or ",
                     key->words[i]);
        }
        break;
    }
}

static enum status value_fail(const struct config_key *key, const char *got, struct error *error)
{
    struct text expected = {0};
    config_key_expectation(key, &expected);
    const enum status status = error_set(error, STATUS_INPUT, "key \"%s\" is %s, expected %s",
                                         key->name, got, expected.data);
    text_deinit(&expected);
    return status;
}

static enum status word_fail(const struct config_key *key, const char *word, struct error *error)
{
    char got[GOT_BYTES];
    (void)snprintf(got, sizeof got, "\"%.128s\"", word);
    return value_fail(key, word[0] == '\0' ? "empty" : got, error);
}

static bool range_holds(const struct config_range *range, double value)
{
    const bool low = range->above ? value > range->low : value >= range->low;
    const bool high =
        !range_bounded(range) || (range->below ? value < range->high : value <= range->high);
    return low && high;
}

/* Where the word stands in the key's list, or -1. */
static int word_index(const struct config_key *key, const char *word)
{
    for (int i = 0; key->words != NULL && key->words[i] != NULL; i++) {
        if (strcmp(key->words[i], word) == 0) {
            return i;
        }
    }
    return -1;
}

/* The whole field is zeroed first, so that equal paths are equal byte by byte. */
static enum status path_set(const struct config_key *key, const char *word, const char *folder,
                            char *field, struct error *error)
{
    const size_t length = strlen(word);
    if (length == 0) {
        return word_fail(key, word, error);
    }
    if (utf8_valid_prefix(word, length) != length) {
        return value_fail(key, "no valid UTF-8", error);
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)word[i] < 0x20 || word[i] == 0x7f) {
            return value_fail(key, "a text with a control character", error);
        }
    }
    char joined[PATH_BYTES];
    if (word[0] == '/' || word_index(key, word) >= 0) {
        if (length >= PATH_BYTES) {
            FAIL(error, STATUS_LIMIT, "key \"%s\" is a path of %zu bytes, at most %d can be",
                 key->name, length, PATH_BYTES - 1);
        }
        memcpy(joined, word, length + 1);
    } else {
        TRY(path_join(joined, folder, strncmp(word, "./", 2) == 0 ? word + 2 : word, error));
    }
    memset(field, 0, PATH_BYTES);
    memcpy(field, joined, strlen(joined));
    return STATUS_OK;
}

/* As digest_text writes it, so that equal digests are equal byte by byte. */
static enum status digest_set(const struct config_key *key, const char *word, char *field,
                              struct error *error)
{
    struct digest digest;
    memset(field, 0, DIGEST_TEXT_BYTES);
    if (word_index(key, word) >= 0) {
        memcpy(field, word, strlen(word));
        return STATUS_OK;
    }
    if (!digest_parse(word, &digest)) {
        return word_fail(key, word, error);
    }
    digest_text(digest, field);
    return STATUS_OK;
}

enum status config_value_set(const struct config_key *key, const char *const *words,
                             int64_t word_count, const char *folder, struct config *config,
                             struct error *error)
{
    char *const field = (char *)config + key->offset;
    const int64_t expected_count = key->type == CONFIG_TYPE_REAL_PAIR ? 2 : 1;
    if (word_count != expected_count) {
        char got[GOT_BYTES];
        (void)snprintf(got, sizeof got, "a list of %lld", (long long)word_count);
        return value_fail(key, word_count == 1 ? "a single value" : got, error);
    }
    switch (key->type) {
    case CONFIG_TYPE_INTEGER: {
        int64_t value;
        if (!word_integer(words[0], &value) || !range_holds(&key->range, (double)value)) {
            return word_fail(key, words[0], error);
        }
        memcpy(field, &value, sizeof value);
        break;
    }
    case CONFIG_TYPE_REAL:
    case CONFIG_TYPE_REAL_PAIR:
        for (int64_t i = 0; i < word_count; i++) {
            double value;
            if (!word_real(words[i], &value) || !range_holds(&key->range, value)) {
                return word_fail(key, words[i], error);
            }
            value += 0.0; /* no negative zero */
            memcpy(field + (size_t)i * sizeof value, &value, sizeof value);
        }
        break;
    case CONFIG_TYPE_BOOLEAN: {
        bool value;
        if (!word_boolean(words[0], &value)) {
            return word_fail(key, words[0], error);
        }
        memcpy(field, &value, sizeof value);
        break;
    }
    case CONFIG_TYPE_CHOICE: {
        const int value = word_index(key, words[0]);
        if (value < 0) {
            return word_fail(key, words[0], error);
        }
        static_assert(sizeof(enum model_family) == sizeof(int), "enums are stored as int");
        memcpy(field, &value, sizeof value);
        break;
    }
    case CONFIG_TYPE_PATH:
        return path_set(key, words[0], folder, field, error);
    case CONFIG_TYPE_DIGEST:
        return digest_set(key, words[0], field, error);
    }
    return STATUS_OK;
}

/* The shortest decimal that reads back to the same bits: 30, not 3e+01. */
static void real_text(double value, struct text *out)
{
    char shortest[40];
    for (int digits = 6; digits <= 17; digits++) { /* %g leaves out zeros at the end */
        double back;
        (void)snprintf(shortest, sizeof shortest, "%.*g", digits, value);
        if (word_real(shortest, &back) && memcmp(&back, &value, sizeof value) == 0) {
            break;
        }
    }
    text_add(out, "%s", shortest);
}

void config_value_text(const struct config_key *key, const struct config *config, struct text *out)
{
    const char *const field = (const char *)config + key->offset;
    switch (key->type) {
    case CONFIG_TYPE_INTEGER: {
        int64_t value;
        memcpy(&value, field, sizeof value);
        text_add(out, "%lld", (long long)value);
        break;
    }
    case CONFIG_TYPE_REAL:
    case CONFIG_TYPE_REAL_PAIR: {
        const bool pair = key->type == CONFIG_TYPE_REAL_PAIR;
        double values[2];
        memcpy(values, field, (pair ? 2 : 1) * sizeof values[0]);
        text_add(out, pair ? "[" : "");
        real_text(values[0], out);
        if (pair) {
            text_add(out, ", ");
            real_text(values[1], out);
            text_add(out, "]");
        }
        break;
    }
    case CONFIG_TYPE_BOOLEAN: {
        bool value;
        memcpy(&value, field, sizeof value);
        text_add(out, value ? "true" : "false");
        break;
    }
    case CONFIG_TYPE_CHOICE: {
        int value;
        memcpy(&value, field, sizeof value);
        text_add(out, "%s", key->words[value]);
        break;
    }
    case CONFIG_TYPE_PATH:
    case CONFIG_TYPE_DIGEST:
        text_add(out, "\"");
        for (const char *at = field; *at != '\0'; at++) {
            text_add(out, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
        }
        text_add(out, "\"");
        break;
    }
}
