/* From JSON. A component that is not known, or not with these settings, is named in the message. */
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/text_splitter.h"
#include "data_pipeline/tokenizer_reading.h"

enum { DEPTH_MAX = 4 };

static const char *const behaviors[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
static const char *const prefixes[] = {"never", "first", "always"};

static enum status read_behavior(struct splitter_step *step, const json_t *value, const char *where,
                                 struct error *error)
{
    const char *const name = json_string_value(json_object_get(value, "behavior"));
    for (int i = 0; i < ARRAY_LENGTH(behaviors); i++) {
        if (name != NULL && strcmp(name, behaviors[i]) == 0) {
            step->behavior = (enum split_behavior)i;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": pre_tokenizer \"%.100s\": behavior \"%.100s\" is not supported: expected "
         "Isolated, "
         "Removed, MergedWithPrevious, MergedWithNext or Contiguous",
         where, json_string_value(json_object_get(value, "type")), name == NULL ? "" : name);
}

static struct token_text text_of(const json_t *value, struct arena *arena)
{
    const size_t size_bytes = json_string_length(value);
    return (struct token_text){arena_text(arena, json_string_value(value), size_bytes), size_bytes};
}

static enum status read_split(struct splitter_step *step, const json_t *value, struct arena *arena,
                              const char *where, struct error *error)
{
    const json_t *const pattern = json_object_get(value, "pattern");
    const json_t *const text = json_object_get(pattern, "String");
    const json_t *const regex = json_object_get(pattern, "Regex");
    TRY(read_behavior(step, value, where, error));
    TRY(tokenizer_read_flag(value, "invert", false, where, &step->inverted, error));
    if (json_string_length(text) > 0) {
        step->kind = SPLITTER_KIND_TEXT;
        step->text = text_of(text, arena);
        return STATUS_OK;
    }
    if (json_string_length(regex) == 0) {
        FAIL(
            error, STATUS_FORMAT,
            "\"%s\": pre_tokenizer Split: expected a \"pattern\" with \"String\" or \"Regex\", not "
            "empty",
            where);
    }
    return pattern_init(&step->pattern, json_string_value(regex), json_string_length(regex), where,
                        error);
}

static enum status read_bytes(struct splitter_step *step, const json_t *value, const char *where,
                              struct error *error)
{
    bool prefixed = true;
    TRY(tokenizer_read_flag(value, "add_prefix_space", true, where, &prefixed, error));
    step->prefix = prefixed ? SPLITTER_PREFIX_ALWAYS : SPLITTER_PREFIX_NEVER;
    return tokenizer_read_flag(value, "use_regex", true, where, &step->cuts, error);
}

static enum status read_metaspace(struct splitter_step *step, const json_t *value,
                                  struct arena *arena, const char *where, struct error *error)
{
    const json_t *const symbol = json_object_get(value, "replacement");
    const json_t *const scheme = json_object_get(value, "prepend_scheme");
    bool prefixed = true;
    if (json_string_length(symbol) == 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": pre_tokenizer Metaspace without \"replacement\"",
             where);
    }
    step->text = text_of(symbol, arena);
    step->behavior = SPLIT_BEHAVIOR_MERGED_NEXT;
    TRY(tokenizer_read_flag(value, "split", true, where, &step->cuts, error));
    TRY(tokenizer_read_flag(value, "add_prefix_space", true, where, &prefixed, error));
    step->prefix = prefixed ? SPLITTER_PREFIX_ALWAYS : SPLITTER_PREFIX_NEVER;
    if (scheme == NULL || json_is_null(scheme)) {
        return STATUS_OK; /* older files */
    }
    for (int i = 0; i < ARRAY_LENGTH(prefixes); i++) {
        if (json_is_string(scheme) && strcmp(json_string_value(scheme), prefixes[i]) == 0) {
            step->prefix = (enum splitter_prefix)i;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": \"prepend_scheme\" of Metaspace is not \"always\", \"first\" or \"never\"",
         where);
}

static const struct {
    const char *name;
    enum splitter_kind kind;
} kinds[] = {
    {"Split", SPLITTER_KIND_PATTERN},           {"ByteLevel", SPLITTER_KIND_BYTES},
    {"Metaspace", SPLITTER_KIND_METASPACE},     {"Digits", SPLITTER_KIND_DIGITS},
    {"Punctuation", SPLITTER_KIND_PUNCTUATION}, {"Whitespace", SPLITTER_KIND_WORDS},
    {"WhitespaceSplit", SPLITTER_KIND_SPACES},
};

/* A step is counted before it is read: what it holds is released in any case. There is room. */
static struct splitter_step *add_step(struct text_splitter *splitter, enum splitter_kind kind)
{
    struct splitter_step *const step = &splitter->steps[splitter->count++];
    *step = (struct splitter_step){.kind = kind};
    return step;
}

static enum status read_settings(struct splitter_step *step, const json_t *value,
                                 struct arena *arena, const char *where, struct error *error)
{
    bool alone = false;
    switch (step->kind) {
    case SPLITTER_KIND_PATTERN:
    case SPLITTER_KIND_TEXT:
        return read_split(step, value, arena, where, error);
    case SPLITTER_KIND_BYTES:
        return read_bytes(step, value, where, error);
    case SPLITTER_KIND_METASPACE:
        return read_metaspace(step, value, arena, where, error);
    case SPLITTER_KIND_DIGITS:
        TRY(tokenizer_read_flag(value, "individual_digits", false, where, &alone, error));
        step->behavior = alone ? SPLIT_BEHAVIOR_ISOLATED : SPLIT_BEHAVIOR_CONTIGUOUS;
        return STATUS_OK;
    case SPLITTER_KIND_PUNCTUATION:
        return json_object_get(value, "behavior") == NULL
                   ? STATUS_OK
                   : read_behavior(step, value, where, error);
    case SPLITTER_KIND_SPACES:
        step->behavior = SPLIT_BEHAVIOR_REMOVED;
        return STATUS_OK;
    case SPLITTER_KIND_WORDS:
        step->behavior = SPLIT_BEHAVIOR_REMOVED;
        step->inverted = true;
        return STATUS_OK;
    }
    return STATUS_OK;
}

static enum status read_value(struct text_splitter *splitter, const json_t *value, int depth,
                              struct arena *arena, const char *where, struct error *error)
{
    const char *const type = json_string_value(json_object_get(value, "type"));
    if (type != NULL && strcmp(type, "Sequence") == 0) {
        json_t *list = NULL;
        TRY(json_member_array(value, "pretokenizers", where, &list, error));
        if (depth == DEPTH_MAX) {
            FAIL(error, STATUS_LIMIT, "\"%s\": pre_tokenizers stand more than %d deep", where,
                 DEPTH_MAX);
        }
        for (size_t i = 0; i < json_array_size(list); i++) {
            TRY(read_value(splitter, json_array_get(list, i), depth + 1, arena, where, error));
        }
        return STATUS_OK;
    }
    if (splitter->count + 2 > SPLITTER_STEPS_MAX) {
        FAIL(error, STATUS_LIMIT, "\"%s\": more than %d pre_tokenizers", where,
             SPLITTER_STEPS_MAX - 2);
    }
    if (type != NULL && strcmp(type, "BertPreTokenizer") == 0) {
        add_step(splitter, SPLITTER_KIND_SPACES)->behavior = SPLIT_BEHAVIOR_REMOVED;
        (void)add_step(splitter, SPLITTER_KIND_PUNCTUATION);
        return STATUS_OK;
    }
    for (int i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (type != NULL && strcmp(type, kinds[i].name) == 0) {
            return read_settings(add_step(splitter, kinds[i].kind), value, arena, where, error);
        }
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": pre_tokenizer \"%.100s\" is not supported with BPE: expected Split, ByteLevel, "
         "Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit, BertPreTokenizer or a "
         "Sequence of these",
         where, type == NULL ? "null" : type);
}

enum status text_splitter_read(struct text_splitter *splitter, const json_t *value,
                               struct arena *arena, const char *where, struct error *error)
{
    if (value == NULL || json_is_null(value)) {
        return STATUS_OK;
    }
    return read_value(splitter, value, 0, arena, where, error);
}
