/* data_pipeline: BPE with the parts of a tokenizer.json: normalisers, splitters, fallback to bytes,
 * affixes, decoders, added tokens, files. Equality with the reference is the matter of
 * golden_tokenizers and, by hand, of tests/golden/compare_tokenizers.py. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_files.h"
#include "tests/support/suite.h"
#include "tests/unit/data_pipeline/tokenizer_fixture.h"

#define SYMBOL "\xe2\x96\x81" /* U+2581 */

enum { FILE_BYTES = 8192 };

/* Like Llama 2: 0 <unk>, 1 ▁, 2 a, 3 b, 4 ab, 5 ▁ab, 6 <0xC3>, 7 <0xA9>, 8 <mask>, 9 New */
static const char llama[] =
    "{\"added_tokens\": [{\"id\": 8, \"content\": \"<mask>\", \"special\": true, \"lstrip\": true},"
    " {\"id\": 9, \"content\": \"New\", \"single_word\": true, \"normalized\": true}],"
    " \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": ["
    "  {\"type\": \"Prepend\", \"prepend\": \"" SYMBOL "\"},"
    "  {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" SYMBOL "\"}]},"
    " \"pre_tokenizer\": null,"
    " \"decoder\": {\"type\": \"Sequence\", \"decoders\": ["
    "  {\"type\": \"Replace\", \"pattern\": {\"String\": \"" SYMBOL "\"}, \"content\": \" \"},"
    "  {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"},"
    "  {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]},"
    " \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": true,"
    "  \"byte_fallback\": true, \"vocab\": {\"<unk>\": 0, \"" SYMBOL "\": 1, \"a\": 2, \"b\": 3,"
    "  \"ab\": 4, \"" SYMBOL "ab\": 5, \"<0xC3>\": 6, \"<0xA9>\": 7},"
    "  \"merges\": [\"a b\", [\"" SYMBOL "\", \"ab\"]]}}";

/* Byte-level BPE over "ab12'" and a blank ("Ġ") with this pre-tokeniser, and one merge:
 * 0 a, 1 b, 2 1, 3 2, 4 ', 5 Ġ, 6 ab, 7 12 */
static struct tokenizer *parse_split(const char *splitter, const char *settings)
{
    char text[FILE_BYTES];
    const int length = snprintf(
        text, sizeof text,
        "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [%s, {\"type\": "
        "\"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]},"
        " \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", %s\"vocab\": {"
        "\"a\": 0, \"b\": 1, \"1\": 2, \"2\": 3, \"'\": 4, \"\xc4\xa0\": 5, \"ab\": 6, \"12\": 7},"
        " \"merges\": [\"a b\"]}}",
        splitter, settings);
    ck_assert_int_lt(length, (int)sizeof text);
    return tokenizer_parsed(text);
}

static void check_text(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                       const char *expected)
{
    struct error error = {0};
    char *text = NULL;
    size_t size_bytes = 0;
    CHECK_OK(tokenizer_decode(tokenizer, ids, count, true, &text, &size_bytes, &error), error);
    ck_assert_str_eq(text, expected);
    memory_release(text);
}

