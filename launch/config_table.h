/* THE table of configuration keys. Reading, checks, messages, the resolved text, `shardlm help
 * config` and docs/configuration.md all follow from its rows. Internal to config*.c. */
#ifndef SHARDLM_LAUNCH_CONFIG_TABLE_H
#define SHARDLM_LAUNCH_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "launch/config.h"

enum config_type {
    CONFIG_TYPE_INTEGER, /* int64_t, or uint64_t up to INT64_MAX */
    CONFIG_TYPE_REAL,
    CONFIG_TYPE_REAL_PAIR, /* double[2] */
    CONFIG_TYPE_BOOLEAN,
    CONFIG_TYPE_CHOICE, /* an enum: index of the word in `words` */
    CONFIG_TYPE_PATH,   /* char[PATH_BYTES]; `words` are values that are no paths */
    CONFIG_TYPE_DIGEST, /* char[DIGEST_TEXT_BYTES]; `words` are values that are no digests */
};

/* Items of a list that are looked at: one more than a pair has, so that too many are seen. */
enum { CONFIG_ITEMS_MAX = 3, CONFIG_VALUE_TEXT_BYTES = 5 * PATH_BYTES };

struct config_range {
    double low;
    double high; /* not above `low`: the largest that the type holds */
    bool above;  /* more than `low`, not low itself */
    bool below;  /* less than `high` */
};

struct config_key {
    const char *name; /* "optimizer.peak_rate"; at most one dot */
    enum config_type type;
    size_t offset;        /* in struct config */
    const char *standard; /* default as it would be written, RoBERTa's where families differ (see
                             config_family.h); "=model.dropout": that key's value; NULL: required */
    struct config_range range; /* of numbers */
    const char *const *words;  /* ends with NULL; NULL: none */
    const char *help;          /* one sentence, lower case, no full stop */
};

enum { CONFIG_SECTION_BYTES = 32 };
enum { CONFIG_KEY_COUNT = 80 };
extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* Index of a key by its whole name, or -1. */
int64_t config_key_find(const char *name);
/* Whole name of the known key nearest to `name`. */
const char *config_key_nearest(const char *name);
/* Name of the known section nearest to `name`. */
void config_section_nearest(const char *name, char section[CONFIG_SECTION_BYTES]);
/* "an integer of at least 1", "one of \"linear\", \"cosine\"": what a value of this key must be. */
void config_key_expectation(const struct config_key *key, struct text *out);

/* Sets the key's value from the words given. `folder`: where relative paths begin. Fails with
 * "expected …, got …". */
MUST_CHECK enum status config_value_set(const struct config_key *key, const char *const *words,
                                        int64_t word_count, const char *folder,
                                        struct config *config, struct error *error);
/* Appends the value as YAML that reads back to the same bits. */
void config_value_text(const struct config_key *key, const struct config *config, struct text *out);

/* Where a key's value came from, for messages. */
struct config_origin {
    int64_t line; /* from 1; 0: not from the file */
    int64_t column;
    const char *set; /* the --set text, or NULL; borrowed */
};

struct config_reader {
    const char *path;   /* borrowed */
    const char *folder; /* of the file; borrowed */
    struct config *config;
    struct config_origin origins[CONFIG_KEY_COUNT]; /* zero: the default holds */
};

/* Fills reader->config from YAML, key by key; knows nothing of defaults or combinations. */
MUST_CHECK enum status config_yaml_read(struct config_reader *reader, const char *text,
                                        size_t size_bytes, struct error *error);

#endif
