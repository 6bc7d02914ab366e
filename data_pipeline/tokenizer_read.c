/* Reading tokenizers. Every value is checked before use: kinds, ids without gaps, merges that name
 * known tokens. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/tokenizer_reading.h"

/* Text that a file names, by id. */
struct named_token {
    const char *text;
    size_t size_bytes;
    uint8_t flags;
};

enum status tokenizer_read_flag(const json_t *object, const char *key, bool otherwise,
                                const char *where, bool *flag, struct error *error)
{
    const json_t *const value = json_object_get(object, key);
    if (value != NULL && !json_is_null(value) && !json_is_boolean(value)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"%s\" is not true or false", where, key);
    }
    *flag = json_is_boolean(value) ? json_is_true(value) : otherwise;
    return STATUS_OK;
}

/* Puts one name at its id. */
static enum status place_token(struct named_token *by_id, size_t count, const char *text,
                               size_t size_bytes, const json_t *id, uint8_t flags,
                               const char *where, struct error *error)
{
    const json_int_t number = json_integer_value(id);
    if (!json_is_integer(id) || number < 0 || (size_t)number >= count) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": the id of token \"%s\" is not an integer from 0 to %zu (ids have no gaps)",
             where, text, count - 1);
    }
    if (by_id[number].text != NULL) {
        FAIL(error, STATUS_FORMAT, "\"%s\": tokens \"%s\" and \"%s\" have the same id %lld", where,
             by_id[number].text, text, (long long)number);
    }
    by_id[number] = (struct named_token){text, size_bytes, flags};
    return STATUS_OK;
}

enum status tokenizer_read_names(struct tokenizer *tokenizer, json_t *vocabulary,
                                 const json_t *added, const char *where, struct error *error)
{
    size_t count = json_object_size(vocabulary);
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *content = NULL;
        TRY(json_member_text(json_array_get(added, i), "content", where, &content, error));
        count += json_object_get(vocabulary, content) == NULL;
    }
    if (count == 0 || count > TOKEN_COUNT_MAX) {
        FAIL(error, STATUS_FORMAT, "\"%s\": the vocabulary has %zu tokens, expected 1 to %d", where,
             count, TOKEN_COUNT_MAX);
    }
    struct named_token *const by_id = memory_take(count, sizeof *by_id, "tokens of a file");
    enum status status = STATUS_OK;
    const char *text = NULL;
    json_t *id = NULL;
    json_object_foreach(vocabulary, text, id)
    {
        if (status == STATUS_OK) {
            status = place_token(by_id, count, text, strlen(text), id, TOKEN_FLAG_IN_MODEL, where,
                                 error);
        }
    }
    for (size_t i = 0; i < json_array_size(added) && status == STATUS_OK; i++) {
        const json_t *const token = json_array_get(added, i);
        const json_t *const content = json_object_get(token, "content");
        if (json_object_get(vocabulary, json_string_value(content)) == NULL) {
            status =
                place_token(by_id, count, json_string_value(content), json_string_length(content),
                            json_object_get(token, "id"), 0, where, error);
        }
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (!tokenizer_name(tokenizer, by_id[i].text, by_id[i].size_bytes, by_id[i].flags)) {
            status = error_set(error, STATUS_FORMAT, "\"%s\": token \"%s\" stands there twice",
                               where, by_id[i].text);
        }
    }
    memory_release(by_id);
    return status;
}

