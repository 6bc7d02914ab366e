/* data_pipeline/unicode_classes: every code point against the reference's tables. */
#include "data_pipeline/unicode_classes.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"
#include "tests/support/suite.h"

enum { POINTS = 0x110000 };

static void fill(unsigned char *classes, const json_t *ranges, enum unicode_class class)
{
    for (size_t i = 0; i < json_array_size(ranges); i++) {
        const json_t *const range = json_array_get(ranges, i);
        const long first = strtol(json_string_value(json_array_get(range, 0)), NULL, 16);
        const long last = strtol(json_string_value(json_array_get(range, 1)), NULL, 16);
        for (long point = first; point <= last; point++) {
            classes[point] = (unsigned char)class;
        }
    }
}

START_TEST(test_unicode_classes_are_those_of_the_reference)
{
    struct error error = {0};
    json_t *root = NULL;
    CHECK_OK(json_read_file(SHARDLM_GOLDEN_SMALL "/tokenizers/char_classes.json", 1 << 20, &root,
                            &error),
             error);
    unsigned char *const classes = memory_take(POINTS, 1, "test");
    fill(classes, json_object_get(root, "gpt2_letter"), UNICODE_CLASS_LETTER);
    fill(classes, json_object_get(root, "gpt2_number"), UNICODE_CLASS_NUMBER);
    fill(classes, json_object_get(root, "gpt2_space"), UNICODE_CLASS_SPACE);
    for (uint32_t point = 0; point < POINTS; point++) {
        CHECK_EACH(unicode_class_of(point) == classes[point]);
    }
    memory_release(classes);
    json_decref(root);
}
END_TEST

START_TEST(test_unicode_classes_take_any_number)
{
    ck_assert_int_eq(unicode_class_of(0x110000), UNICODE_CLASS_OTHER);
    ck_assert_int_eq(unicode_class_of(UINT32_MAX), UNICODE_CLASS_OTHER);
}
END_TEST

START_TEST(test_unicode_word_characters_are_letters_marks_digits_and_connectors)
{
    ck_assert(unicode_is_word('a') && unicode_is_word('Z') && unicode_is_word('_') &&
              unicode_is_word('7'));
    ck_assert(unicode_is_word(0x301) && unicode_is_word(0x4e2d));
    ck_assert(!unicode_is_word(' ') && !unicode_is_word('-') && !unicode_is_word(0xb2));
}
END_TEST

int main(void)
{
    return suite_run(
        "unicode_classes",
        (const TTest *[]){
            test_unicode_classes_are_those_of_the_reference, test_unicode_classes_take_any_number,
            test_unicode_word_characters_are_letters_marks_digits_and_connectors, NULL});
}
