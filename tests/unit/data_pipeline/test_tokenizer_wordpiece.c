/* data_pipeline: WordPiece behind the tokenizer's calls: files, settings, words, what is refused.
 * Equality with the reference is the matter of golden_tokenizers. */
#include "data_pipeline/tokenizer_wordpiece.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/tokenizer_files.h"
#include "tests/support/suite.h"
#include "tests/unit/data_pipeline/tokenizer_fixture.h"

#define UNCASED SHARDLM_GOLDEN_SMALL "/tokenizers/wordpiece_uncased"

static void write_text(const char *folder, const char *name, const char *text)
{
    struct error error = {0};
    char path[PATH_BYTES];
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, name, &error), error);
    CHECK_OK(file_write_durable(path, text, strlen(text), &error), error);
}

START_TEST(test_wordpiece_names_its_special_tokens)
{
    struct tokenizer *const tokenizer = tokenizer_opened(UNCASED);
    const struct tokenizer_specials specials = tokenizer_specials(tokenizer);
    ck_assert_str_eq(tokenizer_token(tokenizer, specials.bos), "[CLS]");
    ck_assert_str_eq(tokenizer_token(tokenizer, specials.eos), "[SEP]");
    ck_assert_str_eq(tokenizer_token(tokenizer, specials.pad), "[PAD]");
    ck_assert_str_eq(tokenizer_token(tokenizer, specials.unk), "[UNK]");
    ck_assert_str_eq(tokenizer_token(tokenizer, specials.mask), "[MASK]");
    ck_assert(tokenizer_is_special(tokenizer, specials.mask));
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_wordpiece_begins_a_word_with_all_but_continuations)
{
    struct tokenizer *const tokenizer = tokenizer_opened(UNCASED);
    for (int32_t id = 0; id < tokenizer_vocabulary(tokenizer); id++) {
        const bool inner = strncmp(tokenizer_token(tokenizer, id), "##", 2) == 0;
        ck_assert_int_eq(tokenizer_begins_word(tokenizer, id), !inner);
    }
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_wordpiece_saved_is_the_same_tokenizer)
{
    struct error error = {0};
    struct tokenizer *const tokenizer = tokenizer_opened(UNCASED);
    char folder[PATH_BYTES];
    char json[PATH_BYTES];
    CHECK_OK(path_join(folder, suite_scratch(), "saved", &error), error);
    CHECK_OK(path_join(json, folder, "tokenizer.json", &error), error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    struct tokenizer *const again = tokenizer_opened(folder);
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(again)));
    CHECK_OK(file_remove(json, &error), error);
    struct tokenizer *const from_lines = tokenizer_opened(folder); /* vocab.txt alone */
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(from_lines)));
    tokenizer_close(from_lines);
    tokenizer_close(again);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_wordpiece_takes_its_settings_from_the_config_beside_vocab_txt)
{
    struct error error = {0};
    char folder[PATH_BYTES];
    CHECK_OK(path_join(folder, suite_scratch(), "lines", &error), error);
    write_text(folder, "vocab.txt", "[UNK]\na\n##b\r\nA\n\xc3\xa9\ne\n[CLS]\n[SEP]\n");
    struct tokenizer *const uncased = tokenizer_opened(folder);
    tokens_check(uncased, "Ab \xc3\x89", true, (const char *[]){"a", "##b", "e", NULL});
    write_text(folder, "tokenizer_config.json", "{\"do_lower_case\": false}");
    struct tokenizer *const cased = tokenizer_opened(folder);
    tokens_check(cased, "Ab \xc3\xa9", true, (const char *[]){"A", "##b", "\xc3\xa9", NULL});
    ck_assert(!digest_equal(tokenizer_fingerprint(uncased), tokenizer_fingerprint(cased)));
    tokenizer_close(cased);
    tokenizer_close(uncased);
}
END_TEST

