/* data_pipeline/bert_characters: every code point against the reference's tables. Millions of ck_assert would take
 * longer than what they look at: Check notes each. */
#include "data_pipeline/bert_characters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "data_pipeline/bert_normalizer.h"
#include "data_pipeline/utf8.h"
#include "tests/support/suite.h"

enum { POINTS = 0x110000, HANGUL_FIRST = 0xac00, HANGUL_LAST = 0xd7a3 };

static json_t *tables(void)
{
    struct error error = {0};
    json_t *root = NULL;
    CHECK_OK(json_read_file(SHARDLM_GOLDEN_SMALL "/tokenizers/char_classes.json", 1 << 20, &root,
                            &error),
             error);
    return root;
}

/* One byte a code point: is it in the ranges of `name`? Caller releases. */
static unsigned char *members(const json_t *root, const char *name)
{
    unsigned char *const set = memory_take(POINTS, 1, "test");
    const json_t *const ranges = json_object_get(root, name);
    ck_assert_uint_gt(json_array_size(ranges), 0);
    for (size_t i = 0; i < json_array_size(ranges); i++) {
        const json_t *const range = json_array_get(ranges, i);
        const long first = strtol(json_string_value(json_array_get(range, 0)), NULL, 16);
        const long last = strtol(json_string_value(json_array_get(range, 1)), NULL, 16);
        memset(set + first, 1, (size_t)(last - first) + 1);
    }
    return set;
}

static bool is_surrogate(uint32_t point)
{
    return point >= 0xd800 && point < 0xe000;
}

START_TEST(test_bert_classes_are_those_of_the_reference)
{
    static const struct {
        const char *name;
        enum bert_class class;
    } classes[] = {{"bert_dropped", BERT_CLASS_DROPPED},
                   {"bert_space", BERT_CLASS_SPACE},
                   {"bert_mark", BERT_CLASS_MARK},
                   {"bert_punctuation", BERT_CLASS_PUNCTUATION}};
    json_t *const root = tables();
    for (int i = 0; i < ARRAY_LENGTH(classes); i++) {
        unsigned char *const set = members(root, classes[i].name);
        for (uint32_t point = 0; point < POINTS; point++) {
            if (!is_surrogate(point) &&
                set[point] != (bert_class_of(point) == classes[i].class)) {
                ck_abort_msg("U+%04X %s", point, classes[i].name);
            }
        }
        memory_release(set);
    }
    unsigned char *const spaces = members(root, "bert_split_space");
    for (uint32_t point = 0; point < POINTS; point++) {
        if (spaces[point] != bert_is_split_space(point)) {
            ck_abort_msg("U+%04X", point);
        }
    }
    memory_release(spaces);
    json_decref(root);
}
END_TEST

/* What the tables say that the uncased normaliser makes of one code point. */
static size_t expected_form(const json_t *map, uint32_t point, const unsigned char *const sets[4],
                            char *out)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%04X", point);
    const json_t *const mapped = json_object_get(map, key);
    if (sets[0][point] != 0 || sets[1][point] != 0) { /* dropped, mark */
        return 0;
    }
    if (sets[2][point] != 0) { /* space */
        out[0] = ' ';
        return 1;
    }
    if (mapped != NULL) {
        memcpy(out, json_string_value(mapped), json_string_length(mapped));
        return json_string_length(mapped);
    }
    size_t size_bytes = 0;
    if (sets[3][point] != 0) { /* Chinese */
        out[size_bytes++] = ' ';
    }
    size_bytes += utf8_encode(point, out + size_bytes);
    if (sets[3][point] != 0) {
        out[size_bytes++] = ' ';
    }
    return size_bytes;
}

START_TEST(test_bert_uncased_normal_form_of_every_character_is_the_reference_s)
{
    json_t *const root = tables();
    unsigned char *const sets[] = {members(root, "bert_dropped"), members(root, "bert_mark"),
                                   members(root, "bert_space"), members(root, "bert_cjk")};
    const struct bert_normalizer uncased = {true, true, true, true};
    struct normal_text normal = {0};
    for (uint32_t point = 0; point < POINTS; point++) {
        if (is_surrogate(point) || (point >= HANGUL_FIRST && point <= HANGUL_LAST)) {
            continue;
        }
        char text[UTF8_SEQUENCE_BYTES];
        char expected[64];
        const size_t expected_bytes =
            expected_form(json_object_get(root, "bert_uncased_map"), point,
                          (const unsigned char *const *)sets, expected);
        normal.size_bytes = 0;
        bert_normalize(&uncased, text, utf8_encode(point, text), 0, &normal);
        if (normal.size_bytes != expected_bytes ||
            (expected_bytes > 0 && /* else there may be no bytes at all */
             memcmp(normal.bytes, expected, expected_bytes) != 0)) {
            ck_abort_msg("U+%04X", point);
        }
    }
    normal_text_deinit(&normal);
    for (int i = 0; i < ARRAY_LENGTH(sets); i++) {
        memory_release(sets[i]);
    }
    json_decref(root);
}
END_TEST

START_TEST(test_bert_hangul_syllables_come_apart)
{
    uint32_t out[BERT_STRIP_MAX];
    ck_assert_int_eq(bert_strip(0xac00, out), 2);
    ck_assert(out[0] == 0x1100 && out[1] == 0x1161);
    ck_assert_int_eq(bert_strip(0xd7a3, out), 3);
    ck_assert(out[0] == 0x1112 && out[1] == 0x1175 && out[2] == 0x11c2);
}
END_TEST

START_TEST(test_bert_characters_take_any_number)
{
    uint32_t out[BERT_STRIP_MAX];
    ck_assert_int_eq(bert_class_of(UINT32_MAX >> 3), BERT_CLASS_OTHER);
    ck_assert_int_eq(bert_strip(0x110000, out), 1);
    ck_assert_int_eq(bert_lower(0x110000, out), 1);
    ck_assert(!bert_is_chinese(0x110000));
}
END_TEST

int main(void)
{
    return suite_run(
        "bert_characters",
        (const TTest *[]){test_bert_classes_are_those_of_the_reference,
                          test_bert_uncased_normal_form_of_every_character_is_the_reference_s,
                          test_bert_hangul_syllables_come_apart,
                          test_bert_characters_take_any_number, NULL});
}
