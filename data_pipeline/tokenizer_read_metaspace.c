/* Unigram models from tokenizer.json: the vocabulary with its scores, the normalisers, and words as
 * Metaspace and WhitespaceSplit cut them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/tokenizer_reading.h"

enum { DECIMAL_BYTES = 32, DIGITS_MAX = 17, EXACT_POWER = 22 };

/* The vocabulary, rows of a name and a score, as an object of names and ids; caller releases. */
static enum status index_rows(const json_t *rows, const char *where, json_t **ids,
                              struct error *error)
{
    *ids = json_object();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *const row = json_array_get(rows, i);
        const json_t *const name = json_array_get(row, 0);
        const json_t *const score = json_array_get(row, 1);
        const char *const text = json_string_value(name);
        if (text == NULL || text[0] == '\0' || strlen(text) != json_string_length(name) ||
            !json_is_number(score) || !isfinite(json_number_value(score))) {
            FAIL(error, STATUS_FORMAT, "\"%s\": piece %zu is not a text with a score", where, i);
        }
        if (json_object_get(*ids, text) != NULL) {
            FAIL(error, STATUS_FORMAT, "\"%s\": piece \"%s\" stands there twice", where, text);
        }
        const int failed = json_object_set_new(*ids, text, json_integer((json_int_t)i));
        INVARIANT(failed == 0);
    }
    return STATUS_OK;
}

/* A score as the reference reads it from its shortest decimal form: all digits as an integer, over
 * a power of ten, which may miss the nearest double by a bit. It decides between ways to write a
 * word that are equally good but for the last bit. */
static double as_read(double score)
{
    char text[DECIMAL_BYTES]; /* d.ddde-xx */
    int digits = 1;
    const double value = fabs(score);
    for (; digits <= DIGITS_MAX; digits++) {
        (void)snprintf(text, sizeof text, "%.*e", digits - 1, value);
        const double back = strtod(text, NULL);
        if (back >= value && back <= value) {
            break;
        }
    }
    uint64_t whole = 0;
    const char *at = text;
    for (; *at != 'e' && *at != '\0'; at++) {
        whole = *at == '.' ? whole : whole * 10 + (uint64_t)(*at - '0');
    }
    const long exponent = *at == 'e' ? strtol(at + 1, NULL, 10) - (digits - 1) : 0;
    double power = 1;
    for (long i = 0; i < labs(exponent) && i < EXACT_POWER; i++) {
        power *= 10; /* exact as long as the reference's is */
    }
    const double magnitude = exponent < 0 ? (double)whole / power : (double)whole * power;
    return labs(exponent) > EXACT_POWER ? score : copysign(magnitude, score);
}

static bool is_byte_name(const char *name)
{
    return strlen(name) == 6 && memcmp(name, "<0x", 3) == 0 && name[5] == '>';
}

/* Scores and types by id; added tokens that are no pieces have no text for the model. */
static enum status read_scores(struct tokenizer *tokenizer, const json_t *model, const json_t *rows,
                               const char *where, struct error *error)
{
    struct unigram *const unigram = &tokenizer->unigram;
    const size_t count = (size_t)tokenizer->vocabulary.count;
    int64_t unknown = -1;
    TRY(tokenizer_read_flag(model, "byte_fallback", false, where, &unigram->byte_fallback, error));
    TRY(json_member_integer(model, "unk_id", where, &unknown, error));
    if (unknown < 0 || (size_t)unknown >= json_array_size(rows)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": \"unk_id\" %lld is not the number of a piece", where,
             (long long)unknown);
    }
    memory_reserve((void **)&unigram->scores, &unigram->piece_capacity, count,
                   sizeof *unigram->scores, "scores of pieces");
    memory_reserve((void **)&unigram->types, &unigram->type_capacity, count, 1, "types of pieces");
    for (size_t id = 0; id < count; id++) {
        const json_t *const row = json_array_get(rows, id);
        const bool is_byte =
            unigram->byte_fallback && is_byte_name(tokenizer->vocabulary.texts[id].bytes);
        unigram->scores[id] = as_read(json_number_value(json_array_get(row, 1)));
        unigram->types[id] = row == NULL ? PIECE_TYPE_CONTROL
                             : is_byte   ? PIECE_TYPE_BYTE
                                         : PIECE_TYPE_NORMAL;
    }
    unigram->types[unknown] = PIECE_TYPE_UNKNOWN;
    return STATUS_OK;
}