START_TEST(test_wordpiece_takes_any_bytes)
{
    struct tokenizer *const tokenizer = tokenizer_opened(UNCASED);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct random_stream stream = random_stream_make(random_key_make(4, RANDOM_PURPOSE_TEST, 0), 0);
    struct token_list list = {0};
    struct token_list alone = {0};
    struct token_places places = {0};
    for (int round = 0; round < 5000; round++) {
        char text[80];
        const size_t size_bytes = random_stream_below(&stream, sizeof text + 1);
        for (size_t i = 0; i < size_bytes; i++) {
            text[i] = (char)random_stream_below(&stream, round % 2 == 0 ? 256 : 128);
        }
        tokenizer_encode_places(tokenizer, work, text, size_bytes, true, &list, &places);
        alone.count = 0;
        tokenizer_encode(tokenizer, work, text, size_bytes, true, &alone);
        ck_assert_uint_eq(list.count, places.count);
        ck_assert_uint_eq(list.count, alone.count); /* the quick way finds the same */
        for (size_t i = 0; i < places.count; i++) {
            ck_assert_int_eq(list.ids[i], alone.ids[i]);
            ck_assert(places.items[i].byte_begin <= places.items[i].byte_end);
            ck_assert(places.items[i].byte_end <= size_bytes);
        }
    }
    token_places_deinit(&places);
    token_list_deinit(&alone);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_wordpiece_takes_very_long_words_as_unknown)
{
    enum { RUN_BYTES = 1 << 22 };
    struct tokenizer *const tokenizer = tokenizer_opened(UNCASED);
    char *const text = memory_take(RUN_BYTES + 1, 1, "test");
    memset(text, 'a', RUN_BYTES);
    struct token_list list = tokens_of(tokenizer, text, true);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_int_eq(list.ids[0], tokenizer_specials(tokenizer).unk);
    token_list_deinit(&list);
    memory_release(text);
    tokenizer_close(tokenizer);
}
END_TEST

/* A whole tokenizer.json around a model and other parts. */
static enum status parse(const char *model, const char *parts, struct tokenizer **tokenizer,
                         struct error *error)
{
    char text[2048];
    const int length =
        snprintf(text, sizeof text, "{\"model\": {\"type\": \"WordPiece\", %s}, %s}", model, parts);
    ck_assert_int_lt(length, (int)sizeof text);
    return tokenizer_parse(tokenizer, text, (size_t)length, "test.json", error);
}

#define MODEL                                                                                      \
    "\"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", "                            \
    "\"max_input_chars_per_word\": 100, \"vocab\": "
#define SPLIT "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}"

START_TEST(test_wordpiece_refuses_damaged_parts_and_names_them)
{
    static const struct {
        const char *model;
        const char *parts;
        const char *reason;
    } cases[] = {
        {MODEL "{\"a\": 0}", SPLIT, "unknown token \"[UNK]\" is not in the vocabulary"},
        {MODEL "{}", SPLIT, "vocabulary has 0 tokens"},
        {MODEL "[\"[UNK]\"]", SPLIT, "\"vocab\" is not an object"},
        {"\"vocab\": {\"[UNK]\": 0}", SPLIT, "unk_token"},
        {MODEL "{\"[UNK]\": 0}", "\"pre_tokenizer\": null", "pre_tokenizer \"null\""},
        {MODEL "{\"[UNK]\": 0}", "\"pre_tokenizer\": {\"type\": \"Metaspace\"}", "Metaspace"},
        {MODEL "{\"[UNK]\": 0}", SPLIT ", \"normalizer\": {\"type\": \"NFKC\"}", "NFKC"},
        {MODEL "{\"[UNK]\": 0}", SPLIT ", \"normalizer\": 3", "normalizer \"?\""},
        {MODEL "{\"[UNK]\": 0}",
         SPLIT ", \"normalizer\": {\"type\": \"BertNormalizer\", \"lowercase\": 1}", "lowercase"},
        {MODEL "{\"[UNK]\": 0}",
         SPLIT ", \"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"_\"}", "decoder's prefix"},
        {MODEL "{\"[UNK]\": 0}", SPLIT ", \"decoder\": {\"type\": \"ByteLevel\"}", "ByteLevel"},
    };
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error = {0};
        struct tokenizer *tokenizer = NULL;
        CHECK_FAILS(parse(cases[i].model, cases[i].parts, &tokenizer, &error), STATUS_FORMAT);
        ck_assert_msg(strstr(error.message, cases[i].reason) != NULL, "%s", error.message);
        ck_assert_msg(strstr(error.message, "test.json") != NULL, "%s", error.message);
        ck_assert_ptr_null(tokenizer);
    }
}
END_TEST

