/* The tokenizer is made the way a tokenizer.json is read, so that both mean the same. */
#include "data_pipeline/train_unigram_text.h"

#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_reading.h"
#include "data_pipeline/train_unigram.h"
#include "data_pipeline/unicode_classes.h"
#include "data_pipeline/utf8.h"

static const char space_symbol[] = "\xe2\x96\x81"; /* U+2581 */
static const char unknown_name[] = "<unk>";
static const double character_coverage = 0.9995; /* as SentencePiece has it unless told */

void unigram_text_work_deinit(struct unigram_text_work *work)
{
    text_normalizer_work_deinit(&work->normalizer);
    normal_text_deinit(&work->normal);
}

/* One word of the normal form, with its symbol in front. */
static void count_word(struct word_counts *counts, struct normal_text *scratch, const char *word,
                       size_t size_bytes)
{
    scratch->size_bytes = 0;
    normal_text_add(scratch, space_symbol, strlen(space_symbol), 0, 0);
    normal_text_add(scratch, word, size_bytes, 0, 0);
    word_counts_add(counts, scratch->bytes, scratch->size_bytes);
}

enum status unigram_text_count(struct word_counts *counts, struct unigram_text_work *work,
                               const char *text, size_t size_bytes, struct error *error)
{
    static const struct text_normalizer normalizer = {
        .steps = {{.kind = NORMALIZER_KIND_FORM, .form = UNICODE_FORM_NFKC}}, .count = 1};
    struct normal_text *const normal = &work->normal;
    normal->size_bytes = 0;
    text_normalize(&normalizer, &work->normalizer, text, size_bytes, 0, normal);
    if (2 * normal->size_bytes > TRAIN_WORD_BYTES_MAX - counts->text_bytes) {
        FAIL(error, STATUS_LIMIT, "could not count words: the different ones exceed %zu bytes",
             TRAIN_WORD_BYTES_MAX);
    }
    size_t begin = 0;
    for (size_t at = 0; at <= normal->size_bytes;) {
        uint32_t code_point = ' ';
        const size_t left = normal->size_bytes - at;
        const size_t length =
            left == 0 ? 1 : utf8_decode(normal->bytes + at, left, &code_point, NULL);
        if (code_point == ' ' || unicode_class_of(code_point) == UNICODE_CLASS_SPACE) {
            if (at > begin) {
                count_word(counts, &work->normalizer.texts[0], normal->bytes + begin, at - begin);
            }
            begin = at + length;
        }
        at += length;
    }
    return STATUS_OK;
}

/* "added_tokens": all special; a mask takes the white space before it. */
static json_t *added_value(const struct tokenizer_train_options *options)
{
    json_t *const list = json_array();
    for (int64_t id = 0; id < options->special_count; id++) {
        const char *const name = options->specials[id];
        const bool mask = strcmp(name, "[MASK]") == 0 || strcmp(name, "<mask>") == 0;
        const int failed = json_array_append_new(
            list, json_pack("{sI ss sb sb sb sb sb}", "id", (json_int_t)id, "content", name,
                            "single_word", 0, "lstrip", (int)mask, "rstrip", 0, "normalized", 0,
                            "special", 1));
        INVARIANT(failed == 0);
    }
    return list;
}

static int64_t unknown_id(const struct tokenizer_train_options *options)
{
    for (int64_t id = 0; id < options->special_count; id++) {
        if (strcmp(options->specials[id], unknown_name) == 0) {
            return id;
        }
    }
    return -1;
}

static enum status make(const struct tokenizer_train_options *options, json_t *rows,
                        struct tokenizer **tokenizer, struct error *error)
{
    static const char where[] = "trained tokenizer";
    json_t *const model =
        json_pack("{ss sI sO sb}", "type", "Unigram", "unk_id", (json_int_t)unknown_id(options),
                  "vocab", rows, "byte_fallback", 0);
    json_t *const metaspace = json_pack("{ss ss ss sb}", "type", "Metaspace", "replacement",
                                        space_symbol, "prepend_scheme", "always", "split", 1);
    json_t *const root = json_pack(
        "{so s{ss} s{ss s[{ss}O]} so so}", "added_tokens", added_value(options), "normalizer",
        "type", "NFKC", "pre_tokenizer", "type", "Sequence", "pretokenizers", "type",
        "WhitespaceSplit", metaspace, "decoder", metaspace, "model", model);
    INVARIANT(root != NULL);
    struct tokenizer *const made = tokenizer_new(TOKENIZER_KIND_UNIGRAM);
    enum status status = tokenizer_read_metaspace(made, root, model, where, error);
    json_decref(root);
    if (status == STATUS_OK) {
        made->post_processor = tokenizer_bert_processor(&made->vocabulary);
        status = tokenizer_seal(made, where, error);
    }
    if (status != STATUS_OK) {
        tokenizer_close(made);
        return status;
    }
    *tokenizer = made;
    return STATUS_OK;
}

enum status unigram_text_train(const struct word_counts *counts,
                               const struct tokenizer_train_options *options,
                               struct tokenizer **tokenizer, struct error *error)
{
    if (unknown_id(options) < 0) {
        FAIL(error, STATUS_INPUT, "a unigram model needs the special token \"%s\"", unknown_name);
    }
    json_t *const rows = json_array();
    for (int64_t id = 0; id < options->special_count; id++) {
        const int failed =
            json_array_append_new(rows, json_pack("[s f]", options->specials[id], 0.0));
        INVARIANT(failed == 0);
    }
    struct weighted_word *const words =
        memory_take(counts->word_count + 1, sizeof *words, "words to train on");
    for (size_t i = 0; i < counts->word_count; i++) {
        words[i] = (struct weighted_word){.bytes = counts->text + counts->words[i].begin,
                                          .size_bytes = counts->words[i].size_bytes,
                                          .weight = counts->words[i].count};
    }
    const struct unigram_train_options wanted = {
        .piece_count = options->vocabulary - options->special_count,
        .coverage = character_coverage,
    };
    enum status status = train_unigram(words, counts->word_count, &wanted, rows, error);
    memory_release(words);
    if (status == STATUS_OK) {
        status = make(options, rows, tokenizer, error);
    }
    json_decref(rows);
    return status;
}
