/* See piece_json.h. */
#include "data_pipeline/piece_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/memory.h"

static const char space_symbol[] = "\xe2\x96\x81"; /* U+2581 */

/* jansson's constructors fail only for want of memory or for text that is not UTF-8, which pieces
 * are. */
static void push(json_t *array, json_t *value)
{
    const int failed = json_array_append_new(array, value);
    INVARIANT(failed == 0);
}

static json_t *replacement(const char *kind, const char *pattern, const char *content)
{
    return json_pack("{ss s{ss} ss}", "type", "Replace", "pattern", kind, pattern, "content",
                     content);
}

static const char *space_of(const struct unigram *model)
{
    return model->escape_spaces ? space_symbol : " ";
}

json_t *piece_json_normalizer(const struct unigram *model)
{
    json_t *const steps = json_array();
    if (model->map_bytes > 0) {
        char *const map = base64_encode(model->map_blob, model->map_bytes);
        push(steps, json_pack("{ss ss}", "type", "Precompiled", "precompiled_charsmap", map));
        memory_release(map);
    }
    if (model->remove_extra_spaces) {
        push(steps, replacement("Regex", "\\A +| +\\z", ""));
        push(steps, replacement("Regex", " {2,}", " "));
    }
    if (model->escape_spaces) {
        push(steps, replacement("String", " ", space_symbol));
    }
    if (model->add_dummy_prefix) { /* an empty text stays empty */
        push(steps, model->space_is_suffix
                        ? replacement("Regex", "(?<=.)\\z", space_of(model))
                        : json_pack("{ss ss}", "type", "Prepend", "prepend", space_of(model)));
    }
    return json_pack("{ss so}", "type", "Sequence", "normalizers", steps);
}

/* Longest first; of equals the one with the lower id. */
static int compare_lengths(const void *left, const void *right)
{
    const struct token_text *const a = *(const struct token_text *const *)left;
    const struct token_text *const b = *(const struct token_text *const *)right;
    return a->size_bytes != b->size_bytes
               ? (a->size_bytes < b->size_bytes) - (a->size_bytes > b->size_bytes)
               : (a > b) - (a < b);
}

/* A pattern that finds the pieces which nothing may cut or merge, the longest first; or NULL. */
static char *user_pattern(const struct tokenizer *tokenizer)
{
    const struct token_text *const texts = tokenizer->vocabulary.texts;
    const size_t count = (size_t)tokenizer->vocabulary.count;
    const struct token_text **const user = memory_take(count, sizeof *user, "user pieces");
    size_t user_count = 0;
    size_t size_bytes = 1;
    for (size_t id = 0; id < count; id++) {
        if (tokenizer->unigram.types[id] == PIECE_TYPE_USER) {
            user[user_count++] = &texts[id];
            size_bytes += 2 * texts[id].size_bytes + 1;
        }
    }
    qsort(user, user_count, sizeof *user, compare_lengths);
    char *const pattern = user_count == 0 ? NULL : memory_take(size_bytes, 1, "user pieces");
    size_t at = 0;
    for (size_t i = 0; i < user_count; i++) {
        if (i > 0) {
            pattern[at++] = '|';
        }
        for (size_t k = 0; k < user[i]->size_bytes; k++) {
            if (strchr("\\^$.|?*+()[]{}-/#&~", user[i]->bytes[k]) != NULL) {
                pattern[at++] = '\\';
            }
            pattern[at++] = user[i]->bytes[k];
        }
    }
    memory_release(user);
    return pattern;
}

/* Pieces may go across words, so texts stay whole. In a unigram model the score keeps user pieces
 * together. */
json_t *piece_json_splitter(const struct tokenizer *tokenizer)
{
    const struct unigram *const model = &tokenizer->unigram;
    if (model->search == PIECE_SEARCH_BEST_ROW) {
        return model->escape_spaces ? json_pack("{ss ss ss sb}", "type", "Metaspace", "replacement",
                                                space_symbol, "prepend_scheme", "never", "split", 0)
                                    : json_null();
    }
    char *const pattern = user_pattern(tokenizer);
    if (pattern == NULL) {
        return json_null();
    }
    json_t *const splitter = json_pack("{ss s{ss} ss sb}", "type", "Split", "pattern", "Regex",
                                       pattern, "behavior", "Isolated", "invert", 0);
    memory_release(pattern);
    return splitter;
}