START_TEST(test_wordpiece_refuses_a_damaged_vocab_txt)
{
    static const struct {
        const char *text;
        const char *reason;
    } cases[] = {
        {"[UNK]\na\na\n", "line 3: token \"a\" stands there twice"},
        {"a\n", "\"[UNK]\" is not in the vocabulary"},
        {"[UNK]\n\xff\n", "line 2 is not UTF-8"},
        {"", "\"[UNK]\" is not in the vocabulary"},
    };
    struct error error = {0};
    char folder[PATH_BYTES];
    CHECK_OK(path_join(folder, suite_scratch(), "damaged", &error), error);
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error found = {0};
        struct tokenizer *tokenizer = NULL;
        write_text(folder, "vocab.txt", cases[i].text);
        CHECK_FAILS(tokenizer_open(&tokenizer, folder, &found), STATUS_FORMAT);
        ck_assert_msg(strstr(found.message, cases[i].reason) != NULL, "%s", found.message);
    }
}
END_TEST

START_TEST(test_wordpiece_finds_added_words_in_normal_text)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(parse(MODEL "{\"[UNK]\": 0, \"a\": 1, \"##n\": 2}",
                   SPLIT ", \"normalizer\": {\"type\": \"BertNormalizer\"}, \"added_tokens\": "
                         "[{\"id\": 3, \"content\": \"New\"}, "
                         "{\"id\": 4, \"content\": \"Raw\", \"normalized\": false}]",
                   &tokenizer, &error),
             error);
    tokens_check(tokenizer, "a NEW Raw raw", true,
                 (const char *[]){"a", "New", "Raw", "[UNK]", NULL});
    tokens_check(tokenizer, "an", true, (const char *[]){"a", "##n", NULL});
    tokens_check(tokenizer, "anew", true, (const char *[]){"a", "New", NULL});
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_wordpiece_keeps_added_tokens_that_normalise_to_nothing)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    char folder[PATH_BYTES];
    CHECK_OK(parse(MODEL "{\"[UNK]\": 0, \"a\": 1}",
                   SPLIT ", \"normalizer\": {\"type\": \"BertNormalizer\"}, \"added_tokens\": "
                         "[{\"id\": 2, \"content\": \"\\u0301\"}]",
                   &tokenizer, &error),
             error);
    tokens_check(tokenizer, "a\xcc\x81", true, (const char *[]){"a", NULL});
    CHECK_OK(path_join(folder, suite_scratch(), "nothing", &error), error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    struct tokenizer *const again = tokenizer_opened(folder);
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(again)));
    tokenizer_close(again);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_wordpiece_decodes_with_blanks_where_text_has_them)
{
    struct error error = {0};
    struct tokenizer *const tokenizer = tokenizer_opened(UNCASED);
    struct token_list list = tokens_of(tokenizer, "the, the.", true);
    char *text = NULL;
    size_t size_bytes = 0;
    CHECK_OK(tokenizer_decode(tokenizer, list.ids, list.count, true, &text, &size_bytes, &error),
             error);
    ck_assert_str_eq(text, "the, the.");
    memory_release(text);
    token_list_deinit(&list);
    tokenizer_close(tokenizer);
}
END_TEST

int main(void)
{
    return suite_run(
        "tokenizer_wordpiece",
        (const TTest *[]){test_wordpiece_names_its_special_tokens,
                          test_wordpiece_begins_a_word_with_all_but_continuations,
                          test_wordpiece_saved_is_the_same_tokenizer,
                          test_wordpiece_takes_its_settings_from_the_config_beside_vocab_txt,
                          test_wordpiece_takes_any_bytes,
                          test_wordpiece_takes_very_long_words_as_unknown,
                          test_wordpiece_refuses_damaged_parts_and_names_them,
                          test_wordpiece_refuses_a_damaged_vocab_txt,
                          test_wordpiece_finds_added_words_in_normal_text,
                          test_wordpiece_keeps_added_tokens_that_normalise_to_nothing,
                          test_wordpiece_decodes_with_blanks_where_text_has_them, NULL});
}
