/* What all kinds of tokenizers share: the vocabulary, added tokens in the text, special tokens,
 * decoding. The kind's own part, from plain text to ids, is one call (tokenizer_bytebpe.h). */
#include "data_pipeline/tokenizer.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/byte_symbols.h"
#include "data_pipeline/tokenizer_parts.h"

enum { ARENA_CHUNK_BYTES = 1 << 16 };

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

struct tokenizer *tokenizer_new(enum tokenizer_kind kind)
{
    struct tokenizer *const tokenizer = memory_take(1, sizeof *tokenizer, "tokenizer");
    tokenizer->kind = kind;
    token_table_init(&tokenizer->vocabulary);
    arena_init(&tokenizer->arena, ARENA_CHUNK_BYTES, "tokenizer");
    tokenizer->bpe.unknown = -1;
    tokenizer->bpe.use_pattern = true;
    tokenizer->wordpiece.unknown = -1;
    return tokenizer;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    json_decref(tokenizer->post_processor);
    json_decref(tokenizer->normalizer);
    json_decref(tokenizer->pre_tokenizer);
    json_decref(tokenizer->decoder);
    added_tokens_deinit(&tokenizer->added);
    bytebpe_deinit(&tokenizer->bpe);
    charbpe_deinit(&tokenizer->charbpe);
    wordpiece_deinit(&tokenizer->wordpiece);
    unigram_deinit(&tokenizer->unigram);
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

static bool is_inner_piece(const struct wordpiece *model, struct token_text text)
{
    return model->prefix_bytes > 0 && text.size_bytes > model->prefix_bytes &&
           memcmp(text.bytes, model->prefix, model->prefix_bytes) == 0;
}

static bool begins_word(const struct tokenizer *tokenizer, int64_t id)
{
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_WORDPIECE:
        return !is_inner_piece(&tokenizer->wordpiece, tokenizer->vocabulary.texts[id]);
    case TOKENIZER_KIND_UNIGRAM:
        return unigram_piece_begins_word(tokenizer->vocabulary.texts[id]);
    case TOKENIZER_KIND_CHARBPE:
        if (!tokenizer->charbpe.makes_bytes) {
            return charbpe_begins_word(&tokenizer->charbpe, tokenizer->vocabulary.texts[id]);
        }
        break;
    case TOKENIZER_KIND_BYTEBPE:
        break;
    }
    const struct token_text bytes = tokenizer->bytes[id];
    return bytes.size_bytes > 0 &&
           (bytes.bytes[0] == ' ' || (bytes.bytes[0] >= '\t' && bytes.bytes[0] <= '\r'));
}

/* What a token stands for in the text. */
static struct token_text bytes_of(struct tokenizer *tokenizer, struct token_text text)
{
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_WORDPIECE:
        if (is_inner_piece(&tokenizer->wordpiece, text)) {
            const size_t prefix_bytes = tokenizer->wordpiece.prefix_bytes;
            return (struct token_text){text.bytes + prefix_bytes, text.size_bytes - prefix_bytes};
        }
        return text;
    case TOKENIZER_KIND_UNIGRAM:
        return text;
    case TOKENIZER_KIND_CHARBPE:
        if (!tokenizer->charbpe.makes_bytes) {
            return text;
        }
        break;
    case TOKENIZER_KIND_BYTEBPE:
        break;
    }
    char *const bytes = arena_take(&tokenizer->arena, text.size_bytes + 1, 1);
    return (struct token_text){bytes, byte_symbols_read(text.bytes, text.size_bytes, bytes)};
}

/* The bytes of every id, and which ids begin a word. */
static void seal_bytes(struct tokenizer *tokenizer)
{
    const struct token_table *const vocabulary = &tokenizer->vocabulary;
    tokenizer->bytes =
        arena_take(&tokenizer->arena, (size_t)vocabulary->count, sizeof *tokenizer->bytes);
    for (int64_t id = 0; id < vocabulary->count; id++) {
        tokenizer->bytes[id] = bytes_of(tokenizer, vocabulary->texts[id]);
        if (begins_word(tokenizer, id) || (tokenizer->flags[id] & TOKEN_FLAG_SPECIAL) != 0) {
            tokenizer->flags[id] |= TOKEN_FLAG_BEGINS_WORD;
        }
    }
}