json_t *piece_json_decoder(const struct unigram *model)
{
    if (model->search == PIECE_SEARCH_BEST_ROW && !model->byte_fallback) {
        return json_pack("{ss ss ss sb}", "type", "Metaspace", "replacement", space_symbol,
                         "prepend_scheme", model->add_dummy_prefix ? "always" : "never", "split",
                         0);
    }
    json_t *const steps = json_array();
    push(steps, replacement("String", space_symbol, " "));
    if (model->byte_fallback) {
        push(steps, json_pack("{ss}", "type", "ByteFallback"));
    }
    push(steps, json_pack("{ss}", "type", "Fuse"));
    if (model->add_dummy_prefix) {
        push(steps,
             json_pack("{ss ss si si}", "type", "Strip", "content", " ", "start",
                       model->space_is_suffix ? 0 : 1, "stop", model->space_is_suffix ? 1 : 0));
    }
    return json_pack("{ss so}", "type", "Sequence", "decoders", steps);
}

static json_t *name_of(const struct tokenizer *tokenizer, int64_t id)
{
    const struct token_text text = tokenizer->vocabulary.texts[id];
    return json_stringn(text.bytes, text.size_bytes);
}

static json_t *unigram_value(const struct tokenizer *tokenizer)
{
    const struct unigram *const model = &tokenizer->unigram;
    json_t *const rows = json_array();
    for (int32_t id = 0; id < tokenizer->vocabulary.count; id++) {
        const double score = model->types[id] == PIECE_TYPE_UNUSED
                                 ? model->lowest_score
                                 : unigram_score(model, id, tokenizer->vocabulary.texts[id]);
        push(rows, json_pack("[of]", name_of(tokenizer, id), score));
    }
    return json_pack("{ss si so sb}", "type", "Unigram", "unk_id", model->unknown, "vocab", rows,
                     "byte_fallback", model->byte_fallback);
}

/* A way to put a piece together. */
struct way {
    uint32_t rank;
    int32_t result;
    int32_t left;
    int32_t right;
    uint32_t left_bytes;
};

static int compare_ways(const void *left, const void *right)
{
    const struct way *const a = left;
    const struct way *const b = right;
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    return a->result != b->result
               ? (a->result > b->result) - (a->result < b->result)
               : (a->left_bytes > b->left_bytes) - (a->left_bytes < b->left_bytes);
}

static bool takes_part(const struct unigram *model, int32_t id)
{
    return id >= 0 && model->types[id] == PIECE_TYPE_NORMAL;
}

/* All ways to put pieces together of two others, by the score of what they become. */
static json_t *merges_value(const struct tokenizer *tokenizer)
{
    const struct token_table *const vocabulary = &tokenizer->vocabulary;
    const struct unigram *const model = &tokenizer->unigram;
    struct way *ways = NULL;
    size_t count = 0;
    size_t capacity = 0;
    for (int32_t id = 0; id < vocabulary->count && model->search == PIECE_SEARCH_MERGES; id++) {
        const struct token_text text = vocabulary->texts[id];
        for (size_t cut = 1; takes_part(model, id) && cut < text.size_bytes; cut++) {
            const int32_t left = token_table_find(vocabulary, text.bytes, cut);
            const int32_t right =
                token_table_find(vocabulary, text.bytes + cut, text.size_bytes - cut);
            if (takes_part(model, left) && takes_part(model, right)) {
                memory_reserve((void **)&ways, &capacity, count + 1, sizeof *ways, "merges");
                ways[count++] = (struct way){model->ranks[id], id, left, right, (uint32_t)cut};
            }
        }
    }
    qsort(ways, count, sizeof *ways, compare_ways);
    json_t *const merges = json_array();
    for (size_t i = 0; i < count; i++) {
        push(merges, json_pack("[oo]", name_of(tokenizer, ways[i].left),
                               name_of(tokenizer, ways[i].right)));
    }
    memory_release(ways);
    return merges;
}

static json_t *bpe_value(const struct tokenizer *tokenizer)
{
    const struct unigram *const model = &tokenizer->unigram;
    json_t *const vocabulary = json_object();
    bool has_user = false;
    for (int32_t id = 0; id < tokenizer->vocabulary.count; id++) {
        has_user = has_user || model->types[id] == PIECE_TYPE_USER;
        const int failed = json_object_set_new(vocabulary, tokenizer->vocabulary.texts[id].bytes,
                                               json_integer(id));
        INVARIANT(failed == 0);
    }
    return json_pack("{ss sn so sn sn sb sb sb so so}", "type", "BPE", "dropout", "unk_token",
                     name_of(tokenizer, model->unknown), "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", 1, "byte_fallback", model->byte_fallback,
                     "ignore_merges", has_user, "vocab", vocabulary, "merges",
                     merges_value(tokenizer));
}

json_t *piece_json_model(const struct tokenizer *tokenizer)
{
    return tokenizer->unigram.search == PIECE_SEARCH_BEST_ROW ? unigram_value(tokenizer)
                                                              : bpe_value(tokenizer);
}
