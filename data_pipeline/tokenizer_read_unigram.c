/* SentencePiece model files (spiece.model; unigram, BPE, characters): a message in protocol
 * buffers' wire format, of which a few fields are read. The reader below knows the wire format
 * only: keys (number << 3 | kind), variable-length integers, 4 and 8 byte numbers, and counted
 * bytes. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/tokenizer_reading.h"
#include "data_pipeline/utf8.h"

enum wire_kind { WIRE_INTEGER = 0, WIRE_8_BYTES = 1, WIRE_COUNTED = 2, WIRE_4_BYTES = 5 };

/* Numbers of fields in sentencepiece_model.proto. */
enum { MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_KIND = 3,
    TRAINER_SUFFIX_SPACE = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNKNOWN_TEXT = 44
};
enum { NORMALIZER_MAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_EXTRA = 4, NORMALIZER_ESCAPE = 5 };
enum { KIND_UNIGRAM = 1, KIND_BPE = 2, KIND_CHARACTERS = 4, KIND_COUNT = 5 };

struct wire {
    const char *bytes;
    size_t size_bytes;
    size_t at;
    const char *where; /* name of the file, for messages */
};

struct wire_field {
    uint64_t number;
    enum wire_kind kind;
    uint64_t integer; /* also the bits of the fixed kinds */
    const char *bytes;
    size_t size_bytes;
};

static enum status wire_integer(struct wire *wire, uint64_t *value, struct error *error)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && wire->at < wire->size_bytes; shift += 7) {
        const unsigned char byte = (unsigned char)wire->bytes[wire->at++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_FORMAT, "\"%s\": a number of the SentencePiece model is cut off or too long",
         wire->where);
}

static enum status wire_fixed(struct wire *wire, size_t size_bytes, uint64_t *value,
                              struct error *error)
{
    if (size_bytes > wire->size_bytes - wire->at) {
        FAIL(error, STATUS_FORMAT, "\"%s\": a number of the SentencePiece model is cut off",
             wire->where);
    }
    *value = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        *value |= (uint64_t)(unsigned char)wire->bytes[wire->at++] << (8 * i);
    }
    return STATUS_OK;
}

/* The next field; wire->at < wire->size_bytes. */
static enum status wire_next(struct wire *wire, struct wire_field *field, struct error *error)
{
    uint64_t key = 0;
    *field = (struct wire_field){0};
    TRY(wire_integer(wire, &key, error));
    field->number = key >> 3;
    field->kind = (enum wire_kind)(key & 7);
    switch (field->kind) {
    case WIRE_INTEGER:
        return wire_integer(wire, &field->integer, error);
    case WIRE_8_BYTES:
        return wire_fixed(wire, 8, &field->integer, error);
    case WIRE_4_BYTES:
        return wire_fixed(wire, 4, &field->integer, error);
    case WIRE_COUNTED:
        TRY(wire_integer(wire, &field->integer, error));
        if (field->integer > wire->size_bytes - wire->at) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": a part of the SentencePiece model is longer than the file", wire->where);
        }
        field->bytes = wire->bytes + wire->at;
        field->size_bytes = (size_t)field->integer;
        wire->at += field->size_bytes;
        return STATUS_OK;
    }
    FAIL(error, STATUS_FORMAT, "\"%s\": not a SentencePiece model (field of kind %d)", wire->where,
         (int)(key & 7));
}

static bool is_field(const struct wire_field *field, uint64_t number, enum wire_kind kind)
{
    return field->number == number && field->kind == kind;
}

static float float_of(uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static enum status add_piece(struct tokenizer *tokenizer, const struct wire_field *text,
                             float score, uint64_t type, const char *where, struct error *error)
{
    struct unigram *const model = &tokenizer->unigram;
    const int64_t id = tokenizer->vocabulary.count;
    if (text->size_bytes == 0 || memchr(text->bytes, '\0', text->size_bytes) != NULL ||
        utf8_valid_prefix(text->bytes, text->size_bytes) != text->size_bytes) {
        FAIL(error, STATUS_FORMAT, "\"%s\": piece %lld is not UTF-8 text", where, (long long)id);
    }
    if (type < PIECE_TYPE_NORMAL || type > PIECE_TYPE_BYTE || !isfinite(score)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": type or score of piece %lld is out of range", where,
             (long long)id);
    }
    if (id == TOKEN_COUNT_MAX) {
        FAIL(error, STATUS_LIMIT, "\"%s\": more than %d pieces", where, TOKEN_COUNT_MAX);
    }
    const bool special = type == PIECE_TYPE_UNKNOWN || type == PIECE_TYPE_CONTROL;
    if (!tokenizer_name(tokenizer, text->bytes, text->size_bytes,
                        TOKEN_FLAG_IN_MODEL | (special ? TOKEN_FLAG_SPECIAL : 0))) {
        FAIL(error, STATUS_FORMAT, "\"%s\": piece %lld stands there twice", where, (long long)id);
    }
    memory_reserve((void **)&model->scores, &model->piece_capacity, (size_t)id + 1,
                   sizeof *model->scores, "scores of pieces");
    memory_reserve((void **)&model->types, &model->type_capacity, (size_t)id + 1, 1,
                   "types of pieces");
    model->scores[id] = (double)score;
    model->types[id] = (uint8_t)type;
    if (type == PIECE_TYPE_CONTROL) { /* found in text only if the caller asks for it */
        const bool mask = text->size_bytes == 6 && (memcmp(text->bytes, "[MASK]", 6) == 0 ||
                                                    memcmp(text->bytes, "<mask>", 6) == 0);
        tokenizer_add_token(tokenizer, &(struct added_token){
                                           .id = (int32_t)id, .special = true, .strip_left = mask});
    }
    return STATUS_OK;
}

