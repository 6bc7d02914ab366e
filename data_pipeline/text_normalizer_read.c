/* From JSON. A component that is not known, or not with these settings, is named in the message. */
#include <string.h>

#include "base/base64.h"
#include "base/memory.h"
#include "data_pipeline/text_normalizer.h"
#include "data_pipeline/tokenizer_reading.h"

enum { DEPTH_MAX = 4 };

static enum status read_map(struct normalizer_step *step, const json_t *value, const char *where,
                            struct error *error)
{
    const json_t *const map = json_object_get(value, "precompiled_charsmap");
    if (map == NULL || json_is_null(map)) {
        return STATUS_OK; /* no rules: nothing changes */
    }
    size_t size_bytes = 0;
    if (!json_is_string(map) || !base64_decode(json_string_value(map), json_string_length(map),
                                               &step->map_blob, &size_bytes)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": \"precompiled_charsmap\" is not base64 text", where);
    }
    TRY(character_map_init(&step->map, step->map_blob, size_bytes, where, error));
    for (int i = 0; i < ARRAY_LENGTH(step->plain); i++) {
        const char letter = (char)i;
        const char *ignored = NULL;
        step->plain[i] = letter != '\r' && letter != '\n' &&
                         character_map_find_first(&step->map, &letter, 1, &ignored) == 0;
    }
    return STATUS_OK;
}

static struct token_text text_of(const json_t *value, struct arena *arena)
{
    const size_t size_bytes = json_string_length(value);
    return (struct token_text){arena_text(arena, json_string_value(value), size_bytes), size_bytes};
}

static const struct {
    const char *text;
    enum normalizer_kind kind;
} expressions[] = {
    {" {2,}", NORMALIZER_KIND_REPLACE_BLANKS},
    {"\\s{2,}|[\\n\\r\\t]", NORMALIZER_KIND_REPLACE_SPACES},
};

static enum status read_replace(struct normalizer_step *step, const json_t *value,
                                struct arena *arena, const char *where, struct error *error)
{
    const json_t *const pattern = json_object_get(value, "pattern");
    const json_t *const text = json_object_get(pattern, "String");
    const char *const regex = json_string_value(json_object_get(pattern, "Regex"));
    const json_t *const content = json_object_get(value, "content");
    if (!json_is_string(content)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": normalizer Replace: key \"content\" is not text",
             where);
    }
    step->content = text_of(content, arena);
    if (json_string_length(text) > 0) {
        step->kind = NORMALIZER_KIND_REPLACE;
        step->pattern = text_of(text, arena);
        return STATUS_OK;
    }
    for (int i = 0; i < ARRAY_LENGTH(expressions) && regex != NULL; i++) {
        if (strcmp(regex, expressions[i].text) == 0) {
            step->kind = expressions[i].kind;
            return STATUS_OK;
        }
    }
    if (regex == NULL || regex[0] == '\0') {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": normalizer Replace: expected a \"pattern\" with \"String\" or \"Regex\", not "
             "empty",
             where);
    }
    step->kind = NORMALIZER_KIND_REPLACE_MATCHES;
    TRY(pattern_init(&step->expression, regex, strlen(regex), where, error));
    if (pattern_matches_nothing(&step->expression)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": normalizer Replace: pattern \"%.100s\" matches the empty text, which is not "
             "supported",
             where, regex);
    }
    return STATUS_OK;
}

static enum status read_prepend(struct normalizer_step *step, const json_t *value,
                                struct arena *arena, const char *where, struct error *error)
{
    const json_t *const text = json_object_get(value, "prepend");
    if (!json_is_string(text)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": normalizer Prepend: key \"prepend\" is not text",
             where);
    }
    step->content = text_of(text, arena);
    return STATUS_OK;
}

