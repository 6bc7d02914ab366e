/* WordPiece tokenizers as files: tokenizer.json with BertNormalizer and BertPreTokenizer, or BERT's
 * vocab.txt. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/tokenizer_reading.h"
#include "data_pipeline/utf8.h"

enum { CHARACTERS_MAX = 100, CONFIG_BYTES_MAX = 1 << 24 };

static const char *const bert_specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", NULL};

enum status tokenizer_read_bert(struct bert_normalizer *normalizer, const json_t *object,
                                const char *lowercase, const char *chinese, const char *where,
                                struct error *error)
{
    TRY(tokenizer_read_flag(object, "clean_text", true, where, &normalizer->clean_text, error));
    TRY(tokenizer_read_flag(object, chinese, true, where, &normalizer->chinese_apart, error));
    TRY(tokenizer_read_flag(object, lowercase, true, where, &normalizer->lowercase, error));
    return tokenizer_read_flag(object, "strip_accents", normalizer->lowercase, where,
                               &normalizer->strip_accents, error);
}

/* The part `key` must be null, or of `type`; then *part is it. */
static enum status read_part(const json_t *root, const char *key, const char *type, bool needed,
                             const char *where, const json_t **part, struct error *error)
{
    const json_t *const value = json_object_get(root, key);
    *part = value != NULL && !json_is_null(value) ? value : NULL;
    const char *const name = json_string_value(json_object_get(value, "type"));
    if (*part == NULL ? needed : name == NULL || strcmp(name, type) != 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": %s \"%s\" is not supported with WordPiece: expected %s",
             where, key, *part == NULL ? "null" : (name == NULL ? "?" : name), type);
    }
    return STATUS_OK;
}

static void set_prefix(struct tokenizer *tokenizer, const char *prefix, size_t size_bytes)
{
    tokenizer->wordpiece.prefix = arena_text(&tokenizer->arena, prefix, size_bytes);
    tokenizer->wordpiece.prefix_bytes = size_bytes;
}

static enum status set_unknown(struct tokenizer *tokenizer, const char *name, size_t size_bytes,
                               const char *where, struct error *error)
{
    tokenizer->wordpiece.unknown = token_table_find(&tokenizer->vocabulary, name, size_bytes);
    if (tokenizer->wordpiece.unknown < 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": the unknown token \"%s\" is not in the vocabulary",
             where, name);
    }
    return STATUS_OK;
}

static enum status read_decoder(struct tokenizer *tokenizer, const json_t *root, const char *where,
                                struct error *error)
{
    struct wordpiece *const model = &tokenizer->wordpiece;
    const json_t *decoder = NULL;
    TRY(read_part(root, "decoder", "WordPiece", false, where, &decoder, error));
    model->has_decoder = decoder != NULL;
    if (decoder == NULL) {
        return STATUS_OK;
    }
    const json_t *const prefix = json_object_get(decoder, "prefix");
    if (prefix != NULL &&
        (!json_is_string(prefix) || json_string_length(prefix) != model->prefix_bytes ||
         strcmp(json_string_value(prefix), model->prefix) != 0)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": the decoder's prefix is not the model's (\"%s\")",
             where, model->prefix);
    }
    return tokenizer_read_flag(decoder, "cleanup", true, where, &model->cleanup, error);
}

