/* Reading tokenizers: what the kinds share, and which kind a file or folder holds. Every value is
 * checked before use; ids have no gaps. */
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

enum status tokenizer_read_added_list(const json_t *root, const char *where, const json_t **added,
                                      struct error *error)
{
    *added = json_object_get(root, "added_tokens");
    if (*added != NULL && !json_is_null(*added) && !json_is_array(*added)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": key \"added_tokens\" is not an array", where);
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
    case TOKENIZER_KIND_CHARBPE:
        TRY(tokenizer_read_bpe(tokenizer, root, model, where, error));
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
    enum status status = tokenizer_read_bpe_pair(made, vocabulary_path, merges_path, error);
    if (status == STATUS_OK) {
        status = tokenizer_seal(made, merges_path, error);
    }
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

/* SentencePiece's, under the names that released folders give it. */
static const char *const model_names[] = {"spiece.model", "tokenizer.model",
                                          "sentencepiece.bpe.model"};

/* The path of the SentencePiece model in a folder; *found is false if there is none. */
static enum status find_model(const char *folder, char path[PATH_BYTES], bool *found,
                              struct error *error)
{
    *found = false;
    for (int i = 0; i < ARRAY_LENGTH(model_names) && !*found; i++) {
        TRY(path_join(path, folder, model_names[i], error));
        *found = file_exists(path);
    }
    return STATUS_OK;
}

/* A tokenizer.json that was made of the SentencePiece model beside it, as an export does, gives way
 * to that: it is the same tokenizer as before the export. */
static enum status open_either(struct tokenizer **tokenizer, const char *json_path,
                               const char *model_path, struct error *error)
{
    struct tokenizer *made = NULL;
    if (open_file(&made, TOKENIZER_KIND_UNIGRAM, model_path, NULL) != STATUS_OK) {
        return open_json(tokenizer, json_path, error);
    }
    json_t *root = NULL;
    json_t *const ours = tokenizer_json(made);
    enum status status = json_read_file(json_path, TOKENIZER_FILE_BYTES_MAX, &root, error);
    if (status == STATUS_OK && json_equal(root, ours)) {
        *tokenizer = made;
    } else {
        tokenizer_close(made);
        status = status == STATUS_OK ? open_root(tokenizer, root, json_path, error) : status;
    }
    json_decref(ours);
    json_decref(root);
    return status;
}

enum status tokenizer_open(struct tokenizer **tokenizer, const char *path, struct error *error)
{
    char json_path[PATH_BYTES];
    char vocabulary_path[PATH_BYTES];
    char merges_path[PATH_BYTES];
    char lines_path[PATH_BYTES];
    TRY(path_join(json_path, path, "tokenizer.json", error));
    TRY(path_join(vocabulary_path, path, "vocab.json", error));
    TRY(path_join(merges_path, path, "merges.txt", error));
    TRY(path_join(lines_path, path, "vocab.txt", error));
    if (!folder_exists(path)) {
        if (ends_with(path, ".model")) {
            return open_file(tokenizer, TOKENIZER_KIND_UNIGRAM, path, error);
        }
        return ends_with(path, ".txt") ? open_file(tokenizer, TOKENIZER_KIND_WORDPIECE, path, error)
                                       : open_json(tokenizer, path, error);
    }
    char model_path[PATH_BYTES];
    bool has_model = false;
    TRY(find_model(path, model_path, &has_model, error));
    if (file_exists(json_path)) {
        return has_model ? open_either(tokenizer, json_path, model_path, error)
                         : open_json(tokenizer, json_path, error);
    }
    if (file_exists(vocabulary_path) && file_exists(merges_path)) {
        return open_pair(tokenizer, vocabulary_path, merges_path, error);
    }
    if (file_exists(lines_path)) {
        return open_file(tokenizer, TOKENIZER_KIND_WORDPIECE, lines_path, error);
    }
    if (has_model) {
        return open_file(tokenizer, TOKENIZER_KIND_UNIGRAM, model_path, error);
    }
    FAIL(error, STATUS_INPUT,
         "\"%s\": no tokenizer there, expected tokenizer.json, vocab.json and merges.txt, "
         "vocab.txt, %s, %s or %s",
         path, model_names[0], model_names[1], model_names[2]);
}
