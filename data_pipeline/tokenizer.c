/* What all kinds of tokenizers share: the vocabulary, added tokens in the text, special tokens,
 * decoding. The kind's own part, from plain text to ids, is one call (tokenizer_bytebpe.h). */
#include "data_pipeline/tokenizer.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/byte_symbols.h"
#include "data_pipeline/tokenizer_parts.h"
#include "data_pipeline/utf8.h"

enum { ARENA_CHUNK_BYTES = 1 << 16 };

struct tokenizer_work {
    struct digest owner; /* fingerprint of the tokenizer whose words are cached */
    struct bytebpe_work *bpe;
};

void token_list_deinit(struct token_list *list)
{
    memory_release(list->ids);
    *list = (struct token_list){0};
}

void token_list_add(struct token_list *list, int32_t id)
{
    memory_reserve((void **)&list->ids, &list->capacity, list->count + 1, sizeof *list->ids,
                   "token ids");
    list->ids[list->count++] = id;
}

struct tokenizer *tokenizer_new(void)
{
    struct tokenizer *const tokenizer = memory_take(1, sizeof *tokenizer, "tokenizer");
    token_table_init(&tokenizer->vocabulary);
    arena_init(&tokenizer->arena, ARENA_CHUNK_BYTES, "tokenizer");
    tokenizer->bpe.unknown = -1;
    tokenizer->bpe.use_pattern = true;
    return tokenizer;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    json_decref(tokenizer->post_processor);
    added_tokens_deinit(&tokenizer->added);
    bytebpe_deinit(&tokenizer->bpe);
    memory_release(tokenizer->flags);
    arena_deinit(&tokenizer->arena);
    token_table_deinit(&tokenizer->vocabulary);
    memory_release(tokenizer);
}

bool tokenizer_name(struct tokenizer *tokenizer, const char *text, size_t size_bytes, uint8_t flags)
{
    const int64_t id = tokenizer->vocabulary.count;
    if (token_table_add(&tokenizer->vocabulary, text, size_bytes) != id) {
        return false;
    }
    memory_reserve((void **)&tokenizer->flags, &tokenizer->flag_capacity, (size_t)id + 1, 1,
                   "token flags");
    tokenizer->flags[id] = flags;
    return true;
}

void tokenizer_add_token(struct tokenizer *tokenizer, const struct added_token *token)
{
    struct added_token kept = *token;
    kept.text = tokenizer->vocabulary.texts[token->id].bytes;
    kept.size_bytes = tokenizer->vocabulary.texts[token->id].size_bytes;
    added_tokens_add(&tokenizer->added, &kept);
    tokenizer->flags[token->id] |=
        (uint8_t)(TOKEN_FLAG_ADDED | (token->special ? TOKEN_FLAG_SPECIAL : 0));
}

/* The bytes of every id, and which ids begin a word. */
static void seal_bytes(struct tokenizer *tokenizer)
{
    const struct token_table *const vocabulary = &tokenizer->vocabulary;
    tokenizer->bytes =
        arena_take(&tokenizer->arena, (size_t)vocabulary->count, sizeof *tokenizer->bytes);
    for (int64_t id = 0; id < vocabulary->count; id++) {
        const struct token_text text = vocabulary->texts[id];
        char *const bytes = arena_take(&tokenizer->arena, text.size_bytes + 1, 1);
        const size_t size_bytes = byte_symbols_read(text.bytes, text.size_bytes, bytes);
        tokenizer->bytes[id] = (struct token_text){bytes, size_bytes};
        const bool space =
            size_bytes > 0 && (bytes[0] == ' ' || (bytes[0] >= '\t' && bytes[0] <= '\r'));
        if (space || (tokenizer->flags[id] & TOKEN_FLAG_SPECIAL) != 0) {
            tokenizer->flags[id] |= TOKEN_FLAG_BEGINS_WORD;
        }
    }
}

static int32_t first_known(const struct token_table *vocabulary, const char *const *names)
{
    for (; *names != NULL; names++) {
        const int32_t id = token_table_find(vocabulary, *names, strlen(*names));
        if (id >= 0) {
            return id;
        }
    }
    return -1;
}

static struct tokenizer_specials specials_of(const struct token_table *vocabulary)
{
    return (struct tokenizer_specials){
        .bos = first_known(vocabulary, (const char *[]){"<s>", "[CLS]", "<|endoftext|>", NULL}),
        .pad = first_known(vocabulary, (const char *[]){"<pad>", "[PAD]", NULL}),
        .eos = first_known(vocabulary, (const char *[]){"</s>", "[SEP]", "<|endoftext|>", NULL}),
        .unk = first_known(vocabulary, (const char *[]){"<unk>", "[UNK]", NULL}),
        .mask = first_known(vocabulary, (const char *[]){"<mask>", "[MASK]", NULL}),
    };
}

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

static struct digest fingerprint_of(const struct tokenizer *tokenizer)
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
    const struct bytebpe *const bpe = &tokenizer->bpe;
    digest_number(&stream, (int64_t)bpe->merge_count);
    for (size_t i = 0; i < bpe->merge_count; i++) {
        digest_number(&stream, bpe->merges[i].left);
        digest_number(&stream, bpe->merges[i].right);
    }
    digest_number(&stream, bpe->unknown);
    digest_number(&stream, bpe->fuse_unknown | bpe->ignore_merges << 1 |
                               bpe->add_prefix_space << 2 | bpe->use_pattern << 3);
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