enum status tokenizer_read_wordpiece(struct tokenizer *tokenizer, const json_t *root,
                                     const json_t *model, const char *where, struct error *error)
{
    json_t *vocabulary = NULL;
    const json_t *added = NULL;
    const json_t *part = NULL;
    const char *unknown = NULL;
    const char *prefix = NULL;
    struct wordpiece *const made = &tokenizer->wordpiece;
    TRY(json_member_object(model, "vocab", where, &vocabulary, error));
    TRY(json_member_text(model, "unk_token", where, &unknown, error));
    TRY(json_member_text(model, "continuing_subword_prefix", where, &prefix, error));
    TRY(json_member_integer(model, "max_input_chars_per_word", where, &made->characters_max,
                            error));
    TRY(tokenizer_read_added_list(root, where, &added, error));
    TRY(tokenizer_read_names(tokenizer, vocabulary, added, where, error));
    TRY(tokenizer_read_added(tokenizer, added, where, error));
    TRY(set_unknown(tokenizer, unknown, strlen(unknown), where, error));
    set_prefix(tokenizer, prefix, strlen(prefix));
    TRY(read_part(root, "pre_tokenizer", "BertPreTokenizer", true, where, &part, error));
    TRY(read_decoder(tokenizer, root, where, error));
    TRY(read_part(root, "normalizer", "BertNormalizer", false, where, &part, error));
    made->has_normalizer = part != NULL;
    if (part == NULL) {
        return STATUS_OK;
    }
    return tokenizer_read_bert(&made->normalizer, part, "lowercase", "handle_chinese_chars", where,
                               error);
}

static enum status name_lines(struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                              const char *where, struct error *error)
{
    int64_t number = 0;
    for (size_t at = 0; at < size_bytes;) {
        const char *const line = text + at;
        const char *const newline = memchr(line, '\n', size_bytes - at);
        size_t length = newline == NULL ? size_bytes - at : (size_t)(newline - line);
        at += length + 1;
        length -= length > 0 && line[length - 1] == '\r';
        number++;
        if (utf8_valid_prefix(line, length) != length || memchr(line, '\0', length) != NULL) {
            FAIL(error, STATUS_FORMAT, "\"%s\": line %lld is not UTF-8 text", where,
                 (long long)number);
        }
        if (number > TOKEN_COUNT_MAX) {
            FAIL(error, STATUS_LIMIT, "\"%s\": more than %d lines", where, TOKEN_COUNT_MAX);
        }
        if (!tokenizer_name(tokenizer, line, length, TOKEN_FLAG_IN_MODEL)) {
            FAIL(error, STATUS_FORMAT, "\"%s\": line %lld: token \"%.*s\" stands there twice",
                 where, (long long)number, (int)(length < 200 ? length : 200), line);
        }
    }
    return STATUS_OK;
}

/* Settings of the tokenizer_config.json in the same folder, if there is one. */
static enum status read_config(struct bert_normalizer *normalizer, const char *path,
                               struct error *error)
{
    char folder[PATH_BYTES];
    char config_path[PATH_BYTES];
    path_folder(path, folder);
    TRY(path_join(config_path, folder, "tokenizer_config.json", error));
    json_t *config = NULL;
    if (file_exists(config_path)) {
        TRY(json_read_file(config_path, CONFIG_BYTES_MAX, &config, error));
    }
    const enum status status = tokenizer_read_bert(normalizer, config, "do_lower_case",
                                                   "tokenize_chinese_chars", config_path, error);
    json_decref(config);
    return status;
}

enum status tokenizer_read_vocabulary_lines(struct tokenizer *tokenizer, const char *path,
                                            struct error *error)
{
    struct wordpiece *const model = &tokenizer->wordpiece;
    char *text = NULL;
    size_t size_bytes = 0;
    TRY(file_read(path, TOKENIZER_FILE_BYTES_MAX, &text, &size_bytes, error));
    const enum status status = name_lines(tokenizer, text, size_bytes, path, error);
    memory_release(text);
    TRY(status);
    TRY(set_unknown(tokenizer, "[UNK]", strlen("[UNK]"), path, error));
    TRY(read_config(&model->normalizer, path, error));
    set_prefix(tokenizer, "##", strlen("##"));
    model->characters_max = CHARACTERS_MAX;
    model->has_normalizer = true;
    model->has_decoder = true;
    model->cleanup = true;
    tokenizer_add_known(tokenizer, bert_specials);
    tokenizer->post_processor = tokenizer_bert_processor(&tokenizer->vocabulary);
    return STATUS_OK;
}
