/* BPE tokenizers as files: tokenizer.json, or vocab.json with merges.txt. Merges name known tokens.
 */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/tokenizer_reading.h"

/* One merge: both parts and their sum, without the prefix of the right one, must be tokens.
 * `number` counts from 1. */
static enum status add_merge(struct tokenizer *tokenizer, const char *left, size_t left_bytes,
                             const char *right, size_t right_bytes, size_t number,
                             const char *where, struct error *error)
{
    const struct token_table *const vocabulary = &tokenizer->vocabulary;
    const size_t prefix_bytes = tokenizer->charbpe.prefix.size_bytes;
    const size_t dropped_bytes = prefix_bytes < right_bytes ? prefix_bytes : right_bytes;
    const size_t kept_bytes = right_bytes - dropped_bytes;
    char *const sum = memory_take(left_bytes + kept_bytes + 1, 1, "a merge");
    memcpy(sum, left, left_bytes);
    memcpy(sum + left_bytes, right + dropped_bytes, kept_bytes);
    const struct bpe_merge merge = {
        .left = token_table_find(vocabulary, left, left_bytes),
        .right = token_table_find(vocabulary, right, right_bytes),
        .result = token_table_find(vocabulary, sum, left_bytes + kept_bytes),
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

/* A text of the model's settings, which may be null. */
static enum status read_affix(struct tokenizer *tokenizer, const json_t *model, const char *key,
                              const char *where, struct token_text *affix, struct error *error)
{
    const json_t *const value = json_object_get(model, key);
    if (value != NULL && !json_is_null(value) && !json_is_string(value)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": \"%s\" of the model is not text", where, key);
    }
    const size_t size_bytes = json_string_length(value);
    *affix = (struct token_text){
        size_bytes == 0 ? "" : arena_text(&tokenizer->arena, json_string_value(value), size_bytes),
        size_bytes};
    return STATUS_OK;
}

/* Drawing merges at random is a matter of training. */
static enum status refuse_dropout(const json_t *model, const char *where, struct error *error)
{
    const json_t *const dropout = json_object_get(model, "dropout");
    if (dropout != NULL && !json_is_null(dropout) && json_number_value(dropout) != 0.0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": \"dropout\" of the model is set, expected null or 0",
             where);
    }
    return STATUS_OK;
}

static enum status read_model(struct tokenizer *tokenizer, const json_t *root, const json_t *model,
                              const char *where, struct error *error)
{
    struct bytebpe *const bpe = &tokenizer->bpe;
    struct charbpe *const charbpe = &tokenizer->charbpe;
    json_t *vocabulary = NULL;
    json_t *merges = NULL;
    const json_t *added = NULL;
    TRY(json_member_object(model, "vocab", where, &vocabulary, error));
    TRY(json_member_array(model, "merges", where, &merges, error));
    TRY(refuse_dropout(model, where, error));
    TRY(tokenizer_read_flag(model, "byte_fallback", false, where, &charbpe->byte_fallback, error));
    TRY(read_affix(tokenizer, model, "continuing_subword_prefix", where, &charbpe->prefix, error));
    TRY(read_affix(tokenizer, model, "end_of_word_suffix", where, &charbpe->suffix, error));
    TRY(tokenizer_read_added_list(root, where, &added, error));
    TRY(tokenizer_read_names(tokenizer, vocabulary, added, where, error));
    TRY(tokenizer_read_added(tokenizer, added, where, error));
    TRY(read_merges(tokenizer, merges, where, error));
    const json_t *const unknown = json_object_get(model, "unk_token");
    if (json_is_string(unknown)) {
        bpe->unknown = token_table_find(&tokenizer->vocabulary, json_string_value(unknown),
                                        json_string_length(unknown));
    }
    TRY(tokenizer_read_flag(model, "fuse_unk", false, where, &bpe->fuse_unknown, error));
    return tokenizer_read_flag(model, "ignore_merges", false, where, &bpe->ignore_merges, error);
}

/* Can all of it be said as byte-level BPE, which is faster? Only blanks before texts and words of
 * the GPT-2 pattern are left then. */
static bool is_byte_level(const struct charbpe *charbpe)
{
    const struct text_splitter *const splitter = &charbpe->splitter;
    return charbpe->normalizer.count == 0 && splitter->count == 1 &&
           splitter->steps[0].kind == SPLITTER_KIND_BYTES &&
           (charbpe->decoder.joins || token_decoder_is_bytes(&charbpe->decoder)) &&
           !charbpe->byte_fallback && charbpe->prefix.size_bytes == 0 &&
           charbpe->suffix.size_bytes == 0;
}

static json_t *kept(const json_t *root, const char *key)
{
    return json_incref(json_object_get(root, key));
}

enum status tokenizer_read_bpe(struct tokenizer *tokenizer, const json_t *root, const json_t *model,
                               const char *where, struct error *error)
{
    struct charbpe *const charbpe = &tokenizer->charbpe;
    TRY(read_model(tokenizer, root, model, where, error));
    TRY(text_normalizer_read(&charbpe->normalizer, json_object_get(root, "normalizer"),
                             &tokenizer->arena, where, error));
    TRY(text_splitter_read(&charbpe->splitter, json_object_get(root, "pre_tokenizer"),
                           &tokenizer->arena, where, error));
    TRY(token_decoder_read(&charbpe->decoder, json_object_get(root, "decoder"), &tokenizer->arena,
                           where, error));
    if (is_byte_level(charbpe)) {
        const struct splitter_step *const step = &charbpe->splitter.steps[0];
        tokenizer->bpe.add_prefix_space = step->prefix == SPLITTER_PREFIX_ALWAYS;
        tokenizer->bpe.use_pattern = step->cuts;
        return STATUS_OK;
    }
    tokenizer->kind = TOKENIZER_KIND_CHARBPE;
    tokenizer->normalizer = kept(root, "normalizer");
    tokenizer->pre_tokenizer = kept(root, "pre_tokenizer");
    tokenizer->decoder = kept(root, "decoder");
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
