/* From JSON. A component that is not known, or not with these settings, is named in the message. */
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/token_decoder.h"
#include "data_pipeline/tokenizer_reading.h"

enum { DEPTH_MAX = 4 };

static struct token_text text_of(const json_t *value, struct arena *arena)
{
    const size_t size_bytes = json_string_length(value);
    return (struct token_text){arena_text(arena, json_string_value(value), size_bytes), size_bytes};
}

/* The text `key`, which must not be empty. */
static enum status read_text(const json_t *value, const char *key, struct arena *arena,
                             const char *where, struct token_text *text, struct error *error)
{
    const json_t *const member = json_object_get(value, key);
    if (json_string_length(member) == 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": decoder \"%.100s\": key \"%s\" is not text, or empty",
             where, json_string_value(json_object_get(value, "type")), key);
    }
    *text = text_of(member, arena);
    return STATUS_OK;
}

static enum status read_replace(struct decoder_step *step, const json_t *value, struct arena *arena,
                                const char *where, struct error *error)
{
    const json_t *const pattern = json_object_get(value, "pattern");
    const json_t *const regex = json_object_get(pattern, "Regex");
    const json_t *const content = json_object_get(value, "content");
    if (!json_is_string(content)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": decoder Replace: key \"content\" is not text", where);
    }
    step->content = text_of(content, arena);
    if (json_string_length(regex) > 0) {
        step->kind = DECODER_KIND_EXPRESSION;
        return pattern_init(&step->pattern, json_string_value(regex), json_string_length(regex),
                            where, error);
    }
    if (!json_is_object(pattern)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": decoder Replace: expected a \"pattern\" with \"String\" or \"Regex\"", where);
    }
    return read_text(pattern, "String", arena, where, &step->text, error);
}

static enum status read_strip(struct decoder_step *step, const json_t *value, struct arena *arena,
                              const char *where, struct error *error)
{
    int64_t left = 0;
    int64_t right = 0;
    TRY(read_text(value, "content", arena, where, &step->text, error));
    TRY(json_member_integer(value, "start", where, &left, error));
    TRY(json_member_integer(value, "stop", where, &right, error));
    if (left < 0 || right < 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": decoder Strip: \"start\" or \"stop\" is negative",
             where);
    }
    step->left = (size_t)left;
    step->right = (size_t)right;
    return STATUS_OK;
}

static enum status read_metaspace(struct decoder_step *step, const json_t *value,
                                  struct arena *arena, const char *where, struct error *error)
{
    const char *const scheme = json_string_value(json_object_get(value, "prepend_scheme"));
    TRY(read_text(value, "replacement", arena, where, &step->text, error));
    TRY(tokenizer_read_flag(value, "add_prefix_space", true, where, &step->strips, error));
    if (scheme != NULL) {
        step->strips = strcmp(scheme, "never") != 0;
    }
    return STATUS_OK;
}

static const struct {
    const char *name;
    enum decoder_kind kind;
} kinds[] = {
    {"ByteLevel", DECODER_KIND_BYTES},       {"Replace", DECODER_KIND_REPLACE},
    {"ByteFallback", DECODER_KIND_FALLBACK}, {"Fuse", DECODER_KIND_FUSE},
    {"Strip", DECODER_KIND_STRIP},           {"Metaspace", DECODER_KIND_METASPACE},
    {"BPEDecoder", DECODER_KIND_SUFFIX},
};

static enum status read_settings(struct decoder_step *step, const json_t *value,
                                 struct arena *arena, const char *where, struct error *error)
{
    switch (step->kind) {
    case DECODER_KIND_REPLACE:
    case DECODER_KIND_EXPRESSION:
        return read_replace(step, value, arena, where, error);
    case DECODER_KIND_STRIP:
        return read_strip(step, value, arena, where, error);
    case DECODER_KIND_METASPACE:
        return read_metaspace(step, value, arena, where, error);
    case DECODER_KIND_SUFFIX:
        return read_text(value, "suffix", arena, where, &step->text, error);
    case DECODER_KIND_BYTES:
    case DECODER_KIND_FALLBACK:
    case DECODER_KIND_FUSE:
        break;
    }
    return STATUS_OK;
}

static enum status read_value(struct token_decoder *decoder, const json_t *value, int depth,
                              struct arena *arena, const char *where, struct error *error)
{
    const char *const type = json_string_value(json_object_get(value, "type"));
    if (type != NULL && strcmp(type, "Sequence") == 0) {
        json_t *list = NULL;
        TRY(json_member_array(value, "decoders", where, &list, error));
        if (depth == DEPTH_MAX) {
            FAIL(error, STATUS_LIMIT, "\"%s\": decoders stand more than %d deep", where, DEPTH_MAX);
        }
        for (size_t i = 0; i < json_array_size(list); i++) {
            TRY(read_value(decoder, json_array_get(list, i), depth + 1, arena, where, error));
        }
        return STATUS_OK;
    }
    for (int i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (type == NULL || strcmp(type, kinds[i].name) != 0) {
            continue;
        }
        if (decoder->count == DECODER_STEPS_MAX) {
            FAIL(error, STATUS_LIMIT, "\"%s\": more than %d decoders", where, DECODER_STEPS_MAX);
        }
        /* counted before it is read: what it holds is released in any case */
        struct decoder_step *const step = &decoder->steps[decoder->count++];
        *step = (struct decoder_step){.kind = kinds[i].kind};
        return read_settings(step, value, arena, where, error);
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": decoder \"%.100s\" is not supported with BPE: expected ByteLevel, Replace, "
         "ByteFallback, Fuse, Strip, Metaspace, BPEDecoder or a Sequence of these",
         where, type == NULL ? "?" : type);
}

enum status token_decoder_read(struct token_decoder *decoder, const json_t *value,
                               struct arena *arena, const char *where, struct error *error)
{
    decoder->joins = value == NULL || json_is_null(value);
    return decoder->joins ? STATUS_OK : read_value(decoder, value, 0, arena, where, error);
}
