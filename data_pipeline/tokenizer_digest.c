/* The fingerprint of a tokenizer: all that decides how it encodes and decodes, in a fixed order. */
#include <string.h>

#include "data_pipeline/tokenizer_parts.h"

static void digest_number(struct digest_stream *stream, int64_t number)
{
    unsigned char bytes[sizeof number]; /* little-endian: the digest is the same on every machine */
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)((uint64_t)number >> (8 * i));
    }
    digest_stream_add(stream, bytes, sizeof bytes);
}

static void digest_row(struct digest_stream *stream, const struct template_row *row)
{
    digest_number(stream, (int64_t)row->count);
    for (size_t i = 0; i < row->count; i++) {
        digest_number(stream, (int64_t)row->pieces[i].source);
        digest_number(stream, row->pieces[i].id);
        digest_number(stream, row->pieces[i].type);
    }
}

static void digest_bytebpe(struct digest_stream *stream, const struct bytebpe *bpe)
{
    digest_number(stream, (int64_t)bpe->merge_count);
    for (size_t i = 0; i < bpe->merge_count; i++) {
        digest_number(stream, bpe->merges[i].left);
        digest_number(stream, bpe->merges[i].right);
    }
    digest_number(stream, bpe->unknown);
    digest_number(stream, bpe->fuse_unknown | bpe->ignore_merges << 1 | bpe->add_prefix_space << 2 |
                              bpe->use_pattern << 3);
}

static void digest_wordpiece(struct digest_stream *stream, const struct wordpiece *model)
{
    const struct bert_normalizer *const normalizer = &model->normalizer;
    digest_stream_add(stream, "WordPiece", 9);
    digest_number(stream, (int64_t)model->prefix_bytes);
    digest_stream_add(stream, model->prefix, model->prefix_bytes);
    digest_number(stream, model->characters_max);
    digest_number(stream, model->unknown);
    digest_number(stream, normalizer->clean_text | normalizer->chinese_apart << 1 |
                              normalizer->strip_accents << 2 | normalizer->lowercase << 3 |
                              model->cleanup << 4 | model->has_decoder << 5);
}

/* A part of tokenizer.json as it was read. */
static void digest_json(struct digest_stream *stream, const json_t *value)
{
    char *const text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    const size_t size_bytes = text == NULL ? 0 : strlen(text);
    digest_number(stream, (int64_t)size_bytes);
    digest_stream_add(stream, text, size_bytes);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
}

static void digest_charbpe(struct digest_stream *stream, const struct tokenizer *tokenizer)
{
    const struct charbpe *const model = &tokenizer->charbpe;
    digest_bytebpe(stream, &tokenizer->bpe);
    digest_number(stream, model->byte_fallback);
    digest_number(stream, (int64_t)model->prefix.size_bytes);
    digest_stream_add(stream, model->prefix.bytes, model->prefix.size_bytes);
    digest_number(stream, (int64_t)model->suffix.size_bytes);
    digest_stream_add(stream, model->suffix.bytes, model->suffix.size_bytes);
    digest_json(stream, tokenizer->normalizer);
    digest_json(stream, tokenizer->pre_tokenizer);
    digest_json(stream, tokenizer->decoder);
}

static void digest_unigram(struct digest_stream *stream, const struct tokenizer *tokenizer)
{
    const struct unigram *const model = &tokenizer->unigram;
    digest_stream_add(stream, "Unigram", 7);
    digest_stream_add(stream, model->file, model->file_bytes);
    if (!model->by_words) {
        return;
    }
    for (int64_t id = 0; id < tokenizer->vocabulary.count; id++) {
        int64_t bits = 0;
        memcpy(&bits, &model->scores[id], sizeof bits);
        digest_number(stream, bits);
    }
    digest_number(stream, model->unknown);
    digest_number(stream, model->byte_fallback);
    digest_json(stream, tokenizer->normalizer);
    digest_json(stream, tokenizer->pre_tokenizer);
    digest_json(stream, tokenizer->decoder);
}

struct digest tokenizer_digest(const struct tokenizer *tokenizer)
{
    struct digest_stream stream;
    digest_stream_init(&stream);
    digest_number(&stream, tokenizer->vocabulary.count);
    for (int64_t id = 0; id < tokenizer->vocabulary.count; id++) {
        const struct token_text text = tokenizer->vocabulary.texts[id];
        digest_number(&stream, (int64_t)text.size_bytes);
        digest_stream_add(&stream, text.bytes, text.size_bytes);
        digest_number(&stream, tokenizer->flags[id]);
    }
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_BYTEBPE:
        digest_bytebpe(&stream, &tokenizer->bpe);
        break;
    case TOKENIZER_KIND_CHARBPE:
        digest_charbpe(&stream, tokenizer);
        break;
    case TOKENIZER_KIND_WORDPIECE:
        digest_wordpiece(&stream, &tokenizer->wordpiece);
        break;
    case TOKENIZER_KIND_UNIGRAM:
        digest_unigram(&stream, tokenizer);
        break;
    }
    for (size_t i = 0; i < tokenizer->added.count; i++) {
        const struct added_token *const token = &tokenizer->added.items[i];
        digest_number(&stream, token->id);
        digest_number(&stream, token->special | token->strip_left << 1 | token->strip_right << 2 |
                                   token->single_word << 3 | token->normalized << 4);
    }
    digest_row(&stream, &tokenizer->template.single);
    digest_row(&stream, &tokenizer->template.pair);
    const struct digest digest = digest_stream_value(&stream);
    digest_stream_deinit(&stream);
    return digest;
}
