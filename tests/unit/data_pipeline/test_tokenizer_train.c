/* data_pipeline/tokenizer_train: what does not change the result, and options that are refused.
 * Equality with the reference trainer is the matter of golden_tokenizers. */
#include "data_pipeline/tokenizer_train.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "tests/support/suite.h"

static const char *const specials[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};

static struct tokenizer *train(const char *const *texts, int64_t count, bool backwards,
                               int64_t vocabulary)
{
    struct error error = {0};
    const struct tokenizer_train_options options = {
        .vocabulary = vocabulary, .min_frequency = 1, .specials = specials, .special_count = 5};
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(tokenizer_trainer_open(&trainer, &options, &error), error);
    for (int64_t i = 0; i < count; i++) {
        const char *const text = texts[backwards ? count - 1 - i : i];
        CHECK_OK(tokenizer_trainer_add(trainer, text, strlen(text), &error), error);
    }
    CHECK_OK(tokenizer_trainer_finish(trainer, &tokenizer, &error), error);
    return tokenizer;
}

START_TEST(test_tokenizer_train_does_not_depend_on_the_order_of_texts)
{
    static const char *const texts[] = {"the cat sat on the mat\n", "a hat, a cat; a bat\n",
                                        "aaaa bbbb aabb\n", "that bat sat   there\n"};
    struct tokenizer *const forwards = train(texts, ARRAY_LENGTH(texts), false, 300);
    struct tokenizer *const backwards = train(texts, ARRAY_LENGTH(texts), true, 300);
    ck_assert(digest_equal(tokenizer_fingerprint(forwards), tokenizer_fingerprint(backwards)));
    tokenizer_close(forwards);
    tokenizer_close(backwards);
}
END_TEST

START_TEST(test_tokenizer_train_fills_the_vocabulary_in_order)
{
    static const char *const texts[] = {"ab ab ab ac"};
    struct tokenizer *const tokenizer = train(texts, 1, false, 263);
    ck_assert_int_eq(tokenizer_vocabulary(tokenizer), 263);
    ck_assert_str_eq(tokenizer_token(tokenizer, 4), "<mask>");
    ck_assert_str_eq(tokenizer_token(tokenizer, 5), "!");
    ck_assert_str_eq(tokenizer_token(tokenizer, 261),
                     "ab"); /* 3 of "ab", 3 of "Ġa": the smaller left id */
    ck_assert_str_eq(tokenizer_token(tokenizer, 262), "\u0120ab");
    ck_assert(tokenizer_begins_word(tokenizer, 262) && !tokenizer_begins_word(tokenizer, 261));
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_train_of_nothing_has_specials_and_bytes)
{
    struct tokenizer *const tokenizer = train(NULL, 0, false, 1000);
    ck_assert_int_eq(tokenizer_vocabulary(tokenizer), 261);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_tokenizer_train_refuses_options_out_of_range)
{
    static const char *const empty[] = {""};
    const struct tokenizer_train_options cases[] = {
        {.vocabulary = 0},
        {.vocabulary = INT64_MAX},
        {.vocabulary = 300, .min_frequency = -1},
        {.vocabulary = 300, .special_count = -1},
        {.vocabulary = 300, .special_count = 1, .specials = empty}};
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error = {0};
        struct tokenizer_trainer *trainer = NULL;
        CHECK_FAILS(tokenizer_trainer_open(&trainer, &cases[i], &error), STATUS_INPUT);
    }
}
END_TEST

int main(void)
{
    return suite_run("tokenizer_train",
                     (const TTest *[]){test_tokenizer_train_does_not_depend_on_the_order_of_texts,
                                       test_tokenizer_train_fills_the_vocabulary_in_order,
                                       test_tokenizer_train_of_nothing_has_specials_and_bytes,
                                       test_tokenizer_train_refuses_options_out_of_range, NULL});
}