static const struct {
    const char *name;
    enum normalizer_kind kind;
    enum unicode_form form;
} kinds[] = {
    {"NFC", NORMALIZER_KIND_FORM, UNICODE_FORM_NFC},
    {"NFD", NORMALIZER_KIND_FORM, UNICODE_FORM_NFD},
    {"NFKC", NORMALIZER_KIND_FORM, UNICODE_FORM_NFKC},
    {"NFKD", NORMALIZER_KIND_FORM, UNICODE_FORM_NFKD},
    {"StripAccents", NORMALIZER_KIND_STRIP_ACCENTS, UNICODE_FORM_NFC},
    {"Lowercase", NORMALIZER_KIND_LOWERCASE, UNICODE_FORM_NFC},
    {"Strip", NORMALIZER_KIND_STRIP, UNICODE_FORM_NFC},
    {"Replace", NORMALIZER_KIND_REPLACE, UNICODE_FORM_NFC},
    {"Precompiled", NORMALIZER_KIND_PRECOMPILED, UNICODE_FORM_NFC},
    {"Prepend", NORMALIZER_KIND_PREPEND, UNICODE_FORM_NFC},
    {"BertNormalizer", NORMALIZER_KIND_BERT, UNICODE_FORM_NFC},
};

/* The step is counted before it is read: what it holds is released in any case. */
static enum status read_step(struct text_normalizer *normalizer, const json_t *value,
                             struct arena *arena, const char *where, struct error *error)
{
    const char *const type = json_string_value(json_object_get(value, "type"));
    int kind = 0;
    while (kind < ARRAY_LENGTH(kinds) && (type == NULL || strcmp(kinds[kind].name, type) != 0)) {
        kind++;
    }
    if (kind == ARRAY_LENGTH(kinds)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": normalizer \"%.200s\" is not supported: expected a Unicode form, "
             "StripAccents, "
             "Lowercase, Strip, Replace, Prepend, Precompiled, BertNormalizer or a Sequence of "
             "these",
             where, type == NULL ? "?" : type);
    }
    if (normalizer->count == NORMALIZER_STEPS_MAX) {
        FAIL(error, STATUS_LIMIT, "\"%s\": more than %d normalizers", where, NORMALIZER_STEPS_MAX);
    }
    struct normalizer_step *const step = &normalizer->steps[normalizer->count++];
    *step = (struct normalizer_step){.kind = kinds[kind].kind, .form = kinds[kind].form};
    switch (step->kind) {
    case NORMALIZER_KIND_STRIP:
        TRY(tokenizer_read_flag(value, "strip_left", true, where, &step->strip_left, error));
        return tokenizer_read_flag(value, "strip_right", true, where, &step->strip_right, error);
    case NORMALIZER_KIND_REPLACE:
    case NORMALIZER_KIND_REPLACE_BLANKS:
    case NORMALIZER_KIND_REPLACE_SPACES:
    case NORMALIZER_KIND_REPLACE_MATCHES:
        return read_replace(step, value, arena, where, error);
    case NORMALIZER_KIND_PREPEND:
        return read_prepend(step, value, arena, where, error);
    case NORMALIZER_KIND_BERT:
        return tokenizer_read_bert(&step->bert, value, "lowercase", "handle_chinese_chars", where,
                                   error);
    case NORMALIZER_KIND_PRECOMPILED:
        return read_map(step, value, where, error);
    case NORMALIZER_KIND_FORM:
    case NORMALIZER_KIND_STRIP_ACCENTS:
    case NORMALIZER_KIND_LOWERCASE:
        break;
    }
    return STATUS_OK;
}

static enum status read_value(struct text_normalizer *normalizer, const json_t *value, int depth,
                              struct arena *arena, const char *where, struct error *error)
{
    const char *const type = json_string_value(json_object_get(value, "type"));
    if (type == NULL || strcmp(type, "Sequence") != 0) {
        return read_step(normalizer, value, arena, where, error);
    }
    json_t *list = NULL;
    TRY(json_member_array(value, "normalizers", where, &list, error));
    if (depth == DEPTH_MAX) {
        FAIL(error, STATUS_LIMIT, "\"%s\": normalizers stand more than %d deep", where, DEPTH_MAX);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(read_value(normalizer, json_array_get(list, i), depth + 1, arena, where, error));
    }
    return STATUS_OK;
}

enum status text_normalizer_read(struct text_normalizer *normalizer, const json_t *value,
                                 struct arena *arena, const char *where, struct error *error)
{
    if (value == NULL || json_is_null(value)) {
        return STATUS_OK;
    }
    return read_value(normalizer, value, 0, arena, where, error);
}
