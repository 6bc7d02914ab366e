/* data_pipeline/tokenizer: round trips, files, added tokens, and what is refused. Equality with the
 * reference is the matter of golden_tokenizers. */
#include "data_pipeline/tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/utf8.h"
#include "tests/support/suite.h"
#include "tests/unit/data_pipeline/tokenizer_fixture.h"

#define ROBERTA SHARDLM_GOLDEN_SMALL "/tokenizers/bpe_roberta"

/* Random text: runs of ASCII, letters of several scripts, blanks, zeros; valid UTF-8. */
static size_t random_text(struct random_stream *stream, char *text, size_t point_count)
{
    size_t size_bytes = 0;
    for (size_t i = 0; i < point_count; i++) {
        static const uint32_t bounds[] = {0x20, 0x80, 0x800, 0xd800, 0x110000};
        uint32_t point =
            (uint32_t)random_stream_below(stream, bounds[random_stream_below(stream, 5)]);
        point = point >= 0xd800 && point < 0xe000 ? ' ' : point;
        size_bytes += utf8_encode(point, text + size_bytes);
    }
    return size_bytes;
}

START_TEST(test_tokenizer_decodes_what_it_encoded)
{
    struct tokenizer *const tokenizer = tokenizer_opened(ROBERTA);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct random_stream stream = random_stream_make(random_key_make(2, RANDOM_PURPOSE_TEST, 0), 0);
    struct token_list list = {0};
    for (int round = 0; round < 2000; round++) {
        struct error error = {0};
        char text[100 * UTF8_SEQUENCE_BYTES];
        const size_t size_bytes = random_text(&stream, text, random_stream_below(&stream, 100));
        char *back = NULL;
        size_t back_bytes = 0;
        list.count = 0;
        tokenizer_encode(tokenizer, work, text, size_bytes, false, &list);
        CHECK_OK(
            tokenizer_decode(tokenizer, list.ids, list.count, false, &back, &back_bytes, &error),
            error);
        ck_assert_uint_eq(back_bytes, size_bytes);
        ck_assert_int_eq(memcmp(back, text, size_bytes), 0);
        memory_release(back);
    }
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_takes_any_bytes)
{
    struct tokenizer *const tokenizer = tokenizer_opened(ROBERTA);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct random_stream stream = random_stream_make(random_key_make(3, RANDOM_PURPOSE_TEST, 0), 0);
    struct token_list list = {0};
    struct token_places places = {0};
    for (int round = 0; round < 2000; round++) {
        char text[80];
        const size_t size_bytes = random_stream_below(&stream, sizeof text + 1);
        for (size_t i = 0; i < size_bytes; i++) {
            text[i] = (char)random_stream_below(&stream, 256);
        }
        tokenizer_encode_places(tokenizer, work, text, size_bytes, true, &list, &places);
        ck_assert_uint_eq(list.count, places.count);
        for (size_t i = 0; i < places.count; i++) {
            ck_assert(places.items[i].byte_begin <= places.items[i].byte_end);
            ck_assert(places.items[i].byte_end <= size_bytes);
        }
    }
    token_places_deinit(&places);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_takes_a_long_run_as_it_takes_a_short_one)
{
    enum { RUN_BYTES = 1 << 20, SHORT_BYTES = 1 << 6 };
    struct tokenizer *const tokenizer = tokenizer_opened(ROBERTA);
    struct tokenizer_work *const work = tokenizer_work_open();
    char *const text = memory_take(RUN_BYTES, 1, "test");
    memset(text, '=', RUN_BYTES);
    struct token_list list = {0};
    struct token_list few = {0};
    tokenizer_encode(tokenizer, work, text, RUN_BYTES, true, &list);
    tokenizer_encode(tokenizer, work, text, SHORT_BYTES, true, &few);
    ck_assert_uint_eq(list.count, few.count * (RUN_BYTES / SHORT_BYTES));
    ck_assert_int_eq(list.ids[0], few.ids[0]);
    token_list_deinit(&list);
    token_list_deinit(&few);
    memory_release(text);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_reads_special_tokens_only_when_asked)
{
    struct tokenizer *const tokenizer = tokenizer_opened(ROBERTA);
    const int32_t mask = tokenizer_specials(tokenizer).mask;
    struct token_list parsed = tokens_of(tokenizer, "a <mask>", true);
    struct token_list plain = tokens_of(tokenizer, "a <mask>", false);
    ck_assert_uint_eq(parsed.count, 2); /* the mask takes the blank on its left */
    ck_assert_int_eq(parsed.ids[1], mask);
    for (size_t i = 0; i < plain.count; i++) {
        ck_assert_int_ne(plain.ids[i], mask);
    }
    ck_assert(tokenizer_is_special(tokenizer, mask) &&
              !tokenizer_is_special(tokenizer, parsed.ids[0]));
    token_list_deinit(&parsed);
    token_list_deinit(&plain);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_saved_is_the_same_tokenizer)
{
    struct error error = {0};
    struct tokenizer *const tokenizer = tokenizer_opened(ROBERTA);
    char folder[PATH_BYTES];
    char json[PATH_BYTES];
    CHECK_OK(path_join(folder, suite_scratch(), "saved", &error), error);
    CHECK_OK(path_join(json, folder, "tokenizer.json", &error), error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    struct tokenizer *const again = tokenizer_opened(folder);
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(again)));
    CHECK_OK(file_remove(json, &error), error);
    struct tokenizer *const from_pair =
        tokenizer_opened(folder); /* vocab.json and merges.txt alone */
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(from_pair)));
    tokenizer_close(from_pair);
    tokenizer_close(again);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_refuses_ids_outside_the_vocabulary)
{
    struct tokenizer *const tokenizer = tokenizer_opened(ROBERTA);
    char *text = NULL;
    size_t size_bytes = 0;
    const int32_t above = (int32_t)tokenizer_vocabulary(tokenizer);
    const int32_t below = -1;
    CHECK_FAILS(tokenizer_decode(tokenizer, &above, 1, false, &text, &size_bytes, NULL),
                STATUS_INPUT);
    CHECK_FAILS(tokenizer_decode(tokenizer, &below, 1, false, &text, &size_bytes, NULL),
                STATUS_INPUT);
    tokenizer_close(tokenizer);
}
END_TEST