static enum status read_piece(struct tokenizer *tokenizer, struct wire wire, struct error *error)
{
    struct wire_field text = {0};
    float score = 0;
    uint64_t type = PIECE_TYPE_NORMAL;
    while (wire.at < wire.size_bytes) {
        struct wire_field field;
        TRY(wire_next(&wire, &field, error));
        if (is_field(&field, PIECE_TEXT, WIRE_COUNTED)) {
            text = field;
        } else if (is_field(&field, PIECE_SCORE, WIRE_4_BYTES)) {
            score = float_of(field.integer);
        } else if (is_field(&field, PIECE_TYPE, WIRE_INTEGER)) {
            type = field.integer;
        }
    }
    return add_piece(tokenizer, &text, score, type, wire.where, error);
}

static enum status read_kind(struct unigram *model, uint64_t kind, const char *where,
                             struct error *error)
{
    static const char *const kinds[KIND_COUNT] = {"?", "unigram", "bpe", "word", "char"};
    if (kind != KIND_UNIGRAM && kind != KIND_BPE && kind != KIND_CHARACTERS) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": SentencePiece model of kind %s is not supported: expected unigram, bpe or "
             "char",
             where, kind < KIND_COUNT ? kinds[kind] : "?");
    }
    model->search = kind == KIND_UNIGRAM
                        ? PIECE_SEARCH_BEST_ROW
                        : (kind == KIND_BPE ? PIECE_SEARCH_MERGES : PIECE_SEARCH_CHARACTERS);
    return STATUS_OK;
}

static enum status read_trainer(struct unigram *model, struct wire wire, struct error *error)
{
    while (wire.at < wire.size_bytes) {
        struct wire_field field;
        TRY(wire_next(&wire, &field, error));
        if (is_field(&field, TRAINER_KIND, WIRE_INTEGER)) {
            TRY(read_kind(model, field.integer, wire.where, error));
        }
        if (is_field(&field, TRAINER_SUFFIX_SPACE, WIRE_INTEGER)) {
            model->space_is_suffix = field.integer != 0;
        } else if (is_field(&field, TRAINER_BYTE_FALLBACK, WIRE_INTEGER)) {
            model->byte_fallback = field.integer != 0;
        } else if (is_field(&field, TRAINER_UNKNOWN_TEXT, WIRE_COUNTED)) {
            model->unknown_text = field.bytes;
            model->unknown_text_bytes = field.size_bytes;
        }
    }
    return STATUS_OK;
}

static enum status read_normalizer(struct unigram *model, struct wire wire, struct error *error)
{
    while (wire.at < wire.size_bytes) {
        struct wire_field field;
        TRY(wire_next(&wire, &field, error));
        if (is_field(&field, NORMALIZER_MAP, WIRE_COUNTED)) {
            model->map_blob = field.bytes;
            model->map_bytes = field.size_bytes;
        } else if (is_field(&field, NORMALIZER_PREFIX, WIRE_INTEGER)) {
            model->add_dummy_prefix = field.integer != 0;
        } else if (is_field(&field, NORMALIZER_EXTRA, WIRE_INTEGER)) {
            model->remove_extra_spaces = field.integer != 0;
        } else if (is_field(&field, NORMALIZER_ESCAPE, WIRE_INTEGER)) {
            model->escape_spaces = field.integer != 0;
        }
    }
    return STATUS_OK;
}

static enum status parse_model(struct tokenizer *tokenizer, const char *path, struct error *error)
{
    struct unigram *const model = &tokenizer->unigram;
    struct wire wire = {model->file, model->file_bytes, 0, path};
    model->add_dummy_prefix = true;
    model->remove_extra_spaces = true;
    model->escape_spaces = true;
    model->unknown_text = " \xe2\x81\x87 "; /* U+2047 between blanks */
    model->unknown_text_bytes = strlen(model->unknown_text);
    while (wire.at < wire.size_bytes) {
        struct wire_field field;
        TRY(wire_next(&wire, &field, error));
        const struct wire inner = {field.bytes, field.size_bytes, 0, path};
        if (is_field(&field, MODEL_PIECE, WIRE_COUNTED)) {
            TRY(read_piece(tokenizer, inner, error));
        } else if (is_field(&field, MODEL_TRAINER, WIRE_COUNTED)) {
            TRY(read_trainer(model, inner, error));
        } else if (is_field(&field, MODEL_NORMALIZER, WIRE_COUNTED)) {
            TRY(read_normalizer(model, inner, error));
        }
    }
    tokenizer->post_processor = tokenizer_piece_processor(&tokenizer->vocabulary);
    return STATUS_OK;
}

enum status tokenizer_read_unigram(struct tokenizer *tokenizer, const char *path,
                                   struct error *error)
{
    TRY(file_read(path, TOKENIZER_FILE_BYTES_MAX, &tokenizer->unigram.file,
                  &tokenizer->unigram.file_bytes, error));
    return parse_model(tokenizer, path, error);
}
