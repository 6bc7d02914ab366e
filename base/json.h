/* JSON, read and written by jansson; this pair only adds files, limits and messages that name the
 * place. Strings may hold U+0000: use json_string_length(). Duplicate keys are refused. */
#ifndef SHARDLM_BASE_JSON_H
#define SHARDLM_BASE_JSON_H

#include <jansson.h>

#include "base/error.h"

/* Caller releases *root with json_decref. STATUS_FORMAT names path, line and column. */
MUST_CHECK enum status json_read_file(const char *path, size_t size_limit_bytes, json_t **root,
                                      struct error *error);
/* `what` names the text in messages. */
MUST_CHECK enum status json_read_text(const char *what, const char *text, size_t size_bytes,
                                      json_t **root, struct error *error);
/* Durable, indented by two, keys in insertion order. */
MUST_CHECK enum status json_write_file(const char *path, const json_t *root, struct error *error);

/* The value as text; `flags` are jansson's. Caller frees with memory_release. NULL if the value is
 * NULL or a text in it is not UTF-8. */
char *json_text(const json_t *value, size_t flags);
/* On one line, reals with nine digits; releases `value`. Caller frees with memory_release. */
char *json_line(json_t *value);

/* Members of an object, with a message that names `where` (a path, say) and the key. */
MUST_CHECK enum status json_member_object(const json_t *object, const char *key, const char *where,
                                          json_t **value, struct error *error);
MUST_CHECK enum status json_member_array(const json_t *object, const char *key, const char *where,
                                         json_t **value, struct error *error);
MUST_CHECK enum status json_member_text(const json_t *object, const char *key, const char *where,
                                        const char **value, struct error *error);
MUST_CHECK enum status json_member_integer(const json_t *object, const char *key, const char *where,
                                           int64_t *value, struct error *error);
MUST_CHECK enum status json_member_real(const json_t *object, const char *key, const char *where,
                                        double *value,
                                        struct error *error); /* takes integers too */

#endif
