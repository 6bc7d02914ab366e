/* data_pipeline/gpt2_split: words of the GPT-2 pattern. The golden tables hold the full comparison.
 */
#include "data_pipeline/gpt2_split.h"

#include <string.h>

#include "base/random.h"
#include "tests/support/suite.h"

/* Checks that `words` (separated by '|') are the words of their concatenation. */
static void check_words(const char *words)
{
    char text[256];
    size_t size_bytes = 0;
    for (const char *from = words; *from != '\0'; from++) {
        if (*from != '|') {
            text[size_bytes++] = *from;
        }
    }
    size_t at = 0;
    for (const char *word = words; at < size_bytes;) {
        const size_t length = strcspn(word, "|");
        const size_t end = gpt2_split_next(text, size_bytes, at);
        ck_assert_msg(end - at == length, "\"%s\": word of %zu bytes at %zu", words, end - at, at);
        at = end;
        word += length + (word[length] == '|');
    }
}

START_TEST(test_gpt2_split_cuts_words_numbers_and_signs)
{
    check_words("Hello| world|,| 42| apples|!!|\n");
    check_words("a|1|b|22| _|x");
    check_words("na\xc3\xafve| \xe4\xb8\xad\xe6\x96\x87|\xe3\x80\x82");
}
END_TEST

START_TEST(test_gpt2_split_knows_the_contractions)
{
    check_words("it|'s| I|'ll| we|'ve| they|'re| don|'t| I|'m| he|'d");
    check_words("IT|'|S");
    check_words(" '|s");
    check_words("''|s");
}
END_TEST

START_TEST(test_gpt2_split_leaves_the_last_blank_to_the_word)
{
    check_words("a|  | b|\t|\t|c|   ");
    check_words(" |\n|x");
    check_words("\xe3\x80\x80|\xe3\x80\x80|x");
}
END_TEST

START_TEST(test_gpt2_split_advances_on_any_bytes)
{
    struct random_stream stream = random_stream_make(random_key_make(1, RANDOM_PURPOSE_TEST, 0), 0);
    for (int round = 0; round < 2000; round++) {
        char text[64];
        const size_t size_bytes = 1 + random_stream_below(&stream, sizeof text);
        for (size_t i = 0; i < size_bytes; i++) {
            text[i] = (char)random_stream_below(&stream, 256);
        }
        for (size_t at = 0; at < size_bytes;) {
            const size_t end = gpt2_split_next(text, size_bytes, at);
            ck_assert(end > at && end <= size_bytes);
            at = end;
        }
    }
}
END_TEST

int main(void)
{
    return suite_run("gpt2_split",
                     (const TTest *[]){test_gpt2_split_cuts_words_numbers_and_signs,
                                       test_gpt2_split_knows_the_contractions,
                                       test_gpt2_split_leaves_the_last_blank_to_the_word,
                                       test_gpt2_split_advances_on_any_bytes, NULL});
}