enum status tokenizer_read_added(struct tokenizer *tokenizer, const json_t *added,
                                 const char *where, struct error *error)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *const entry = json_array_get(added, i);
        const json_t *const content = json_object_get(entry, "content");
        const char *const text = json_string_value(content);
        int64_t id = -1;
        TRY(json_member_integer(entry, "id", where, &id, error));
        const int32_t known =
            token_table_find(&tokenizer->vocabulary, text, json_string_length(content));
        if (known != id) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": added token \"%s\" has id %lld, the vocabulary says %d", where, text,
                 (long long)id, known);
        }
        if (text[0] == '\0') {
            FAIL(error, STATUS_FORMAT, "\"%s\": added token %lld is empty", where, (long long)id);
        }
        if ((tokenizer->flags[id] & TOKEN_FLAG_ADDED) != 0) {
            FAIL(error, STATUS_FORMAT, "\"%s\": added token \"%s\" stands there twice", where,
                 text);
        }
        struct added_token token = {.id = (int32_t)id};
        TRY(tokenizer_read_flag(entry, "special", false, where, &token.special, error));
        TRY(tokenizer_read_flag(entry, "lstrip", false, where, &token.strip_left, error));
        TRY(tokenizer_read_flag(entry, "rstrip", false, where, &token.strip_right, error));
        TRY(tokenizer_read_flag(entry, "single_word", false, where, &token.single_word, error));
        TRY(tokenizer_read_flag(entry, "normalized", !token.special, where, &token.normalized,
                                error));
        tokenizer_add_token(tokenizer, &token);
    }
    return STATUS_OK;
}

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

enum status tokenizer_read_added_list(const json_t *root, const char *where, const json_t **added,
                                      struct error *error)
{
    *added = json_object_get(root, "added_tokens");
    if (*added != NULL && !json_is_null(*added) && !json_is_array(*added)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"added_tokens\" is not an array", where);
    }
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

static enum status read_bytebpe(struct tokenizer *tokenizer, const json_t *root,
                                const json_t *model, const char *where, struct error *error)
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

/* The kind that "type" of the model names; older files leave it out where it is BPE. */
static enum status read_kind(const json_t *model, const char *where, enum tokenizer_kind *kind,
                             struct error *error)
{
    const char *const type = json_string_value(json_object_get(model, "type"));
    *kind = TOKENIZER_KIND_BYTEBPE;
    if (type == NULL || strcmp(type, "BPE") == 0) {
        return STATUS_OK;
    }
    if (strcmp(type, "WordPiece") == 0) {
        *kind = TOKENIZER_KIND_WORDPIECE;
        return STATUS_OK;
    }
    if (strcmp(type, "Unigram") == 0) {
        *kind = TOKENIZER_KIND_UNIGRAM;
        return STATUS_OK;
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": tokenizer kind \"%s\" is not supported: expected BPE, WordPiece or Unigram",
         where, type);
}

static enum status read_root(struct tokenizer *tokenizer, const json_t *root, const json_t *model,
                             const char *where, struct error *error)
{
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_BYTEBPE:
        TRY(read_bytebpe(tokenizer, root, model, where, error));
        break;
    case TOKENIZER_KIND_WORDPIECE:
        TRY(tokenizer_read_wordpiece(tokenizer, root, model, where, error));
        break;
    case TOKENIZER_KIND_UNIGRAM:
        TRY(tokenizer_read_metaspace(tokenizer, root, model, where, error));
        break;
    }
    json_t *const processor = json_object_get(root, "post_processor");
    tokenizer->post_processor = json_is_object(processor) ? json_incref(processor) : NULL;
    return tokenizer_seal(tokenizer, where, error);
}

static enum status open_root(struct tokenizer **tokenizer, json_t *root, const char *where,
                             struct error *error)
{
    json_t *model = NULL;
    enum tokenizer_kind kind = TOKENIZER_KIND_BYTEBPE;
    TRY(json_member_object(root, "model", where, &model, error));
    TRY(read_kind(model, where, &kind, error));
    struct tokenizer *const made = tokenizer_new(kind);
    const enum status status = read_root(made, root, model, where, error);
    if (status != STATUS_OK) {
        tokenizer_close(made);
        return status;
    }
    *tokenizer = made;
    return STATUS_OK;
}