/* Tokens that are searched in normalised text are searched in their normal form. */
static void seal_added(struct tokenizer *tokenizer)
{
    tokenizer->shown = tokenizer->vocabulary.texts;
    if (!tokenizer_normalizes(tokenizer) || !tokenizer->added.has_normalized) {
        return;
    }
    struct added_tokens sealed = {0};
    struct normal_text normal = {0};
    struct text_normalizer_work work = {0};
    for (size_t i = 0; i < tokenizer->added.count; i++) {
        struct added_token token = tokenizer->added.items[i];
        if (token.normalized) {
            normal.size_bytes = 0;
            tokenizer_normalize(tokenizer, &work, token.text, token.size_bytes, 0, &normal);
            token.size_bytes = normal.size_bytes;
            token.text = normal.size_bytes == 0
                             ? "" /* nothing left: it is never found */
                             : arena_text(&tokenizer->arena, normal.bytes, normal.size_bytes);
        }
        added_tokens_add(&sealed, &token);
    }
    text_normalizer_work_deinit(&work);
    normal_text_deinit(&normal);
    added_tokens_deinit(&tokenizer->added);
    tokenizer->added = sealed;
    tokenizer->shown = arena_take(&tokenizer->arena, (size_t)tokenizer->vocabulary.count,
                                  sizeof *tokenizer->shown);
    memcpy(tokenizer->shown, tokenizer->vocabulary.texts,
           (size_t)tokenizer->vocabulary.count * sizeof *tokenizer->shown);
    for (size_t i = 0; i < sealed.count; i++) {
        tokenizer->shown[sealed.items[i].id] =
            (struct token_text){sealed.items[i].text, sealed.items[i].size_bytes};
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
        .bos = first_known(vocabulary,
                           (const char *[]){"[CLS]", "<cls>", "<s>", "<bos>", "<|begin_of_text|>",
                                            "<|startoftext|>", "<|endoftext|>", NULL}),
        .pad = first_known(vocabulary, (const char *[]){"<pad>", "[PAD]", NULL}),
        .eos = first_known(vocabulary, (const char *[]){"[SEP]", "<sep>", "</s>", "<eos>",
                                                        "<|end_of_text|>", "<|endoftext|>", NULL}),
        .unk = first_known(vocabulary, (const char *[]){"<unk>", "[UNK]", NULL}),
        .mask = first_known(vocabulary, (const char *[]){"<mask>", "[MASK]", NULL}),
    };
}

static enum status seal_model(struct tokenizer *tokenizer, const char *where, struct error *error)
{
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_WORDPIECE:
        wordpiece_seal(&tokenizer->wordpiece, tokenizer->vocabulary.texts, tokenizer->flags,
                       (size_t)tokenizer->vocabulary.count);
        return STATUS_OK;
    case TOKENIZER_KIND_UNIGRAM:
        return unigram_seal(&tokenizer->unigram, tokenizer->vocabulary.texts,
                            (size_t)tokenizer->vocabulary.count, where, error);
    case TOKENIZER_KIND_CHARBPE:
    case TOKENIZER_KIND_BYTEBPE:
        break;
    }
    size_t rank = 0;
    if (!bytebpe_seal(&tokenizer->bpe, &tokenizer->vocabulary, tokenizer->flags, &rank)) {
        FAIL(error, STATUS_FORMAT, "\"%s\": merge %zu (\"%s %s\") stands there a second time",
             where, rank + 1, tokenizer->vocabulary.texts[tokenizer->bpe.merges[rank].left].bytes,
             tokenizer->vocabulary.texts[tokenizer->bpe.merges[rank].right].bytes);
    }
    if (tokenizer->kind == TOKENIZER_KIND_CHARBPE) {
        charbpe_seal(&tokenizer->charbpe, &tokenizer->bpe);
    }
    return STATUS_OK;
}

