/* From YAML to keys and words, with the place of each in every message; the only file that sees
 * libyaml. A configuration is one mapping of sections, each a mapping of keys; no tags, no merge
 * keys. */
#include <yaml.h>

#include <stdio.h>
#include <string.h>

#include "launch/config_table.h"

enum { KEY_BYTES_MAX = 128, BRACKETS_MAX = 1024 };

/* Puts "could not read configuration "x.yaml", line 4, column 3" in front of the message of a
 * failure. */
static enum status yaml_context(const struct config_reader *reader, yaml_mark_t mark,
                                enum status status, struct error *error)
{
    return error_context(error, status, "could not read configuration \"%s\", line %zu, column %zu",
                         reader->path, mark.line + 1, mark.column + 1);
}

static enum status fail_at(const struct config_reader *reader, yaml_mark_t mark,
                           struct error *error, const char *format, ...) PRINTF_LIKE(4, 5);

static enum status fail_at(const struct config_reader *reader, yaml_mark_t mark,
                           struct error *error, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return yaml_context(reader, mark, error_set(error, STATUS_FORMAT, "%s", message), error);
}

/* The scalar's text; fails for other nodes, for tags and for texts with U+0000. */
static enum status yaml_scalar(const struct config_reader *reader, const yaml_node_t *node,
                               const char *name, const char **word, struct error *error)
{
    if (node->type != YAML_SCALAR_NODE) {
        return fail_at(reader, node->start_mark, error,
                       "key \"%s\" holds %s where one value was expected", name,
                       node->type == YAML_MAPPING_NODE ? "a mapping" : "a list");
    }
    if (strcmp((const char *)node->tag, YAML_STR_TAG) != 0) {
        return fail_at(reader, node->start_mark, error,
                       "key \"%s\" has the tag \"%.64s\", tags are not supported", name,
                       (const char *)node->tag);
    }
    *word = (const char *)node->data.scalar.value;
    if (strlen(*word) != node->data.scalar.length) {
        return fail_at(reader, node->start_mark, error, "key \"%s\" holds a text with a zero byte",
                       name);
    }
    return STATUS_OK;
}

/* What a plain word cannot be: nothing at all; and a number cannot stand in quotes. */
static enum status yaml_style_check(const struct config_reader *reader, const yaml_node_t *node,
                                    const struct config_key *key, const char *word,
                                    struct error *error)
{
    const bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    const bool nothing =
        plain && (word[0] == '\0' || strcmp(word, "~") == 0 || strcmp(word, "null") == 0);
    const bool takes_text = key->type == CONFIG_TYPE_PATH || key->type == CONFIG_TYPE_CHOICE ||
                            key->type == CONFIG_TYPE_DIGEST;
    if (nothing || (!plain && !takes_text)) {
        struct text expected = {0};
        config_key_expectation(key, &expected);
        const enum status status =
            error_set(error, STATUS_FORMAT, "key \"%s\" is %s%.64s%s, expected %s", key->name,
                      nothing ? "empty" : "the quoted text \"", nothing ? "" : word,
                      nothing ? "" : "\"", expected.data);
        text_deinit(&expected);
        return yaml_context(reader, node->start_mark, status, error);
    }
    return STATUS_OK;
}

static enum status yaml_value(struct config_reader *reader, yaml_document_t *document,
                              const yaml_node_t *node, const struct config_key *key,
                              struct error *error)
{
    const char *words[CONFIG_ITEMS_MAX];
    int64_t word_count = 0;
    if (node->type == YAML_SEQUENCE_NODE && key->type == CONFIG_TYPE_REAL_PAIR) {
        const yaml_node_item_t *const first = node->data.sequence.items.start;
        word_count = node->data.sequence.items.top - first;
        for (int64_t i = 0; i < word_count && i < CONFIG_ITEMS_MAX; i++) {
            const yaml_node_t *const item = yaml_document_get_node(document, first[i]);
            TRY(yaml_scalar(reader, item, key->name, &words[i], error));
            TRY(yaml_style_check(reader, item, key, words[i], error));
        }
    } else if (node->type != YAML_SCALAR_NODE) {
        struct text expected = {0};
        config_key_expectation(key, &expected);
        const enum status status =
            error_set(error, STATUS_FORMAT, "key \"%s\" is %s, expected %s", key->name,
                      node->type == YAML_MAPPING_NODE ? "a mapping" : "a list", expected.data);
        text_deinit(&expected);
        return yaml_context(reader, node->start_mark, status, error);
    } else {
        word_count = 1;
        TRY(yaml_scalar(reader, node, key->name, &words[0], error));
        TRY(yaml_style_check(reader, node, key, words[0], error));
    }
    const enum status status =
        config_value_set(key, words, word_count, reader->folder, reader->config, error);
    return yaml_context(reader, node->start_mark, status, error);
}

static enum status yaml_entry(struct config_reader *reader, yaml_document_t *document,
                              const char *name, const yaml_node_t *key_node,
                              const yaml_node_t *value_node, struct error *error)
{
    const int64_t index = config_key_find(name);
    if (index < 0) {
        return fail_at(reader, key_node->start_mark, error,
                       "unknown key \"%s\", nearest known key is \"%s\"", name,
                       config_key_nearest(name));
    }
    struct config_origin *const origin = &reader->origins[index];
    if (origin->line > 0) {
        return fail_at(reader, key_node->start_mark, error,
                       "key \"%s\" was already given in line %lld", name, (long long)origin->line);
    }
    TRY(yaml_value(reader, document, value_node, &config_keys[index], error));
    origin->line = (int64_t)value_node->start_mark.line + 1;
    origin->column = (int64_t)value_node->start_mark.column + 1;
    return STATUS_OK;
}

