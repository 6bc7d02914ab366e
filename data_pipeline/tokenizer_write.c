/* Writing tokenizers so that Hugging Face's libraries read them and encode alike. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data_pipeline/piece_json.h"
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

/* {"Sequence": {"id": "A", "type_id": 0}}, or a special token by its name. */
static json_t *template_piece(const char *kind, const char *id, int type)
{
    json_t *const body = json_object();
    put(body, "id", json_string(id));
    put(body, "type_id", json_integer(type));
    json_t *const piece = json_object();
    put(piece, kind, body);
    return piece;
}

static json_t *template_special(const char *name, int32_t id)
{
    json_t *const ids = json_array();
    push(ids, json_integer(id));
    json_t *const tokens = json_array();
    push(tokens, json_string(name));
    json_t *const special = json_object();
    put(special, "id", json_string(name));
    put(special, "ids", ids);
    put(special, "tokens", tokens);
    return special;
}

static json_t *template_value(json_t *single, json_t *pair, const struct token_table *vocabulary,
                              const char *const *names)
{
    json_t *const specials = json_object();
    for (; *names != NULL; names++) {
        const int32_t id = token_table_find(vocabulary, *names, strlen(*names));
        put(specials, *names, template_special(*names, id));
    }
    json_t *const processor = json_object();
    put(processor, "type", json_string("TemplateProcessing"));
    put(processor, "single", single);
    put(processor, "pair", pair);
    put(processor, "special_tokens", specials);
    return processor;
}

static bool has_both(const struct token_table *vocabulary, const char *first, const char *second)
{
    return token_table_find(vocabulary, first, strlen(first)) >= 0 &&
           token_table_find(vocabulary, second, strlen(second)) >= 0;
}

/* cls A sep, and cls A sep B sep; NULL where the vocabulary lacks them. */
static json_t *enclosed_template(const struct token_table *vocabulary, const char *cls,
                                 const char *sep)
{
    if (!has_both(vocabulary, cls, sep)) {
        return NULL;
    }
    json_t *const rows[] = {json_array(), json_array()};
    for (int i = 0; i < ARRAY_LENGTH(rows); i++) {
        push(rows[i], template_piece("SpecialToken", cls, 0));
        push(rows[i], template_piece("Sequence", "A", 0));
        push(rows[i], template_piece("SpecialToken", sep, 0));
    }
    push(rows[1], template_piece("Sequence", "B", 1));
    push(rows[1], template_piece("SpecialToken", sep, 1));
    return template_value(rows[0], rows[1], vocabulary, (const char *[]){cls, sep, NULL});
}

/* XLNet's: A <sep> <cls>, and A <sep> B <sep> <cls>; or NULL. */
static json_t *xlnet_template(const struct token_table *vocabulary)
{
    if (!has_both(vocabulary, "<cls>", "<sep>")) {
        return NULL;
    }
    json_t *const rows[] = {json_array(), json_array()};
    for (int i = 0; i < ARRAY_LENGTH(rows); i++) {
        push(rows[i], template_piece("Sequence", "A", 0));
        push(rows[i], template_piece("SpecialToken", "<sep>", 0));
    }
    push(rows[1], template_piece("Sequence", "B", 1));
    push(rows[1], template_piece("SpecialToken", "<sep>", 1));
    for (int i = 0; i < ARRAY_LENGTH(rows); i++) {
        push(rows[i], template_piece("SpecialToken", "<cls>", 2));
    }
    return template_value(rows[0], rows[1], vocabulary, (const char *[]){"<cls>", "<sep>", NULL});
}

json_t *tokenizer_bert_processor(const struct token_table *vocabulary)
{
    return enclosed_template(vocabulary, "[CLS]", "[SEP]");
}

