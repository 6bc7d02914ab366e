/* data_pipeline/utf8: what is valid, where the first bad byte is, what a repair gives. */
#include "data_pipeline/utf8.h"

#include <string.h>

#include "tests/support/suite.h"

START_TEST(test_utf8_decodes_what_it_encodes)
{
    for (uint32_t point = 0; point < 0x110000; point++) {
        char text[UTF8_SEQUENCE_BYTES];
        const size_t length = utf8_encode(point, text);
        uint32_t back = 0;
        const bool surrogate = point >= 0xd800 && point < 0xe000;
        CHECK_EACH(utf8_decode(text, length, &back, NULL) == (surrogate ? 0 : length));
        CHECK_EACH(surrogate || back == point);
    }
}
END_TEST

START_TEST(test_utf8_names_the_first_bad_byte)
{
    static const struct {
        const char *text;
        size_t good;
    } cases[] = {{"", 0},
                 {"plain ascii, longer than a word", 31},
                 {"abcdefgh\xff", 8},
                 {"abcdefghij\xc3", 10},
                 {"\xc0\xaf", 0},
                 {"\xe4\xb8\xad\xed\xa0\x80", 3},
                 {"\xf4\x90\x80\x80", 0},
                 {"\xf0\x9f\x98\x80", 4},
                 {"a\xf0\x9f\x98", 1},
                 {"\xe0\x80\xaf", 0}};
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        ck_assert_uint_eq(utf8_valid_prefix(cases[i].text, strlen(cases[i].text)), cases[i].good);
    }
}
END_TEST

START_TEST(test_utf8_repair_replaces_each_maximal_broken_part)
{
    const char text[] = "a\xf0\x9f\x98z\xe0\x80\xc3";
    char out[3 * sizeof text];
    const size_t size_bytes = utf8_repair(text, sizeof text - 1, out);
    const char expected[] = "a\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";
    ck_assert_uint_eq(size_bytes, sizeof expected - 1);
    ck_assert_int_eq(memcmp(out, expected, size_bytes), 0);
}
END_TEST

int main(void)
{
    return suite_run("utf8",
                     (const TTest *[]){test_utf8_decodes_what_it_encodes,
                                       test_utf8_names_the_first_bad_byte,
                                       test_utf8_repair_replaces_each_maximal_broken_part, NULL});
}