enum status tokenizer_seal(struct tokenizer *tokenizer, const char *where, struct error *error)
{
    if (tokenizer->vocabulary.count == 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": the vocabulary is empty", where);
    }
    TRY(seal_model(tokenizer, where, error));
    TRY(tokenizer_template_read(&tokenizer->template, tokenizer->post_processor,
                                &tokenizer->vocabulary, where, error));
    seal_added(tokenizer);
    seal_bytes(tokenizer);
    tokenizer->specials = specials_of(&tokenizer->vocabulary);
    tokenizer->fingerprint = tokenizer_digest(tokenizer);
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
    return memory_take(1, sizeof(struct tokenizer_work), "scratch of a tokenizer");
}

void tokenizer_work_close(struct tokenizer_work *work)
{
    if (work != NULL) {
        bytebpe_work_close(work->bpe);
        charbpe_work_close(work->charbpe);
        wordpiece_work_close(work->wordpiece);
        unigram_work_close(work->unigram);
        normal_text_deinit(&work->normal);
        text_normalizer_work_deinit(&work->normalizer);
        memory_release(work);
    }
}

void tokenizer_work_ready(const struct tokenizer *tokenizer, struct tokenizer_work *work)
{
    if (digest_equal(work->owner, tokenizer->fingerprint)) {
        return;
    }
    work->owner = tokenizer->fingerprint;
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_BYTEBPE:
        work->bpe = work->bpe == NULL ? bytebpe_work_open() : work->bpe;
        bytebpe_work_reset(work->bpe);
        break;
    case TOKENIZER_KIND_CHARBPE:
        work->charbpe = work->charbpe == NULL ? charbpe_work_open() : work->charbpe;
        charbpe_work_reset(work->charbpe);
        break;
    case TOKENIZER_KIND_WORDPIECE:
        work->wordpiece = work->wordpiece == NULL ? wordpiece_work_open() : work->wordpiece;
        wordpiece_work_reset(work->wordpiece);
        break;
    case TOKENIZER_KIND_UNIGRAM:
        work->unigram = work->unigram == NULL ? unigram_work_open() : work->unigram;
        unigram_work_reset(work->unigram);
        break;
    }
}

bool tokenizer_normalizes(const struct tokenizer *tokenizer)
{
    return tokenizer->kind == TOKENIZER_KIND_WORDPIECE ||
           tokenizer->kind == TOKENIZER_KIND_CHARBPE ||
           (tokenizer->kind == TOKENIZER_KIND_UNIGRAM && tokenizer->unigram.by_words);
}

void tokenizer_normalize(const struct tokenizer *tokenizer, struct text_normalizer_work *work,
                         const char *text, size_t size_bytes, size_t base, struct normal_text *out)
{
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_WORDPIECE:
        bert_normalize(&tokenizer->wordpiece.normalizer, text, size_bytes, base, out);
        break;
    case TOKENIZER_KIND_UNIGRAM:
        text_normalize(&tokenizer->unigram.words.normalizer, work, text, size_bytes, base, out);
        break;
    case TOKENIZER_KIND_CHARBPE:
        text_normalize(&tokenizer->charbpe.normalizer, work, text, size_bytes, base, out);
        break;
    case TOKENIZER_KIND_BYTEBPE:
        normal_text_add(out, text, size_bytes, base, base + size_bytes);
        break;
    }
}

static void encode_unigram(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                           const char *text, size_t size_bytes, struct token_list *out)
{
    size_t count = 0;
    const struct unigram_piece *const pieces =
        unigram_encode(&tokenizer->unigram, work->unigram, text, size_bytes, 0, false, &count);
    int32_t *const ids = token_list_room(out, count);
    for (size_t i = 0; i < count; i++) {
        ids[i] = pieces[i].id;
    }
    out->count += count;
}