static enum status read_prefix(const json_t *metaspace, const char *where, enum word_prefix *prefix,
                               struct error *error)
{
    static const char *const names[] = {"never", "first", "always"};
    const json_t *const scheme = json_object_get(metaspace, "prepend_scheme");
    const json_t *const symbol = json_object_get(metaspace, "replacement");
    bool prefixed = true;
    if (!json_is_string(symbol) || strcmp(json_string_value(symbol), "\xe2\x96\x81") != 0) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": Metaspace with another replacement than U+2581 is not supported", where);
    }
    TRY(tokenizer_read_flag(metaspace, "add_prefix_space", true, where, &prefixed, error));
    *prefix = prefixed ? WORD_PREFIX_ALWAYS : WORD_PREFIX_NEVER;
    if (scheme == NULL || json_is_null(scheme)) {
        return STATUS_OK; /* older files */
    }
    for (int i = 0; i < ARRAY_LENGTH(names) && json_is_string(scheme); i++) {
        if (strcmp(json_string_value(scheme), names[i]) == 0) {
            *prefix = (enum word_prefix)i;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": \"prepend_scheme\" of Metaspace is not \"always\", \"first\" or \"never\"",
         where);
}

static bool has_type(const json_t *value, const char *type)
{
    const char *const name = json_string_value(json_object_get(value, "type"));
    return name != NULL && strcmp(name, type) == 0;
}

/* Metaspace, or WhitespaceSplit and then Metaspace, either alone in a Sequence too. */
static enum status read_splitter(struct unigram_words *words, const json_t *value,
                                 const char *where, struct error *error)
{
    const json_t *const list =
        has_type(value, "Sequence") ? json_object_get(value, "pretokenizers") : NULL;
    const size_t count = json_array_size(list);
    const json_t *const last = list == NULL ? value : json_array_get(list, count - 1);
    words->split_at_spaces = count == 2 && has_type(json_array_get(list, 0), "WhitespaceSplit");
    if (!has_type(last, "Metaspace") || (count > 1 && !words->split_at_spaces)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": pre_tokenizer \"%s\" is not supported with Unigram: expected Metaspace, or "
             "WhitespaceSplit and Metaspace",
             where,
             json_is_string(json_object_get(value, "type"))
                 ? json_string_value(json_object_get(value, "type"))
                 : "null");
    }
    TRY(read_prefix(last, where, &words->prefix, error));
    return tokenizer_read_flag(last, "split", true, where, &words->split_at_symbols, error);
}

static enum status read_decoder(struct unigram_words *words, const json_t *value, const char *where,
                                struct error *error)
{
    if (value == NULL || json_is_null(value)) {
        return STATUS_OK;
    }
    if (!has_type(value, "Metaspace")) {
        const char *const type = json_string_value(json_object_get(value, "type"));
        FAIL(error, STATUS_FORMAT,
             "\"%s\": decoder \"%.200s\" is not supported with Unigram: expected Metaspace", where,
             type == NULL ? "?" : type);
    }
    enum word_prefix prefix = WORD_PREFIX_ALWAYS;
    TRY(read_prefix(value, where, &prefix, error));
    words->has_decoder = true;
    words->decoder_strips = prefix != WORD_PREFIX_NEVER;
    return STATUS_OK;
}

static json_t *kept(const json_t *root, const char *key)
{
    return json_incref(json_object_get(root, key));
}

enum status tokenizer_read_metaspace(struct tokenizer *tokenizer, const json_t *root,
                                     const json_t *model, const char *where, struct error *error)
{
    struct unigram *const unigram = &tokenizer->unigram;
    json_t *rows = NULL;
    json_t *ids = NULL;
    const json_t *added = NULL;
    unigram->by_words = true;
    TRY(json_member_array(model, "vocab", where, &rows, error));
    TRY(tokenizer_read_added_list(root, where, &added, error));
    enum status status = index_rows(rows, where, &ids, error);
    if (status == STATUS_OK) {
        status = tokenizer_read_names(tokenizer, ids, added, where, error);
    }
    json_decref(ids);
    TRY(status);
    TRY(tokenizer_read_added(tokenizer, added, where, error));
    TRY(read_scores(tokenizer, model, rows, where, error));
    TRY(text_normalizer_read(&unigram->words.normalizer, json_object_get(root, "normalizer"),
                             &tokenizer->arena, where, error));
    TRY(read_splitter(&unigram->words, json_object_get(root, "pre_tokenizer"), where, error));
    TRY(read_decoder(&unigram->words, json_object_get(root, "decoder"), where, error));
    tokenizer->normalizer = kept(root, "normalizer");
    tokenizer->pre_tokenizer = kept(root, "pre_tokenizer");
    tokenizer->decoder = kept(root, "decoder");
    return STATUS_OK;
}
