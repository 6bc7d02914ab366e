/* BPE tokenizers as files: tokenizer.json, or vocab.json with merges.txt. Merges name known tokens.
 */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/tokenizer_reading.h"

/* One merge: both parts and their sum must be tokens. `number` counts from 1. */
static enum status add_merge(struct tokenizer *tokenizer, const char *left, size_t left_bytes,
                             const char *right, size_t right_bytes, size_t number,
                             const char *where, struct error *error)
{
    const struct token_table *const vocabulary = &tokenizer->vocabulary;
    char *const sum = memory_take(left_bytes + right_bytes + 1, 1, "a merge");
    memcpy(sum, left, left_bytes);
    memcpy(sum + left_bytes, right, right_bytes);
    const struct bpe_merge merge = {
        .left = token_table_find(vocabulary, left, left_bytes),
        .right = token_table_find(vocabulary, right, right_bytes),
        .result = token_table_find(vocabulary, sum, left_bytes + right_bytes),
    };
    memory_release(sum);
    if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": merge %zu (\"%.*s %.*s\"): %s is not in the vocabulary",
             where, number, (int)(left_bytes < 200 ? left_bytes : 200), left,
             (int)(right_bytes < 200 ? right_bytes : 200), right,
             merge.left < 0 ? "the left part"
                            : (merge.right < 0 ? "the right part" : "the result"));
    }
    struct bytebpe *const bpe = &tokenizer->bpe;
    memory_reserve((void **)&bpe->merges, &bpe->merge_capacity, bpe->merge_count + 1,
                   sizeof *bpe->merges, "merges of a tokenizer");
    bpe->merges[bpe->merge_count++] = merge;
    return STATUS_OK;
}

/* "left right". */
static enum status add_merge_line(struct tokenizer *tokenizer, const char *line, size_t size_bytes,
                                  size_t number, const char *where, struct error *error)
{
    const char *const blank = memchr(line, ' ', size_bytes);
    const size_t left_bytes = blank == NULL ? size_bytes : (size_t)(blank - line);
    const size_t right_bytes = blank == NULL ? 0 : size_bytes - left_bytes - 1;
    if (left_bytes == 0 || right_bytes == 0 || memchr(blank + 1, ' ', right_bytes) != NULL) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": merge %zu (\"%.*s\") is not two tokens with a blank between", where, number,
             (int)(size_bytes < 200 ? size_bytes : 200), line);
    }
    return add_merge(tokenizer, line, left_bytes, blank + 1, right_bytes, number, where, error);
}

static enum status read_merges(struct tokenizer *tokenizer, const json_t *merges, const char *where,
                               struct error *error)
{
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *const merge = json_array_get(merges, i);
        if (json_is_string(merge)) {
            TRY(add_merge_line(tokenizer, json_string_value(merge), json_string_length(merge),
                               i + 1, where, error));
            continue;
        }
        const json_t *const left = json_array_get(merge, 0);
        const json_t *const right = json_array_get(merge, 1);
        if (!json_is_string(left) || !json_is_string(right) || json_array_size(merge) != 2) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": merge %zu is neither \"left right\" nor [\"left\", \"right\"]", where,
                 i + 1);
        }
        TRY(add_merge(tokenizer, json_string_value(left), json_string_length(left),
                      json_string_value(right), json_string_length(right), i + 1, where, error));
    }
    return STATUS_OK;
}

/* A setting that byte-level BPE does not have: absent, null, "" or 0. */
static enum status expect_unset(const json_t *object, const char *key, const char *where,
                                struct error *error)
{
    const json_t *const value = json_object_get(object, key);
    const bool unset = value == NULL || json_is_null(value) || json_is_false(value) ||
                       (json_is_string(value) && json_string_length(value) == 0) ||
                       (json_is_number(value) && json_number_value(value) == 0.0);
    if (!unset) {
        FAIL(error, STATUS_FORMAT, "\"%s\": \"%s\" of the model is set, which is not supported",
             where, key);
    }
    return STATUS_OK;
}

/* The part `key` must be of type ByteLevel, alone or as the only one of a Sequence. */
static enum status byte_level_part(const json_t *root, const char *key, const char *where,
                                   const json_t **part, struct error *error)
{
    const json_t *value = json_object_get(root, key);
    const char *type = json_string_value(json_object_get(value, "type"));
    if (type != NULL && strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(value, "pretokenizers");
        list = list != NULL ? list : json_object_get(value, "decoders");
        if (json_array_size(list) == 1) {
            value = json_array_get(list, 0);
            type = json_string_value(json_object_get(value, "type"));
        }
    }
    if (type == NULL || strcmp(type, "ByteLevel") != 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %s \"%s\" is not supported: expected ByteLevel", where,
             key, type == NULL ? "null" : type);
    }
    *part = value;
    return STATUS_OK;
}