enum status tokenizer_seal(struct tokenizer *tokenizer, const char *where, struct error *error)
{
    if (tokenizer->vocabulary.count == 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": the vocabulary is empty", where);
    }
    size_t rank = 0;
    if (!bytebpe_seal(&tokenizer->bpe, &tokenizer->vocabulary, tokenizer->flags, &rank)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": merge %zu (\"%s %s\") stands there a second time",
             where, rank + 1, tokenizer->vocabulary.texts[tokenizer->bpe.merges[rank].left].bytes,
             tokenizer->vocabulary.texts[tokenizer->bpe.merges[rank].right].bytes);
    }
    TRY(tokenizer_template_read(&tokenizer->template, tokenizer->post_processor,
                                &tokenizer->vocabulary, where, error));
    seal_bytes(tokenizer);
    tokenizer->specials = specials_of(&tokenizer->vocabulary);
    tokenizer->fingerprint = fingerprint_of(tokenizer);
    return STATUS_OK;
}

int64_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.count;
}

struct tokenizer_specials tokenizer_specials(const struct tokenizer *tokenizer)
{
    return tokenizer->specials;
}

static bool has_flag(const struct tokenizer *tokenizer, int32_t id, enum token_flag flag)
{
    return id >= 0 && id < tokenizer->vocabulary.count && (tokenizer->flags[id] & flag) != 0;
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id)
{
    return has_flag(tokenizer, id, TOKEN_FLAG_SPECIAL);
}

bool tokenizer_begins_word(const struct tokenizer *tokenizer, int32_t id)
{
    return has_flag(tokenizer, id, TOKEN_FLAG_BEGINS_WORD);
}

const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->vocabulary.count ? tokenizer->vocabulary.texts[id].bytes
                                                       : NULL;
}

int32_t tokenizer_token_id(const struct tokenizer *tokenizer, const char *name)
{
    return token_table_find(&tokenizer->vocabulary, name, strlen(name));
}

struct digest tokenizer_fingerprint(const struct tokenizer *tokenizer)
{
    return tokenizer->fingerprint;
}

struct tokenizer_work *tokenizer_work_open(void)
{
    struct tokenizer_work *const work = memory_take(1, sizeof *work, "scratch of a tokenizer");
    work->bpe = bytebpe_work_open();
    return work;
}

void tokenizer_work_close(struct tokenizer_work *work)
{
    if (work != NULL) {
        bytebpe_work_close(work->bpe);
        memory_release(work);
    }
}

struct bytebpe_work *tokenizer_work_for(const struct tokenizer *tokenizer,
                                        struct tokenizer_work *work)
{
    if (!digest_equal(work->owner, tokenizer->fingerprint)) {
        bytebpe_work_reset(work->bpe);
        work->owner = tokenizer->fingerprint;
    }
    return work->bpe;
}

/* Ids of a text that holds no tokens but those that are normalized. */
static void encode_rest(const struct tokenizer *tokenizer, struct bytebpe_work *work,
                        const char *text, size_t size_bytes, bool parse_specials,
                        struct token_list *out)
{
    struct added_scan scan = {.tokens = &tokenizer->added,
                              .text = text,
                              .size_bytes = size_bytes,
                              .normalized = true,
                              .skip_specials = !parse_specials};
    struct text_part part;
    while (added_scan_next(&scan, &part)) {
        if (part.token != NULL) {
            token_list_add(out, part.token->id);
        } else {
            bytebpe_encode(&tokenizer->bpe, work, text + part.begin, part.end - part.begin, out);
        }
    }
}

void tokenizer_encode(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                      const char *text, size_t size_bytes, bool parse_specials,
                      struct token_list *out)
{
    struct bytebpe_work *const own = tokenizer_work_for(tokenizer, work);
    struct added_scan scan = {.tokens = &tokenizer->added,
                              .text = text,
                              .size_bytes = size_bytes,
                              .skip_specials = !parse_specials};
    struct text_part part;
    while (added_scan_next(&scan, &part)) {
        if (part.token != NULL) {
            token_list_add(out, part.token->id);
        } else if (tokenizer->added.has_normalized) {
            encode_rest(tokenizer, own, text + part.begin, part.end - part.begin, parse_specials,
                        out);
        } else {
            bytebpe_encode(&tokenizer->bpe, own, text + part.begin, part.end - part.begin, out);
        }
    }
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                             bool skip_specials, char **text, size_t *size_bytes,
                             struct error *error)
{
    size_t raw_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->vocabulary.count) {
            FAIL(error, STATUS_INPUT,
                 "could not decode: id %d at place %zu is outside the vocabulary of %lld", ids[i],
                 i, (long long)tokenizer->vocabulary.count);
        }
        raw_bytes += tokenizer->bytes[ids[i]].size_bytes;
    }
    char *const raw = memory_take(raw_bytes, 1, "decoded bytes");
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        if (!skip_specials || !tokenizer_is_special(tokenizer, ids[i])) {
            const struct token_text bytes = tokenizer->bytes[ids[i]];
            memcpy(raw + written, bytes.bytes, bytes.size_bytes);
            written += bytes.size_bytes;
        }
    }
    if (utf8_valid_prefix(raw, written) == written) {
        char *const whole = memory_take(written + 1, 1, "decoded text");
        memcpy(whole, raw, written);
        *text = whole;
        *size_bytes = written;
    } else {
        *text = memory_take(3 * written + 1, 1, "decoded text");
        *size_bytes = utf8_repair(raw, written, *text);
    }
    memory_release(raw);
    return STATUS_OK;
}
