/* data_pipeline: unigram models of a tokenizer.json: normalisers, words, places, decoding, files.
 * Equality with the reference is the matter of golden_tokenizers and, by hand, of
 * tests/golden/compare_tokenizers.py. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_files.h"
#include "tests/support/suite.h"
#include "tests/unit/data_pipeline/tokenizer_fixture.h"

#define SYMBOL "\xe2\x96\x81" /* U+2581 */

static const char text_of_file[] =
    "{\"added_tokens\": [{\"id\": 8, \"content\": \"<mask>\", \"special\": true, \"lstrip\": "
    "true}],"
    " \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKC\"},"
    "  {\"type\": \"Replace\", \"pattern\": {\"String\": \"''\"}, \"content\": \"b\"},"
    "  {\"type\": \"Lowercase\"}]},"
    " \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
    "\"WhitespaceSplit\"},"
    "  {\"type\": \"Metaspace\", \"replacement\": \"" SYMBOL
    "\", \"prepend_scheme\": \"always\"}]},"
    " \"decoder\": {\"type\": \"Metaspace\", \"replacement\": \"" SYMBOL
    "\", \"prepend_scheme\": \"always\"},"
    " \"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"<unk>\", 0], [\"" SYMBOL
    "\", -3], [\"a\", -2], [\"b\", -2.5], [\"" SYMBOL "ab\", -4], [\"ab\", -4.25], [\"\xc3\xa9\", "
    "-6], [\"" SYMBOL "a\", -4]]}}";

START_TEST(test_metaspace_takes_the_best_pieces_of_each_word)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    ids_check(tokenizer, "ab  aba\tb", (const int32_t[]){4, 4, 2, 1, 3}, 5);
    ids_check(tokenizer, "AB", (const int32_t[]){4}, 1);
    ids_check(tokenizer, "a''", (const int32_t[]){4}, 1);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_metaspace_composes_characters)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    ids_check(tokenizer, "ae\xcc\x81 E\xcc\x81", (const int32_t[]){7, 6, 1, 6}, 4);
    ids_check(tokenizer, "\xef\xbd\x81", (const int32_t[]){7}, 1); /* full-width a */
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_metaspace_finds_added_tokens)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    ids_check(tokenizer, "ab <mask>ab", (const int32_t[]){4, 8, 4}, 3);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_metaspace_fuses_unknown_characters)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    ids_check(tokenizer, "xyz", (const int32_t[]){1, 0}, 2);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_metaspace_places_count_the_original_characters)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    struct token_places places = {0};
    const char text[] = "ab ''a <mask>";
    tokenizer_encode_places(tokenizer, work, text, strlen(text), true, &list, &places);
    const int32_t ids[] = {4, 1, 3, 2, 8};
    const size_t begins[] = {0, 4, 4, 5, 6};
    const size_t ends[] = {2, 5, 5, 6, 13};
    const int64_t words[] = {0, 1, 1, 1, 2};
    ck_assert_uint_eq(list.count, ARRAY_LENGTH(ids));
    for (size_t i = 0; i < list.count; i++) {
        ck_assert_int_eq(list.ids[i], ids[i]);
        ck_assert_uint_eq(places.items[i].byte_begin, begins[i]);
        ck_assert_uint_eq(places.items[i].byte_end, ends[i]);
        ck_assert_int_eq(places.items[i].word, words[i]);
    }
    token_places_deinit(&places);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_metaspace_decodes_to_words_with_blanks)
{
    struct error error = {0};
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    char *text = NULL;
    size_t size_bytes = 0;
    CHECK_OK(tokenizer_decode(tokenizer, (const int32_t[]){4, 4, 2, 8}, 4, true, &text, &size_bytes,
                              &error),
             error);
    ck_assert_str_eq(text, "ab aba");
    memory_release(text);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_metaspace_saved_is_the_same_tokenizer)
{
    struct error error = {0};
    char folder[PATH_BYTES];
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    struct tokenizer *again = NULL;
    CHECK_OK(path_join(folder, suite_scratch(), "metaspace", &error), error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    CHECK_OK(tokenizer_open(&again, folder, &error), error);
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(again)));
    tokenizer_close(again);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_metaspace_of_other_scores_is_another_tokenizer)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    char *const changed = memory_text(text_of_file);
    char *const score = strstr(changed, "-4.25");
    ck_assert_ptr_nonnull(score);
    score[4] = '6';
    struct tokenizer *const other = tokenizer_parsed(changed);
    ck_assert(!digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(other)));
    memory_release(changed);
    tokenizer_close(other);
    tokenizer_close(tokenizer);
}
END_TEST

/* A word that no cache holds, of 1 MB: the time is in the timeout of the test. */
START_TEST(test_metaspace_encodes_a_very_long_word_in_linear_time)
{
    enum { SIZE_BYTES = 1000000 };
    struct tokenizer *const tokenizer = tokenizer_parsed(text_of_file);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    char *const text = memory_take(SIZE_BYTES, 1, "a long word");
    memset(text, 'a', SIZE_BYTES);
    tokenizer_encode(tokenizer, work, text, SIZE_BYTES, true, &list);
    ck_assert_uint_eq(list.count, SIZE_BYTES); /* "▁a", then "a" */
    memory_release(text);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

/* Damage anywhere is refused or harmless, never undefined (the sanitizers look on). */
START_TEST(test_metaspace_survives_damaged_files)
{
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    struct random_stream stream = random_stream_make(random_key_make(7, RANDOM_PURPOSE_TEST, 0), 0);
    for (int round = 0; round < 2000; round++) {
        char *const text = memory_text(text_of_file);
        size_t size_bytes = strlen(text);
        for (int k = 0; k < 1 + round % 3; k++) {
            const size_t at = random_stream_below(&stream, size_bytes);
            text[at] = (char)(' ' + random_stream_below(&stream, 95));
        }
        size_bytes = round % 7 == 0 ? random_stream_below(&stream, size_bytes) : size_bytes;
        struct tokenizer *tokenizer = NULL;
        struct error error = {0};
        if (tokenizer_parse(&tokenizer, text, size_bytes, "x", &error) == STATUS_OK) {
            list.count = 0;
            tokenizer_encode(tokenizer, work, "ab''a <mask> x", 14, true, &list);
            tokenizer_close(tokenizer);
        } else {
            ck_assert_uint_gt(strlen(error.message), 0);
        }
        memory_release(text);
    }
    token_list_deinit(&list);
    tokenizer_work_close(work);
}
END_TEST

int main(void)
{
    return suite_run(
        "tokenizer_metaspace",
        (const TTest *[]){
            test_metaspace_takes_the_best_pieces_of_each_word, test_metaspace_composes_characters,
            test_metaspace_finds_added_tokens, test_metaspace_fuses_unknown_characters,
            test_metaspace_places_count_the_original_characters,
            test_metaspace_decodes_to_words_with_blanks, test_metaspace_saved_is_the_same_tokenizer,
            test_metaspace_of_other_scores_is_another_tokenizer,
            test_metaspace_encodes_a_very_long_word_in_linear_time,
            test_metaspace_survives_damaged_files, NULL});
}