/* Is there a key "NAME.something"? */
static bool is_section(const char *name)
{
    const size_t length = strlen(name);
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strncmp(config_keys[i].name, name, length) == 0 && config_keys[i].name[length] == '.') {
            return true;
        }
    }
    return false;
}

static enum status yaml_key(const struct config_reader *reader, yaml_document_t *document,
                            yaml_node_item_t item, const char *section, char name[KEY_BYTES_MAX],
                            const yaml_node_t **node, struct error *error)
{
    *node = yaml_document_get_node(document, item);
    const char *word;
    TRY(yaml_scalar(reader, *node, section == NULL ? "(a key)" : section, &word, error));
    (void)snprintf(name, KEY_BYTES_MAX, "%s%s%.80s", section == NULL ? "" : section,
                   section == NULL ? "" : ".", word);
    if (strcmp(word, "<<") == 0) {
        return fail_at(reader, (*node)->start_mark, error, "merge keys (\"<<\") are not supported");
    }
    return STATUS_OK;
}

static enum status yaml_section(struct config_reader *reader, yaml_document_t *document,
                                const char *section, const yaml_node_t *mapping,
                                struct error *error)
{
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        char name[KEY_BYTES_MAX];
        const yaml_node_t *key_node;
        TRY(yaml_key(reader, document, pair->key, section, name, &key_node, error));
        const yaml_node_t *const value = yaml_document_get_node(document, pair->value);
        const bool opens = section == NULL && is_section(name);
        if (opens && value->type != YAML_MAPPING_NODE) {
            return fail_at(reader, value->start_mark, error,
                           "section \"%s\" is %s, expected a mapping of its keys", name,
                           value->type == YAML_SEQUENCE_NODE ? "a list" : "a single value");
        }
        if (section == NULL && !opens && value->type == YAML_MAPPING_NODE &&
            config_key_find(name) < 0) {
            char nearest[CONFIG_SECTION_BYTES];
            config_section_nearest(name, nearest);
            return fail_at(reader, key_node->start_mark, error,
                           "unknown section \"%s\", nearest known section is \"%s\"", name,
                           nearest);
        }
        TRY(opens ? yaml_section(reader, document, name, value, error)
                  : yaml_entry(reader, document, name, key_node, value, error));
    }
    return STATUS_OK;
}

static enum status yaml_document(struct config_reader *reader, yaml_document_t *document,
                                 struct error *error)
{
    const yaml_node_t *const root = yaml_document_get_root_node(document);
    if (root == NULL) {
        FAIL(error, STATUS_FORMAT, "could not read configuration \"%s\": it is empty",
             reader->path);
    }
    if (root->type != YAML_MAPPING_NODE) {
        return fail_at(reader, root->start_mark, error, "expected a mapping of sections, got %s",
                       root->type == YAML_SEQUENCE_NODE ? "a list" : "a single value");
    }
    return yaml_section(reader, document, NULL, root, error);
}

static enum status yaml_problem(const struct config_reader *reader, const yaml_parser_t *parser,
                                struct error *error)
{
    const char *const problem = parser->problem == NULL ? "not YAML" : parser->problem;
    if (parser->error == YAML_READER_ERROR) {
        FAIL(error, STATUS_FORMAT, "could not read configuration \"%s\", byte %zu: %s",
             reader->path, parser->problem_offset, problem);
    }
    return fail_at(reader, parser->problem_mark, error, "%s%s%s", problem,
                   parser->context == NULL ? "" : " ",
                   parser->context == NULL ? "" : parser->context);
}

/* A configuration is one document; what follows it is refused. */
static enum status yaml_end(const struct config_reader *reader, yaml_parser_t *parser,
                            struct error *error)
{
    yaml_document_t document;
    if (yaml_parser_load(parser, &document) == 0) {
        return yaml_problem(reader, parser, error);
    }
    const bool more = yaml_document_get_root_node(&document) != NULL;
    const yaml_mark_t mark = document.start_mark;
    yaml_document_delete(&document);
    if (more) {
        return fail_at(reader, mark, error, "a second document begins, expected one");
    }
    return STATUS_OK;
}

/* libyaml takes time by the square of the depth: no configuration has that many brackets. */
static enum status yaml_brackets_check(const struct config_reader *reader, const char *text,
                                       size_t size_bytes, struct error *error)
{
    int64_t count = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        count += text[i] == '[' || text[i] == '{';
    }
    if (count > BRACKETS_MAX) {
        FAIL(error, STATUS_FORMAT, "could not read configuration \"%s\": more than %d brackets",
             reader->path, BRACKETS_MAX);
    }
    return STATUS_OK;
}

enum status config_yaml_read(struct config_reader *reader, const char *text, size_t size_bytes,
                             struct error *error)
{
    TRY(yaml_brackets_check(reader, text, size_bytes, error));
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        FAIL(error, STATUS_INTERNAL, "could not start the YAML parser");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size_bytes);
    yaml_document_t document;
    enum status status;
    if (yaml_parser_load(&parser, &document) == 0) {
        status = yaml_problem(reader, &parser, error);
    } else {
        status = yaml_document(reader, &document, error);
        if (status == STATUS_OK) {
            status = yaml_end(reader, &parser, error);
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return status;
}