enum status tokenizer_parse(struct tokenizer **tokenizer, const char *text, size_t size_bytes,
                            const char *where, struct error *error)
{
    json_t *root = NULL;
    TRY(json_read_text(where, text, size_bytes, &root, error));
    const enum status status = open_root(tokenizer, root, where, error);
    json_decref(root);
    return status;
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

void tokenizer_add_known(struct tokenizer *tokenizer, const char *const *names)
{
    for (; *names != NULL; names++) {
        const int32_t id = token_table_find(&tokenizer->vocabulary, *names, strlen(*names));
        if (id >= 0) {
            tokenizer_add_token(tokenizer,
                                &(struct added_token){.id = id,
                                                      .special = true,
                                                      .strip_left = strcmp(*names, "<mask>") == 0});
        }
    }
}

static enum status read_pair(struct tokenizer *tokenizer, const char *vocabulary_path,
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
    return tokenizer_seal(tokenizer, merges_path, error);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static enum status open_json(struct tokenizer **tokenizer, const char *path, struct error *error)
{
    json_t *root = NULL;
    TRY(json_read_file(path, TOKENIZER_FILE_BYTES_MAX, &root, error));
    const enum status status = open_root(tokenizer, root, path, error);
    json_decref(root);
    return status;
}

static enum status open_pair(struct tokenizer **tokenizer, const char *vocabulary_path,
                             const char *merges_path, struct error *error)
{
    struct tokenizer *const made = tokenizer_new(TOKENIZER_KIND_BYTEBPE);
    const enum status status = read_pair(made, vocabulary_path, merges_path, error);
    if (status != STATUS_OK) {
        tokenizer_close(made);
        return status;
    }
    *tokenizer = made;
    return STATUS_OK;
}

/* A kind that one file describes. */
static enum status open_file(struct tokenizer **tokenizer, enum tokenizer_kind kind,
                             const char *path, struct error *error)
{
    struct tokenizer *const made = tokenizer_new(kind);
    enum status status = kind == TOKENIZER_KIND_UNIGRAM
                             ? tokenizer_read_unigram(made, path, error)
                             : tokenizer_read_vocabulary_lines(made, path, error);
    if (status == STATUS_OK) {
        status = tokenizer_seal(made, path, error);
    }
    if (status != STATUS_OK) {
        tokenizer_close(made);
        return status;
    }
    *tokenizer = made;
    return STATUS_OK;
}

enum status tokenizer_open(struct tokenizer **tokenizer, const char *path, struct error *error)
{
    char json_path[PATH_BYTES];
    char vocabulary_path[PATH_BYTES];
    char merges_path[PATH_BYTES];
    char lines_path[PATH_BYTES];
    char model_path[PATH_BYTES];
    TRY(path_join(json_path, path, "tokenizer.json", error));
    TRY(path_join(vocabulary_path, path, "vocab.json", error));
    TRY(path_join(merges_path, path, "merges.txt", error));
    TRY(path_join(lines_path, path, "vocab.txt", error));
    TRY(path_join(model_path, path, "spiece.model", error));
    if (!folder_exists(path)) {
        if (ends_with(path, ".model")) {
            return open_file(tokenizer, TOKENIZER_KIND_UNIGRAM, path, error);
        }
        return ends_with(path, ".txt") ? open_file(tokenizer, TOKENIZER_KIND_WORDPIECE, path, error)
                                       : open_json(tokenizer, path, error);
    }
    if (file_exists(json_path)) {
        return open_json(tokenizer, json_path, error);
    }
    if (file_exists(vocabulary_path) && file_exists(merges_path)) {
        return open_pair(tokenizer, vocabulary_path, merges_path, error);
    }
    if (file_exists(lines_path)) {
        return open_file(tokenizer, TOKENIZER_KIND_WORDPIECE, lines_path, error);
    }
    if (file_exists(model_path)) {
        return open_file(tokenizer, TOKENIZER_KIND_UNIGRAM, model_path, error);
    }
    FAIL(error, STATUS_INPUT,
         "\"%s\": no tokenizer there, expected tokenizer.json, vocab.json and merges.txt, "
         "vocab.txt or spiece.model",
         path);
}
