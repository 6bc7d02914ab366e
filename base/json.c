/* See json.h. */
#include "base/json.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"

enum status json_read_text(const char *what, const char *text, size_t size_bytes, json_t **root,
                           struct error *error)
{
    json_error_t reason;
    json_t *const parsed =
        json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &reason);
    if (parsed == NULL) {
        FAIL(error, STATUS_FORMAT, "could not parse JSON \"%s\", line %d, column %d: %s", what,
             reason.line, reason.column, reason.text);
    }
    *root = parsed;
    return STATUS_OK;
}

enum status json_read_file(const char *path, size_t size_limit_bytes, json_t **root,
                           struct error *error)
{
    char *text;
    size_t size_bytes;
    TRY(file_read(path, size_limit_bytes, &text, &size_bytes, error));
    const enum status status = json_read_text(path, text, size_bytes, root, error);
    memory_release(text);
    return status;
}

char *json_text(const json_t *value, size_t flags)
{
    char *const dump = value == NULL ? NULL : json_dumps(value, flags);
    if (dump == NULL) {
        return NULL;
    }
    char *const text = memory_text(dump);
    json_free_t release; /* not always free() */
    json_get_alloc_funcs(NULL, &release);
    release(dump);
    return text;
}

enum status json_write_file(const char *path, const json_t *root, struct error *error)
{
    char *const text = json_text(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (text == NULL) {
        FAIL(error, STATUS_INTERNAL, "could not write JSON \"%s\": not serialisable", path);
    }
    const size_t length = strlen(text);
    text[length] = '\n'; /* the terminating zero is not written */
    const enum status status = file_write_durable(path, text, length + 1, error);
    memory_release(text);
    return status;
}

static enum status json_member(const json_t *object, const char *key, const char *where,
                               bool matches(const json_t *), const char *kind, json_t **value,
                               struct error *error)
{
    json_t *const member = json_is_object(object) ? json_object_get(object, key) : NULL;
    if (member == NULL) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is missing, expected %s", where, key, kind);
    }
    if (!matches(member)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is not %s", where, key, kind);
    }
    *value = member;
    return STATUS_OK;
}

static bool is_object(const json_t *value)
{
    return json_is_object(value);
}

enum status json_member_object(const json_t *object, const char *key, const char *where,
                               json_t **value, struct error *error)
{
    return json_member(object, key, where, is_object, "an object", value, error);
}

static bool is_array(const json_t *value)
{
    return json_is_array(value);
}

enum status json_member_array(const json_t *object, const char *key, const char *where,
                              json_t **value, struct error *error)
{
    return json_member(object, key, where, is_array, "an array", value, error);
}

static bool is_text(const json_t *value)
{
    return json_is_string(value);
}

enum status json_member_text(const json_t *object, const char *key, const char *where,
                             const char **value, struct error *error)
{
    json_t *member = NULL;
    TRY(json_member(object, key, where, is_text, "a string", &member, error));
    *value = json_string_value(member);
    return STATUS_OK;
}

static bool is_integer(const json_t *value)
{
    return json_is_integer(value);
}

enum status json_member_integer(const json_t *object, const char *key, const char *where,
                                int64_t *value, struct error *error)
{
    json_t *member = NULL;
    TRY(json_member(object, key, where, is_integer, "an integer", &member, error));
    *value = (int64_t)json_integer_value(member);
    return STATUS_OK;
}

static bool is_number(const json_t *value)
{
    return json_is_number(value);
}

enum status json_member_real(const json_t *object, const char *key, const char *where,
                             double *value, struct error *error)
{
    json_t *member = NULL;
    TRY(json_member(object, key, where, is_number, "a number", &member, error));
    *value = json_number_value(member);
    return STATUS_OK;
}

char *json_line(json_t *value)
{
    char *const text = json_text(value, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(value);
    INVARIANT(text != NULL);
    return text;
}