/* A whole tokenizer.json around a vocabulary, merges and added tokens. */
static enum status parse(const char *vocabulary, const char *merges, const char *added,
                         struct tokenizer **tokenizer, struct error *error)
{
    char text[2048];
    const int length =
        snprintf(text, sizeof text,
                 "{\"added_tokens\": %s, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                 "\"add_prefix_space\": false}, \"model\": {\"type\": \"BPE\", "
                 "\"vocab\": %s, \"merges\": %s}}",
                 added, vocabulary, merges);
    ck_assert_int_lt(length, (int)sizeof text);
    return tokenizer_parse(tokenizer, text, (size_t)length, "test.json", error);
}

START_TEST(test_tokenizer_refuses_damaged_parts_and_names_them)
{
    static const struct {
        const char *vocabulary;
        const char *merges;
        const char *added;
        const char *reason;
    } cases[] = {
        {"{}", "[]", "[]", "vocabulary has 0 tokens"},
        {"{\"a\": 0, \"b\": 0}", "[]", "[]", "same id 0"},
        {"{\"a\": 0, \"b\": 2}", "[]", "[]", "not an integer from 0 to 1"},
        {"{\"a\": 0, \"b\": -1}", "[]", "[]", "not an integer from 0 to 1"},
        {"{\"a\": 0, \"b\": \"1\"}", "[]", "[]", "not an integer from 0 to 1"},
        {"{\"a\": 0, \"a\": 1}", "[]", "[]", "duplicate object key"},
        {"{\"a\": 0, \"b\": 1}", "[\"a b\"]", "[]", "the result is not in the vocabulary"},
        {"{\"a\": 0, \"b\": 1}", "[\"a c\"]", "[]", "the right part is not in the vocabulary"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "[\"a b\", [\"a\", \"b\"]]", "[]", "a second time"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "[\"ab\"]", "[]", "not two tokens"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "[[\"a\"]]", "[]", "neither"},
        {"{\"a\": 0, \"b\": 1, \"ab\": 2}", "[7]", "[]", "neither"},
        {"{\"a\": 0}", "[]", "[{\"id\": 5, \"content\": \"<x>\"}]", "not an integer from 0 to 1"},
        {"{\"a\": 0}", "[]", "[{\"id\": 1, \"content\": \"a\"}]", "the vocabulary says 0"},
        {"{\"a\": 0}", "[]", "[{\"id\": 0, \"content\": \"a\"}, {\"id\": 0, \"content\": \"a\"}]",
         "twice"},
        {"{\"a\": 0}", "[]", "[{\"id\": 0, \"content\": \"a\", \"lstrip\": 3}]",
         "not true or false"},
        {"{\"a\": 0, \"\": 1}", "[]", "[{\"id\": 1, \"content\": \"\"}]", "is empty"},
        {"7", "[]", "[]", "\"vocab\" is not an object"},
        {"{\"a\": 0}", "{}", "[]", "\"merges\" is not an array"},
        {"{\"a\": 0}", "[]", "{}", "\"added_tokens\" is not an array"},
    };
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error = {0};
        struct tokenizer *tokenizer = NULL;
        CHECK_FAILS(parse(cases[i].vocabulary, cases[i].merges, cases[i].added, &tokenizer, &error),
                    STATUS_FORMAT);
        ck_assert_msg(strstr(error.message, cases[i].reason) != NULL, "%s", error.message);
        ck_assert_msg(strstr(error.message, "test.json") != NULL, "%s", error.message);
        ck_assert_ptr_null(tokenizer);
    }
}
END_TEST