/* Ids of bytes [begin, end) of a normalised text, which begins the whole one if it `opens`. */
static void encode_normal(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                          const struct normal_text *text, size_t begin, size_t end, bool opens,
                          struct token_list *out)
{
    if (tokenizer->kind == TOKENIZER_KIND_UNIGRAM) {
        unigram_encode_ids(&tokenizer->unigram, work->unigram, text, begin, end, opens, out);
    } else if (tokenizer->kind == TOKENIZER_KIND_CHARBPE) {
        charbpe_encode(&tokenizer->charbpe, work->charbpe, text, begin, end, opens, out);
    } else {
        wordpiece_encode_normal(&tokenizer->wordpiece, work->wordpiece, text->bytes + begin,
                                end - begin, out);
    }
}

static void normalize_and_encode(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                                 const char *text, size_t size_bytes, bool opens,
                                 struct token_list *out)
{
    work->normal.size_bytes = 0;
    work->normal.with_origins = tokenizer->charbpe.needs_origins;
    tokenizer_normalize(tokenizer, &work->normalizer, text, size_bytes, 0, &work->normal);
    encode_normal(tokenizer, work, &work->normal, 0, work->normal.size_bytes, opens, out);
}

/* Ids of text without added tokens that is not normalised. */
static void encode_plain(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                         const char *text, size_t size_bytes, bool opens, struct token_list *out)
{
    switch (tokenizer->kind) {
    case TOKENIZER_KIND_BYTEBPE:
        bytebpe_encode(&tokenizer->bpe, work->bpe, text, size_bytes, out);
        break;
    case TOKENIZER_KIND_WORDPIECE:
        wordpiece_encode(&tokenizer->wordpiece, work->wordpiece, text, size_bytes, out);
        break;
    case TOKENIZER_KIND_UNIGRAM:
        if (!tokenizer->unigram.by_words) {
            encode_unigram(tokenizer, work, text, size_bytes, out);
            break;
        }
        normalize_and_encode(tokenizer, work, text, size_bytes, opens, out);
        break;
    case TOKENIZER_KIND_CHARBPE:
        normalize_and_encode(tokenizer, work, text, size_bytes, opens, out);
        break;
    }
}

/* Ids of a text that holds no tokens but those that are normalized. */
static void encode_rest(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                        const char *text, size_t size_bytes, bool opens, bool parse_specials,
                        struct token_list *out)
{
    const bool normal = tokenizer_normalizes(tokenizer);
    if (normal) {
        work->normal.size_bytes = 0;
        work->normal.with_origins = tokenizer->charbpe.needs_origins;
        tokenizer_normalize(tokenizer, &work->normalizer, text, size_bytes, 0, &work->normal);
        text = work->normal.bytes;
        size_bytes = work->normal.size_bytes;
    }
    struct added_scan scan = {.tokens = &tokenizer->added,
                              .text = text,
                              .size_bytes = size_bytes,
                              .normalized = true,
                              .skip_specials = !parse_specials};
    struct text_part part;
    while (added_scan_next(&scan, &part)) {
        const bool part_opens = opens && part.begin == 0;
        if (part.token != NULL) {
            token_list_add(out, part.token->id);
        } else if (normal) {
            encode_normal(tokenizer, work, &work->normal, part.begin, part.end, part_opens, out);
        } else {
            encode_plain(tokenizer, work, text + part.begin, part.end - part.begin, part_opens,
                         out);
        }
    }
}

void tokenizer_encode(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                      const char *text, size_t size_bytes, bool parse_specials,
                      struct token_list *out)
{
    tokenizer_work_ready(tokenizer, work);
    struct added_scan scan = {.tokens = &tokenizer->added,
                              .text = text,
                              .size_bytes = size_bytes,
                              .skip_specials = !parse_specials};
    struct text_part part;
    while (added_scan_next(&scan, &part)) {
        const size_t part_bytes = part.end - part.begin;
        const bool opens = part.begin == 0;
        if (part.token != NULL) {
            token_list_add(out, part.token->id);
        } else if (tokenizer->added.has_normalized) {
            encode_rest(tokenizer, work, text + part.begin, part_bytes, opens, parse_specials, out);
        } else {
            encode_plain(tokenizer, work, text + part.begin, part_bytes, opens, out);
        }
    }
}