json_t *tokenizer_piece_processor(const struct token_table *vocabulary)
{
    json_t *processor = enclosed_template(vocabulary, "[CLS]", "[SEP]");
    processor = processor == NULL ? xlnet_template(vocabulary) : processor;
    return processor == NULL ? enclosed_template(vocabulary, "<s>", "</s>") : processor;
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
    const struct unigram *const unigram = &tokenizer->unigram;
    for (int32_t id = 0; id < tokenizer->vocabulary.count; id++) {
        /* A model file does not list its unknown piece among the special ones. */
        const struct added_token unknown = {.special = true};
        const bool is_unknown = unigram->file != NULL && id == unigram->unknown;
        if ((tokenizer->flags[id] & TOKEN_FLAG_ADDED) == 0 && !is_unknown) {
            continue;
        }
        const struct added_token *const token =
            is_unknown ? &unknown : added_tokens_find(&tokenizer->added, id);
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

/* Empty texts are as good as none. */
static json_t *affix_value(struct token_text text)
{
    return text.size_bytes == 0 ? json_string("") : text_value(text);
}

static json_t *bpe_model(const struct tokenizer *tokenizer)
{
    const struct bytebpe *const bpe = &tokenizer->bpe;
    const struct charbpe *const charbpe = &tokenizer->charbpe; /* empty in byte-level BPE */
    json_t *const model = json_object();
    put(model, "type", json_string("BPE"));
    put(model, "dropout", json_null());
    put(model, "unk_token",
        bpe->unknown < 0 ? json_null() : text_value(tokenizer->vocabulary.texts[bpe->unknown]));
    put(model, "continuing_subword_prefix", affix_value(charbpe->prefix));
    put(model, "end_of_word_suffix", affix_value(charbpe->suffix));
    put(model, "fuse_unk", json_boolean(bpe->fuse_unknown));
    put(model, "byte_fallback", json_boolean(charbpe->byte_fallback));
    put(model, "ignore_merges", json_boolean(bpe->ignore_merges));
    put(model, "vocab", vocabulary_value(tokenizer));
    put(model, "merges", merges_value(tokenizer));
    return model;
}

static json_t *wordpiece_model(const struct tokenizer *tokenizer)
{
    const struct wordpiece *const wordpiece = &tokenizer->wordpiece;
    json_t *const model = json_object();
    put(model, "type", json_string("WordPiece"));
    put(model, "unk_token", text_value(tokenizer->vocabulary.texts[wordpiece->unknown]));
    put(model, "continuing_subword_prefix",
        json_stringn(wordpiece->prefix, wordpiece->prefix_bytes));
    put(model, "max_input_chars_per_word", json_integer(wordpiece->characters_max));
    put(model, "vocab", vocabulary_value(tokenizer));
    return model;
}

/* Accents as null where they go with the capitals, which is how the library means it. */
static json_t *bert_normalizer_value(const struct wordpiece *wordpiece)
{
    if (!wordpiece->has_normalizer) {
        return json_null();
    }
    const struct bert_normalizer *const settings = &wordpiece->normalizer;
    json_t *const part = json_object();
    put(part, "type", json_string("BertNormalizer"));
    put(part, "clean_text", json_boolean(settings->clean_text));
    put(part, "handle_chinese_chars", json_boolean(settings->chinese_apart));
    put(part, "strip_accents",
        settings->strip_accents == settings->lowercase ? json_null()
                                                       : json_boolean(settings->strip_accents));
    put(part, "lowercase", json_boolean(settings->lowercase));
    return part;
}

static json_t *wordpiece_decoder(const struct wordpiece *wordpiece)
{
    if (!wordpiece->has_decoder) {
        return json_null();
    }
    json_t *const part = json_object();
    put(part, "type", json_string("WordPiece"));
    put(part, "prefix", json_stringn(wordpiece->prefix, wordpiece->prefix_bytes));
    put(part, "cleanup", json_boolean(wordpiece->cleanup));
    return part;
}

/* Pieces with their scores, which come back as the same doubles. */
static json_t *unigram_model(const struct tokenizer *tokenizer)
{
    const struct unigram *const unigram = &tokenizer->unigram;
    json_t *const rows = json_array();
    for (int32_t id = 0; id < tokenizer->vocabulary.count; id++) {
        if ((tokenizer->flags[id] & TOKEN_FLAG_IN_MODEL) != 0) {
            json_t *const row = json_array();
            push(row, text_value(tokenizer->vocabulary.texts[id]));
            push(row, json_real(unigram->scores[id]));
            push(rows, row);
        }
    }
    json_t *const model = json_object();
    put(model, "type", json_string("Unigram"));
    put(model, "unk_id", json_integer(unigram->unknown));
    put(model, "vocab", rows);
    put(model, "byte_fallback", json_boolean(unigram->byte_fallback));
    return model;
}

/* A part as it was read. */
static json_t *part_value(const json_t *part)
{
    return part == NULL ? json_null() : json_deep_copy(part);
}

json_t *tokenizer_json(const struct tokenizer *tokenizer)
{
    json_t *const root = json_object();
    put(root, "version", json_string("1.0"));
    put(root, "truncation", json_null());
    put(root, "padding", json_null());
    put(root, "added_tokens", added_value(tokenizer));
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_BYTEBPE:
        put(root, "normalizer", json_null());
        put(root, "pre_tokenizer",
            byte_level(tokenizer->bpe.add_prefix_space, tokenizer->bpe.use_pattern));
        put(root, "post_processor", part_value(tokenizer->post_processor));
        put(root, "decoder", byte_level(true, true));
        put(root, "model", bpe_model(tokenizer));
        break;
    case TOKENIZER_KIND_UNIGRAM:
        if (!tokenizer->unigram.by_words) {
            put(root, "normalizer", piece_json_normalizer(&tokenizer->unigram));
            put(root, "pre_tokenizer", piece_json_splitter(tokenizer));
            put(root, "post_processor", part_value(tokenizer->post_processor));
            put(root, "decoder", piece_json_decoder(&tokenizer->unigram));
            put(root, "model", piece_json_model(tokenizer));
            break;
        }
        /* fall through */
    case TOKENIZER_KIND_CHARBPE:
        put(root, "normalizer", part_value(tokenizer->normalizer));
        put(root, "pre_tokenizer", part_value(tokenizer->pre_tokenizer));
        put(root, "post_processor", part_value(tokenizer->post_processor));
        put(root, "decoder", part_value(tokenizer->decoder));
        put(root, "model",
            tokenizer->kind == TOKENIZER_KIND_CHARBPE ? bpe_model(tokenizer)
                                                      : unigram_model(tokenizer));
        break;
    case TOKENIZER_KIND_WORDPIECE:
        put(root, "normalizer", bert_normalizer_value(&tokenizer->wordpiece));
        put(root, "pre_tokenizer", json_pack("{ss}", "type", "BertPreTokenizer"));
        put(root, "post_processor", part_value(tokenizer->post_processor));
        put(root, "decoder", wordpiece_decoder(&tokenizer->wordpiece));
        put(root, "model", wordpiece_model(tokenizer));
        break;
    }
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

/* A token a line, by id. */
static enum status write_lines(const struct tokenizer *tokenizer, const char *path,
                               struct error *error)
{
    const struct token_table *const vocabulary = &tokenizer->vocabulary;
    size_t size_bytes = 0;
    for (int64_t id = 0; id < vocabulary->count; id++) {
        size_bytes += vocabulary->texts[id].size_bytes + 1;
    }
    char *const text = memory_take(size_bytes, 1, "vocabulary as text");
    size_t at = 0;
    for (int64_t id = 0; id < vocabulary->count; id++) {
        memcpy(text + at, vocabulary->texts[id].bytes, vocabulary->texts[id].size_bytes);
        at += vocabulary->texts[id].size_bytes;
        text[at++] = '\n';
    }
    const enum status status = file_write_durable(path, text, size_bytes, error);
    memory_release(text);
    return status;
}

static enum status write_json(const char *path, json_t *root, struct error *error)
{
    const enum status status = json_write_file(path, root, error);
    json_decref(root);
    return status;
}

enum status tokenizer_save_json(const struct tokenizer *tokenizer, const char *folder,
                                struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, folder, "tokenizer.json", error));
    return write_json(path, tokenizer_json(tokenizer), error);
}

enum status tokenizer_save(const struct tokenizer *tokenizer, const char *folder,
                           struct error *error)
{
    char path[PATH_BYTES];
    TRY(folder_make(folder, error));
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_BYTEBPE:
        TRY(path_join(path, folder, "vocab.json", error));
        TRY(write_json(path, vocabulary_value(tokenizer), error));
        TRY(path_join(path, folder, "merges.txt", error));
        TRY(write_merges(tokenizer, path, error));
        break;
    case TOKENIZER_KIND_UNIGRAM:
        if (tokenizer->unigram.by_words) {
            break;
        }
        TRY(path_join(path, folder, "spiece.model", error));
        return file_write_durable(path, tokenizer->unigram.file, tokenizer->unigram.file_bytes,
                                  error);
    case TOKENIZER_KIND_CHARBPE:
        break;
    case TOKENIZER_KIND_WORDPIECE:
        TRY(path_join(path, folder, "vocab.txt", error));
        TRY(write_lines(tokenizer, path, error));
        break;
    }
    return tokenizer_save_json(tokenizer, folder, error);
}