static enum status read_bytebpe_model(struct tokenizer *tokenizer, const json_t *root,
                                      const json_t *model, const char *where, struct error *error)
{
    json_t *vocabulary = NULL;
    json_t *merges = NULL;
    TRY(json_member_object(model, "vocab", where, &vocabulary, error));
    TRY(json_member_array(model, "merges", where, &merges, error));
    const char *const unset[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                 "byte_fallback"};
    for (int i = 0; i < ARRAY_LENGTH(unset); i++) {
        TRY(expect_unset(model, unset[i], where, error));
    }
    const json_t *const normalizer = json_object_get(root, "normalizer");
    if (normalizer != NULL && !json_is_null(normalizer)) {
        const char *const kind = json_string_value(json_object_get(normalizer, "type"));
        FAIL(error, STATUS_FORMAT, "\"%s\": normalizer \"%s\" is not supported: expected null",
             where, kind == NULL ? "?" : kind);
    }
    const json_t *added = NULL;
    TRY(tokenizer_read_added_list(root, where, &added, error));
    TRY(tokenizer_read_names(tokenizer, vocabulary, added, where, error));
    TRY(tokenizer_read_added(tokenizer, added, where, error));
    TRY(read_merges(tokenizer, merges, where, error));
    const json_t *const unknown = json_object_get(model, "unk_token");
    if (json_is_string(unknown)) {
        tokenizer->bpe.unknown = token_table_find(
            &tokenizer->vocabulary, json_string_value(unknown), json_string_length(unknown));
    }
    TRY(tokenizer_read_flag(model, "fuse_unk", false, where, &tokenizer->bpe.fuse_unknown, error));
    return tokenizer_read_flag(model, "ignore_merges", false, where, &tokenizer->bpe.ignore_merges,
                               error);
}

enum status tokenizer_read_bpe(struct tokenizer *tokenizer, const json_t *root, const json_t *model,
                               const char *where, struct error *error)
{
    TRY(read_bytebpe_model(tokenizer, root, model, where, error));
    const json_t *splitter = NULL;
    TRY(byte_level_part(root, "pre_tokenizer", where, &splitter, error));
    TRY(tokenizer_read_flag(splitter, "add_prefix_space", true, where,
                            &tokenizer->bpe.add_prefix_space, error));
    TRY(tokenizer_read_flag(splitter, "use_regex", true, where, &tokenizer->bpe.use_pattern,
                            error));
    const json_t *decoder = json_object_get(root, "decoder");
    if (decoder != NULL && !json_is_null(decoder)) {
        TRY(byte_level_part(root, "decoder", where, &decoder, error));
    }
    return STATUS_OK;
}

/* Lines of merges.txt; the first may be a comment with the version. */
static enum status read_merge_lines(struct tokenizer *tokenizer, const char *text,
                                    size_t size_bytes, const char *where, struct error *error)
{
    size_t at = 0;
    size_t number = 0;
    while (at < size_bytes) {
        const char *const line = text + at;
        const char *const newline = memchr(line, '\n', size_bytes - at);
        if (newline == NULL) {
            FAIL(error, STATUS_FORMAT, "\"%s\": the last line does not end with a newline", where);
        }
        const size_t length = (size_t)(newline - line);
        at += length + 1;
        if (number == 0 && length >= 8 && memcmp(line, "#version", 8) == 0) {
            continue;
        }
        TRY(add_merge_line(tokenizer, line, length, ++number, where, error));
    }
    return STATUS_OK;
}

/* Tokens that vocab.json and merges.txt cannot declare: known by name. */
static const char *const known_specials[] = {"<s>",    "<pad>",         "</s>", "<unk>",
                                             "<mask>", "<|endoftext|>", NULL};

enum status tokenizer_read_bpe_pair(struct tokenizer *tokenizer, const char *vocabulary_path,
                                    const char *merges_path, struct error *error)
{
    json_t *vocabulary = NULL;
    TRY(json_read_file(vocabulary_path, TOKENIZER_FILE_BYTES_MAX, &vocabulary, error));
    enum status status = STATUS_OK;
    if (!json_is_object(vocabulary)) {
        status = error_set(error, STATUS_FORMAT, "\"%s\": expected an object of tokens and ids",
                           vocabulary_path);
    }
    if (status == STATUS_OK) {
        status = tokenizer_read_names(tokenizer, vocabulary, NULL, vocabulary_path, error);
    }
    json_decref(vocabulary);
    TRY(status);
    char *text = NULL;
    size_t size_bytes = 0;
    TRY(file_read(merges_path, TOKENIZER_FILE_BYTES_MAX, &text, &size_bytes, error));
    status = read_merge_lines(tokenizer, text, size_bytes, merges_path, error);
    memory_release(text);
    TRY(status);
    tokenizer_add_known(tokenizer, known_specials);
    tokenizer->post_processor = tokenizer_roberta_processor(&tokenizer->vocabulary);
    return STATUS_OK;
}