START_TEST(test_charbpe_merges_characters_of_normalised_text)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(llama);
    ids_check(tokenizer, "ab ab", (const int32_t[]){5, 5}, 2);
    ids_check(tokenizer, "ba", (const int32_t[]){1, 3, 2}, 3);
    ids_check(tokenizer, "", NULL, 0);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_falls_back_to_bytes_or_to_one_unknown)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(llama);
    ids_check(tokenizer, "a\xc3\xa9", (const int32_t[]){1, 2, 6, 7}, 4);
    ids_check(tokenizer, "axyb", (const int32_t[]){1, 2, 0, 3}, 4);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_finds_added_tokens_in_normal_form)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(llama);
    ids_check(tokenizer, "ab <mask>ab", (const int32_t[]){5, 8, 5}, 3);
    ids_check(tokenizer, "New", (const int32_t[]){9}, 1);
    ids_check(tokenizer, "ab<mask>New", (const int32_t[]){5, 8, 9}, 3);
    /* its normal form is "▁New", which a letter touches here */
    ids_check(tokenizer, "ab New", (const int32_t[]){5, 1, 0}, 3);
    ids_check(tokenizer, "Newa", (const int32_t[]){1, 0, 2}, 3);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_places_count_the_original_characters)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(llama);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    struct token_places places = {0};
    const char text[] = "ab \xc3\xa9xy";
    tokenizer_encode_places(tokenizer, work, text, strlen(text), true, &list, &places);
    const int32_t ids[] = {5, 1, 6, 7, 0};
    const size_t begins[] = {0, 2, 3, 3, 4};
    const size_t ends[] = {2, 3, 4, 4, 6};
    ck_assert_uint_eq(list.count, ARRAY_LENGTH(ids));
    for (size_t i = 0; i < list.count; i++) {
        ck_assert_int_eq(list.ids[i], ids[i]);
        ck_assert_uint_eq(places.items[i].character_begin, begins[i]);
        ck_assert_uint_eq(places.items[i].character_end, ends[i]);
        ck_assert_int_eq(places.items[i].word, 0);
    }
    token_places_deinit(&places);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_decodes_bytes_as_characters)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(llama);
    check_text(tokenizer, (const int32_t[]){5, 1, 6, 7, 8, 2}, 6,
               "ab \xc3\xa9"
               "a");
    check_text(tokenizer, (const int32_t[]){2, 7, 6}, 3, "a\xef\xbf\xbd\xef\xbf\xbd");
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_cuts_at_a_pattern)
{
    const char pattern[] = "{\"type\": \"Split\", \"pattern\": {\"Regex\": "
                           "\"(?i:'A)|\\\\p{N}| ?\\\\p{L}\"}, \"behavior\": \"Isolated\"}";
    struct tokenizer *const tokenizer = parse_split(pattern, "");
    ids_check(tokenizer, "ab 12", (const int32_t[]){0, 1, 5, 2, 3}, 5);
    ids_check(tokenizer, "'ab", (const int32_t[]){4, 0, 1}, 3);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_knows_letters_of_a_newer_unicode_than_the_library)
{
    const char pattern[] = "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{L}+\"}, "
                           "\"behavior\": \"Removed\"}";
    struct tokenizer *const tokenizer = parse_split(pattern, "");
    ids_check(tokenizer,
              "1\xe1\xb2\x89"
              "2",
              (const int32_t[]){2, 3}, 2); /* U+1C89, of Unicode 16 */
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_behaviors_of_a_split)
{
    static const struct {
        const char *behavior;
        const char *invert;
        int32_t ids[8];
        size_t count;
    } cases[] = {
        {"Removed", "false", {6, 6}, 2},
        {"Removed", "true", {4, 4}, 2},
        {"Isolated", "false", {6, 4, 4, 6}, 4},
        {"MergedWithPrevious", "false", {6, 4, 4, 6}, 4},
        {"MergedWithNext", "false", {6, 4, 4, 6}, 4},
        {"Contiguous", "false", {6, 4, 4, 6}, 4},
    };
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        char splitter[FILE_BYTES / 2];
        (void)snprintf(splitter, sizeof splitter,
                       "{\"type\": \"Split\", \"pattern\": {\"String\": \"'\"}, \"behavior\": "
                       "\"%s\", \"invert\": %s}",
                       cases[i].behavior, cases[i].invert);
        struct tokenizer *const tokenizer = parse_split(splitter, "");
        ids_check(tokenizer, "ab''ab", cases[i].ids, cases[i].count);
        tokenizer_close(tokenizer);
    }
}
END_TEST

/* Which words there are is seen by the numbers of words. */
static int64_t word_count(const char *splitter, const char *text)
{
    struct tokenizer *const tokenizer = parse_split(splitter, "");
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    struct token_places places = {0};
    tokenizer_encode_places(tokenizer, work, text, strlen(text), true, &list, &places);
    ck_assert_uint_gt(places.count, 0);
    const int64_t count = places.items[places.count - 1].word + 1;
    token_places_deinit(&places);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
    return count;
}

START_TEST(test_charbpe_cuts_words_as_each_splitter_does)
{
    static const struct {
        const char *splitter;
        const char *text;
        int64_t words;
    } cases[] = {
        {"{\"type\": \"Digits\", \"individual_digits\": true}", "ab12 1", 5},
        {"{\"type\": \"Digits\", \"individual_digits\": false}", "ab12 1", 4},
        {"{\"type\": \"Punctuation\"}", "ab''1", 4},
        {"{\"type\": \"Punctuation\", \"behavior\": \"Contiguous\"}", "ab''1", 3},
        {"{\"type\": \"Whitespace\"}", "ab ''1 2", 4},
        {"{\"type\": \"WhitespaceSplit\"}", " ab ''1  2", 3},
        {"{\"type\": \"BertPreTokenizer\"}", " ab ''1  2", 5},
        {"{\"type\": \"ByteLevel\", \"add_prefix_space\": false}", "ab 12 'a", 4},
        {"{\"type\": \"Split\", \"pattern\": {\"String\": \"'\"}, \"behavior\": "
         "\"MergedWithPrevious\"}",
         "ab''ab", 3},
        {"{\"type\": \"Split\", \"pattern\": {\"String\": \"'\"}, \"behavior\": "
         "\"MergedWithNext\"}",
         "ab''ab", 3},
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"'\"}, \"behavior\": \"Contiguous\"}",
         "ab''ab", 3},
    };
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        ck_assert_msg(word_count(cases[i].splitter, cases[i].text) == cases[i].words, "case %d", i);
    }
}
END_TEST

