/* Writing tokenizers so that Hugging Face's libraries read them and encode alike. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/tokenizer_parts.h"

/* jansson's constructors steal references and fail only for want of memory or for text that is not
 * UTF-8; tokens come from JSON or from the byte alphabet, so neither is an error of the world. */
static void put(json_t *object, const char *key, json_t *value)
{
    const int failed = json_object_set_new(object, key, value);
    INVARIANT(failed == 0);
}

static void push(json_t *array, json_t *value)
{
    const int failed = json_array_append_new(array, value);
    INVARIANT(failed == 0);
}

static json_t *text_value(struct token_text text)
{
    return json_stringn(text.bytes, text.size_bytes);
}

static json_t *token_and_id(const struct token_table *vocabulary, int32_t id)
{
    json_t *const pair = json_array();
    push(pair, text_value(vocabulary->texts[id]));
    push(pair, json_integer(id));
    return pair;
}

json_t *tokenizer_roberta_processor(const struct token_table *vocabulary)
{
    const int32_t cls = token_table_find(vocabulary, "<s>", 3);
    const int32_t sep = token_table_find(vocabulary, "</s>", 4);
    if (cls < 0 || sep < 0) {
        return NULL;
    }
    json_t *const processor = json_object();
    put(processor, "type", json_string("RobertaProcessing"));
    put(processor, "sep", token_and_id(vocabulary, sep));
    put(processor, "cls", token_and_id(vocabulary, cls));
    put(processor, "trim_offsets", json_true());
    put(processor, "add_prefix_space", json_false());
    return processor;
}

static json_t *byte_level(bool add_prefix_space, bool use_pattern)
{
    json_t *const part = json_object();
    put(part, "type", json_string("ByteLevel"));
    put(part, "add_prefix_space", json_boolean(add_prefix_space));
    put(part, "trim_offsets", json_true());
    put(part, "use_regex", json_boolean(use_pattern));
    return part;
}

/* By id, as the library writes them. */
static json_t *added_value(const struct tokenizer *tokenizer)
{
    json_t *const list = json_array();
    for (int32_t id = 0; id < tokenizer->vocabulary.count; id++) {
        if ((tokenizer->flags[id] & TOKEN_FLAG_ADDED) == 0) {
            continue;
        }
        const struct added_token *const token = added_tokens_find(&tokenizer->added, id);
        INVARIANT(token != NULL);
        json_t *const entry = json_object();
        put(entry, "id", json_integer(id));
        put(entry, "content", text_value(tokenizer->vocabulary.texts[id]));
        put(entry, "single_word", json_boolean(token->single_word));
        put(entry, "lstrip", json_boolean(token->strip_left));
        put(entry, "rstrip", json_boolean(token->strip_right));
        put(entry, "normalized", json_boolean(token->normalized));
        put(entry, "special", json_boolean(token->special));
        push(list, entry);
    }
    return list;
}

static json_t *vocabulary_value(const struct tokenizer *tokenizer)
{
    json_t *const vocabulary = json_object();
    for (int32_t id = 0; id < tokenizer->vocabulary.count; id++) {
        if ((tokenizer->flags[id] & TOKEN_FLAG_IN_MODEL) != 0) {
            put(vocabulary, tokenizer->vocabulary.texts[id].bytes, json_integer(id));
        }
    }
    return vocabulary;
}

static json_t *merges_value(const struct tokenizer *tokenizer)
{
    json_t *const merges = json_array();
    for (size_t i = 0; i < tokenizer->bpe.merge_count; i++) {
        json_t *const pair = json_array();
        push(pair, text_value(tokenizer->vocabulary.texts[tokenizer->bpe.merges[i].left]));
        push(pair, text_value(tokenizer->vocabulary.texts[tokenizer->bpe.merges[i].right]));
        push(merges, pair);
    }
    return merges;
}

static json_t *model_value(const struct tokenizer *tokenizer)
{
    const struct bytebpe *const bpe = &tokenizer->bpe;
    json_t *const model = json_object();
    put(model, "type", json_string("BPE"));
    put(model, "dropout", json_null());
    put(model, "unk_token",
        bpe->unknown < 0 ? json_null() : text_value(tokenizer->vocabulary.texts[bpe->unknown]));
    put(model, "continuing_subword_prefix", json_string(""));
    put(model, "end_of_word_suffix", json_string(""));
    put(model, "fuse_unk", json_boolean(bpe->fuse_unknown));
    put(model, "byte_fallback", json_false());
    put(model, "ignore_merges", json_boolean(bpe->ignore_merges));
    put(model, "vocab", vocabulary_value(tokenizer));
    put(model, "merges", merges_value(tokenizer));
    return model;
}

static json_t *root_value(const struct tokenizer *tokenizer)
{
    json_t *const root = json_object();
    put(root, "version", json_string("1.0"));
    put(root, "truncation", json_null());
    put(root, "padding", json_null());
    put(root, "added_tokens", added_value(tokenizer));
    put(root, "normalizer", json_null());
    put(root, "pre_tokenizer",
        byte_level(tokenizer->bpe.add_prefix_space, tokenizer->bpe.use_pattern));
    put(root, "post_processor",
        tokenizer->post_processor == NULL ? json_null()
                                          : json_deep_copy(tokenizer->post_processor));
    put(root, "decoder", byte_level(true, true));
    put(root, "model", model_value(tokenizer));
    return root;
}

void tokenizer_merges_text(const struct tokenizer *tokenizer, const char *head, char **text,
                           size_t *size_bytes)
{
    const struct token_text *const texts = tokenizer->vocabulary.texts;
    const struct bytebpe *const bpe = &tokenizer->bpe;
    size_t at = strlen(head);
    *size_bytes = at;
    for (size_t i = 0; i < bpe->merge_count; i++) {
        *size_bytes +=
            texts[bpe->merges[i].left].size_bytes + texts[bpe->merges[i].right].size_bytes + 2;
    }
    char *const out = memory_take(*size_bytes, 1, "merges as text");
    memcpy(out, head, at);
    for (size_t i = 0; i < bpe->merge_count; i++) {
        const struct token_text parts[] = {texts[bpe->merges[i].left], texts[bpe->merges[i].right]};
        for (int k = 0; k < ARRAY_LENGTH(parts); k++) {
            memcpy(out + at, parts[k].bytes, parts[k].size_bytes);
            at += parts[k].size_bytes;
            out[at++] = k == 0 ? ' ' : '\n';
        }
    }
    *text = out;
}

static enum status write_merges(const struct tokenizer *tokenizer, const char *path,
                                struct error *error)
{
    char *text = NULL;
    size_t size_bytes = 0;
    tokenizer_merges_text(tokenizer, "#version: 0.2\n", &text, &size_bytes);
    const enum status status = file_write_durable(path, text, size_bytes, error);
    memory_release(text);
    return status;
}

enum status tokenizer_save(const struct tokenizer *tokenizer, const char *folder,
                           struct error *error)
{
    char path[PATH_BYTES];
    TRY(folder_make(folder, error));
    TRY(path_join(path, folder, "vocab.json", error));
    json_t *const vocabulary = vocabulary_value(tokenizer);
    const enum status vocabulary_status = json_write_file(path, vocabulary, error);
    json_decref(vocabulary);
    TRY(vocabulary_status);
    TRY(path_join(path, folder, "merges.txt", error));
    TRY(write_merges(tokenizer, path, error));
    TRY(path_join(path, folder, "tokenizer.json", error));
    json_t *const root = root_value(tokenizer);
    const enum status status = json_write_file(path, root, error);
    json_decref(root);
    return status;
}
