/* launch/word: the strict reading of numbers. */
#include "launch/word.h"

#include "tests/support/suite.h"

START_TEST(test_word_integer_takes_all_of_64_bits_and_nothing_else)
{
    int64_t value = 0;
    ck_assert(word_integer("0", &value) && value == 0);
    ck_assert(word_integer("-0", &value) && value == 0);
    ck_assert(word_integer("+17", &value) && value == 17);
    ck_assert(word_integer("007", &value) && value == 7);
    ck_assert(word_integer("9223372036854775807", &value) && value == INT64_MAX);
    ck_assert(word_integer("-9223372036854775808", &value) && value == INT64_MIN);
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "1_0",
                                      "--1",
                                      "a",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "92233720368547758070"};
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        ck_assert_msg(!word_integer(bad[i], &value), "%s", bad[i]);
    }
}
END_TEST

START_TEST(test_word_real_takes_decimals_and_nothing_else)
{
    double value = 0;
    ck_assert(word_real("1e-3", &value) && value == 1e-3);
    ck_assert(word_real("-.5", &value) && value == -0.5);
    ck_assert(word_real("5.", &value) && value == 5.0);
    ck_assert(word_real("+2.5E+1", &value) && value == 25.0);
    static const char *const bad[] = {"",    ".",     "-",   "e3", "1e", "1e+",   "inf",
                                      "nan", "0x1p3", "1,5", " 1", "1 ", "1e999", "-1e999"};
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        ck_assert_msg(!word_real(bad[i], &value), "%s", bad[i]);
    }
}
END_TEST

START_TEST(test_word_boolean_takes_two_words)
{
    bool value = false;
    ck_assert(word_boolean("true", &value) && value);
    ck_assert(word_boolean("false", &value) && !value);
    ck_assert(!word_boolean("yes", &value));
    ck_assert(!word_boolean("True", &value));
}
END_TEST

int main(void)
{
    return suite_run("word",
                     (const TTest *[]){test_word_integer_takes_all_of_64_bits_and_nothing_else,
                                       test_word_real_takes_decimals_and_nothing_else,
                                       test_word_boolean_takes_two_words, NULL});
}