START_TEST(test_charbpe_takes_known_words_whole_if_it_ignores_merges)
{
    const char splitter[] = "{\"type\": \"WhitespaceSplit\"}";
    struct tokenizer *const merging = parse_split(splitter, "");
    struct tokenizer *const ignoring = parse_split(splitter, "\"ignore_merges\": true, ");
    ids_check(merging, "12", (const int32_t[]){2, 3}, 2);
    ids_check(ignoring, "12", (const int32_t[]){7}, 1);
    tokenizer_close(ignoring);
    tokenizer_close(merging);
}
END_TEST

START_TEST(test_charbpe_marks_the_ends_of_words)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(
        "{\"normalizer\": {\"type\": \"Lowercase\"}, \"pre_tokenizer\": {\"type\": "
        "\"WhitespaceSplit\"}, \"decoder\": {\"type\": \"BPEDecoder\", \"suffix\": "
        "\"</w>\"}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"?\", "
        "\"end_of_word_suffix\": \"</w>\", \"vocab\": {\"?\": 0, \"a\": 1, \"b</w>\": 2, "
        "\"ab</w>\": 3, \"b\": 4}, \"merges\": [\"a b</w>\"]}}");
    ids_check(tokenizer, "AB bab", (const int32_t[]){3, 4, 3}, 3);
    ids_check(tokenizer, "ba", (const int32_t[]){4, 0}, 2);
    check_text(tokenizer, (const int32_t[]){3, 4, 3}, 3, "ab bab");
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_marks_what_goes_on)
{
    struct tokenizer *const tokenizer = tokenizer_parsed(
        "{\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"model\": {\"type\": \"BPE\", "
        "\"continuing_subword_prefix\": \"##\", \"vocab\": {\"a\": 0, \"##b\": 1, \"ab\": 2, "
        "\"##c\": 3, \"##bc\": 4}, \"merges\": [\"##b ##c\", \"a ##b\"]}}");
    ids_check(tokenizer, "ab abc", (const int32_t[]){2, 0, 4}, 3);
    ck_assert(tokenizer_begins_word(tokenizer, 2));
    ck_assert(!tokenizer_begins_word(tokenizer, 4));
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_saved_is_the_same_tokenizer)
{
    struct error error = {0};
    char folder[PATH_BYTES];
    struct tokenizer *const tokenizer = tokenizer_parsed(llama);
    struct tokenizer *again = NULL;
    CHECK_OK(path_join(folder, suite_scratch(), "charbpe", &error), error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    CHECK_OK(tokenizer_open(&again, folder, &error), error);
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(again)));
    ids_check(again, "ab <mask>\xc3\xa9", (const int32_t[]){5, 8, 1, 6, 7}, 5);
    tokenizer_close(again);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_charbpe_refuses_what_it_cannot_do_and_says_what)
{
    static const struct {
        const char *splitter;
        const char *message;
    } cases[] = {
        {"{\"type\": \"UnicodeScripts\"}", "pre_tokenizer \"UnicodeScripts\" is not supported"},
        {"{\"type\": \"Split\", \"pattern\": {\"String\": \"\"}, \"behavior\": \"Isolated\"}",
         "expected a \"pattern\""},
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\"}, \"behavior\": \"Doubled\"}",
         "behavior \"Doubled\" is not supported"},
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a\"}, \"behavior\": \"Isolated\"}",
         "pattern \"(a\": end pattern with unmatched parenthesis"},
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"((a{900}){900}){900}\"}, \"behavior\": "
         "\"Isolated\"}",
         "repeats of at most"},
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[[:punct:]]\"}, \"behavior\": "
         "\"Isolated\"}",
         "classes like [:punct:]"},
        {"{\"type\": \"Metaspace\"}", "Metaspace without \"replacement\""},
        {"{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Sequence\", \"pretokenizers\": "
         "[{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Sequence\", "
         "\"pretokenizers\": []}]}]}]}",
         "more than 4 deep"},
    };
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[FILE_BYTES];
        struct error error = {0};
        struct tokenizer *tokenizer = NULL;
        (void)snprintf(text, sizeof text,
                       "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [%s]}, "
                       "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}",
                       cases[i].splitter);
        const enum status status =
            tokenizer_parse(&tokenizer, text, strlen(text), "file.json", &error);
        ck_assert_msg(status == STATUS_FORMAT || status == STATUS_LIMIT, "case %d", i);
        ck_assert_msg(strstr(error.message, cases[i].message) != NULL, "case %d: %s", i,
                      error.message);
        ck_assert_ptr_nonnull(strstr(error.message, "file.json"));
    }
}
END_TEST