START_TEST(test_tokenizer_refuses_other_kinds_by_name)
{
    static const char *const texts[] = {"{\"model\": {\"type\": \"WordLevel\", \"vocab\": {}}}",
                                        "{\"model\": {\"type\": \"CharBPE\", \"vocab\": []}}"};
    static const char *const names[] = {"WordLevel", "CharBPE"};
    for (int i = 0; i < 2; i++) {
        struct error error = {0};
        struct tokenizer *tokenizer = NULL;
        CHECK_FAILS(tokenizer_parse(&tokenizer, texts[i], strlen(texts[i]), "test.json", &error),
                    STATUS_FORMAT);
        ck_assert_ptr_nonnull(strstr(error.message, names[i]));
    }
}
END_TEST

START_TEST(test_tokenizer_refuses_every_truncation_of_its_file)
{
    struct error error = {0};
    char *text = NULL;
    size_t size_bytes = 0;
    CHECK_OK(file_read(ROBERTA "/tokenizer.json", 1 << 20, &text, &size_bytes, &error), error);
    for (size_t cut = 0; cut + 2 < size_bytes; cut += 997) {
        struct tokenizer *tokenizer = NULL;
        CHECK_FAILS(tokenizer_parse(&tokenizer, text, cut, "test.json", &error), STATUS_FORMAT);
    }
    memory_release(text);
}
END_TEST

START_TEST(test_tokenizer_refuses_a_folder_without_one)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_FAILS(tokenizer_open(&tokenizer, suite_scratch(), &error), STATUS_INPUT);
}
END_TEST

START_TEST(test_tokenizer_honours_the_flags_of_added_tokens)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(
        parse("{\"a\": 0, \"\u0120\": 1, \"<\": 2, \"x\": 3}", "[]",
              "[{\"id\": 4, \"content\": \"<x\", \"single_word\": true, \"normalized\": false},"
              " {\"id\": 5, \"content\": \"<xx\", \"rstrip\": true, \"lstrip\": true, "
              "\"normalized\": true}]",
              &tokenizer, &error),
        error);
    static const struct {
        const char *text;
        int32_t ids[8];
        size_t count;
    } cases[] = {
        {"<x a", {4, 1, 0}, 3},      /* alone */
        {"a<x", {0, 2, 3}, 3},       /* touched by a word character */
        {"a  <xx  a", {0, 5, 0}, 3}, /* takes white space on both sides */
        {"<xa", {2, 3, 0}, 3},       {"<xx<xx", {5, 5}, 2},
    };
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct token_list list = tokens_of(tokenizer, cases[i].text, true);
        ck_assert_msg(list.count == cases[i].count, "\"%s\" gives %zu ids", cases[i].text,
                      list.count);
        ck_assert_int_eq(memcmp(list.ids, cases[i].ids, list.count * sizeof *list.ids), 0);
        token_list_deinit(&list);
    }
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_does_not_take_added_tokens_for_words_of_the_model)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    static const char text[] = "{\"added_tokens\": [{\"id\": 3, \"content\": \"ab\", "
                               "\"single_word\": true}], \"pre_tokenizer\": "
                               "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"model\": "
                               "{\"ignore_merges\": true, \"vocab\": "
                               "{\"a\": 0, \"b\": 1, \"7\": 2}, \"merges\": []}}";
    CHECK_OK(tokenizer_parse(&tokenizer, text, sizeof text - 1, "test.json", &error), error);
    struct token_list list = tokens_of(tokenizer, "ab7", true);
    ck_assert_uint_eq(list.count, 3);
    token_list_deinit(&list);
    tokenizer_close(tokenizer);
}
END_TEST

int main(void)
{
    return suite_run(
        "tokenizer",
        (const TTest *[]){test_tokenizer_decodes_what_it_encoded, test_tokenizer_takes_any_bytes,
                          test_tokenizer_takes_a_long_run_as_it_takes_a_short_one,
                          test_tokenizer_reads_special_tokens_only_when_asked,
                          test_tokenizer_saved_is_the_same_tokenizer,
                          test_tokenizer_refuses_ids_outside_the_vocabulary,
                          test_tokenizer_refuses_damaged_parts_and_names_them,
                          test_tokenizer_refuses_other_kinds_by_name,
                          test_tokenizer_refuses_every_truncation_of_its_file,
                          test_tokenizer_refuses_a_folder_without_one,
                          test_tokenizer_honours_the_flags_of_added_tokens,
                          test_tokenizer_does_not_take_added_tokens_for_words_of_the_model, NULL});
}