/* A pattern that tries for ever on such a text gives up, and the text is one word. The time is in
 * the timeout of the test. */
START_TEST(test_charbpe_gives_a_search_up)
{
    enum { SIZE_BYTES = 4000 };
    const char pattern[] = "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a*)*(a*)*(a*)*2\"}, "
                           "\"behavior\": \"Isolated\"}";
    struct tokenizer *const tokenizer = parse_split(pattern, "");
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    char *const text = memory_take(SIZE_BYTES, 1, "a long word");
    memset(text, 'a', SIZE_BYTES);
    tokenizer_encode(tokenizer, work, text, SIZE_BYTES, true, &list);
    ck_assert_uint_eq(list.count, SIZE_BYTES);
    memory_release(text);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

/* The time is in the timeout of the test. */
START_TEST(test_charbpe_encodes_a_very_long_word)
{
    enum { SIZE_BYTES = 400000 };
    struct tokenizer *const tokenizer = tokenizer_parsed(llama);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    char *const text = memory_take(SIZE_BYTES, 1, "a long word");
    for (size_t i = 0; i < SIZE_BYTES; i++) {
        text[i] = i % 2 == 0 ? 'a' : 'b';
    }
    tokenizer_encode(tokenizer, work, text, SIZE_BYTES, true, &list);
    ck_assert_uint_eq(list.count, SIZE_BYTES / 2);
    memory_release(text);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

/* Damage anywhere is refused or harmless, never undefined (the sanitizers look on). */
START_TEST(test_charbpe_survives_damaged_files)
{
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    struct token_places places = {0};
    struct random_stream stream = random_stream_make(random_key_make(8, RANDOM_PURPOSE_TEST, 0), 0);
    for (int round = 0; round < 2000; round++) {
        char *const text = memory_text(llama);
        size_t size_bytes = strlen(text);
        for (int k = 0; k < 1 + round % 3; k++) {
            const size_t at = random_stream_below(&stream, size_bytes);
            text[at] = (char)(' ' + random_stream_below(&stream, 95));
        }
        size_bytes = round % 7 == 0 ? random_stream_below(&stream, size_bytes) : size_bytes;
        struct tokenizer *tokenizer = NULL;
        struct error error = {0};
        if (tokenizer_parse(&tokenizer, text, size_bytes, "x", &error) == STATUS_OK) {
            tokenizer_encode_places(tokenizer, work, "ab \xc3\xa9 <mask> New \xff", 18, true, &list,
                                    &places);
            tokenizer_close(tokenizer);
        } else {
            ck_assert_uint_gt(strlen(error.message), 0);
        }
        memory_release(text);
    }
    token_places_deinit(&places);
    token_list_deinit(&list);
    tokenizer_work_close(work);
}
END_TEST

int main(void)
{
    return suite_run(
        "tokenizer_charbpe",
        (const TTest *[]){
            test_charbpe_merges_characters_of_normalised_text,
            test_charbpe_falls_back_to_bytes_or_to_one_unknown,
            test_charbpe_finds_added_tokens_in_normal_form,
            test_charbpe_places_count_the_original_characters,
            test_charbpe_decodes_bytes_as_characters, test_charbpe_cuts_at_a_pattern,
            test_charbpe_knows_letters_of_a_newer_unicode_than_the_library,
            test_charbpe_behaviors_of_a_split, test_charbpe_cuts_words_as_each_splitter_does,
            test_charbpe_takes_known_words_whole_if_it_ignores_merges,
            test_charbpe_marks_the_ends_of_words, test_charbpe_marks_what_goes_on,
            test_charbpe_saved_is_the_same_tokenizer,
            test_charbpe_refuses_what_it_cannot_do_and_says_what, test_charbpe_gives_a_search_up,
            test_charbpe_encodes_a_very_long_word, test_charbpe_survives_damaged_files, NULL});
}
