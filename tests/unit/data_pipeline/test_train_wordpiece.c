/* data_pipeline/tokenizer_train: WordPiece. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_train.h"
#include "tests/support/suite.h"

static const char *const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

static enum status train(const char *const *texts, int64_t count, bool backwards,
                         int64_t vocabulary, bool cased, struct tokenizer **tokenizer,
                         struct error *error)
{
    const struct tokenizer_train_options options = {.kind = TRAIN_KIND_WORDPIECE,
                                                    .cased = cased,
                                                    .vocabulary = vocabulary,
                                                    .min_frequency = 1,
                                                    .specials = specials,
                                                    .special_count = 5};
    struct tokenizer_trainer *trainer = NULL;
    TRY(tokenizer_trainer_open(&trainer, &options, error));
    for (int64_t i = 0; i < count; i++) {
        const char *const text = texts[backwards ? count - 1 - i : i];
        CHECK_OK(tokenizer_trainer_add(trainer, text, strlen(text), error), *error);
    }
    return tokenizer_trainer_finish(trainer, tokenizer, error);
}

static struct tokenizer *trained(const char *const *texts, int64_t count, bool backwards,
                                 int64_t vocabulary, bool cased)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(train(texts, count, backwards, vocabulary, cased, &tokenizer, &error), error);
    return tokenizer;
}

START_TEST(test_train_wordpiece_fills_the_vocabulary_in_order)
{
    static const char *const texts[] = {"B\xc3\xa4"
                                        "b bab, abc"};
    static const char *const expected[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",",  "a",
                                           "b",     "##a",   "##b",   "##c",   "ba",     "bab"};
    struct tokenizer *const tokenizer = trained(texts, 1, false, 13, false);
    ck_assert_int_eq(tokenizer_vocabulary(tokenizer), ARRAY_LENGTH(expected));
    for (int32_t id = 0; id < ARRAY_LENGTH(expected); id++) {
        ck_assert_str_eq(tokenizer_token(tokenizer, id), expected[id]);
    }
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_train_wordpiece_keeps_capitals_and_accents_when_cased)
{
    static const char *const texts[] = {"B\xc3\xa4"};
    struct tokenizer *const tokenizer = trained(texts, 1, false, 7, true);
    ck_assert_str_eq(tokenizer_token(tokenizer, 5), "B");
    ck_assert_str_eq(tokenizer_token(tokenizer, 6), "##\xc3\xa4");
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_train_wordpiece_does_not_depend_on_the_order_of_texts)
{
    static const char *const texts[] = {"the cat sat on the mat\n", "a hat, a cat; a bat\n",
                                        "aaaa bbbb aabb\n", "that bat sat   there\n"};
    struct tokenizer *const forwards = trained(texts, ARRAY_LENGTH(texts), false, 60, false);
    struct tokenizer *const backwards = trained(texts, ARRAY_LENGTH(texts), true, 60, false);
    ck_assert(digest_equal(tokenizer_fingerprint(forwards), tokenizer_fingerprint(backwards)));
    tokenizer_close(forwards);
    tokenizer_close(backwards);
}
END_TEST

START_TEST(test_train_wordpiece_leaves_out_the_rarest_characters)
{
    struct error error = {0};
    const struct tokenizer_train_options options = {.kind = TRAIN_KIND_WORDPIECE,
                                                    .vocabulary = 5000,
                                                    .min_frequency = 2,
                                                    .specials = specials,
                                                    .special_count = 5};
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(tokenizer_trainer_open(&trainer, &options, &error), error);
    for (int i = 0; i < TRAIN_CHARACTERS_MAX + 10; i++) { /* Chinese characters, once each */
        const int point = 0x4e00 + i;
        const char text[] = {(char)(0xe0 | point >> 12), (char)(0x80 | (point >> 6 & 0x3f)),
                             (char)(0x80 | (point & 0x3f))};
        CHECK_OK(tokenizer_trainer_add(trainer, text, sizeof text, &error), error);
    }
    CHECK_OK(tokenizer_trainer_finish(trainer, &tokenizer, &error), error);
    ck_assert_int_eq(tokenizer_vocabulary(tokenizer), 5 + TRAIN_CHARACTERS_MAX);
    ck_assert_int_eq(tokenizer_token_id(tokenizer, "\xe4\xb8\x80"), 5); /* the lowest stays */
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_train_wordpiece_saved_is_the_same_tokenizer)
{
    static const char *const texts[] = {"the cat sat on the mat, that bat sat there"};
    struct error error = {0};
    struct tokenizer *const tokenizer = trained(texts, 1, false, 50, false);
    struct tokenizer *again = NULL;
    char folder[PATH_BYTES];
    CHECK_OK(path_join(folder, suite_scratch(), "trained", &error), error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    CHECK_OK(tokenizer_open(&again, folder, &error), error);
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(again)));
    tokenizer_close(again);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_train_wordpiece_refuses_a_vocabulary_below_its_characters)
{
    static const char *const texts[] = {"abc def"};
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_FAILS(train(texts, 1, false, 8, false, &tokenizer, &error), STATUS_INPUT);
    ck_assert_ptr_nonnull(strstr(error.message, "too small"));
    ck_assert_ptr_null(tokenizer);
}
END_TEST

START_TEST(test_train_wordpiece_needs_an_unknown_token)
{
    struct error error = {0};
    const struct tokenizer_train_options options = {.kind = TRAIN_KIND_WORDPIECE,
                                                    .vocabulary = 100};
    struct tokenizer_trainer *trainer = NULL;
    CHECK_FAILS(tokenizer_trainer_open(&trainer, &options, &error), STATUS_INPUT);
}
END_TEST

int main(void)
{
    return suite_run(
        "train_wordpiece",
        (const TTest *[]){test_train_wordpiece_fills_the_vocabulary_in_order,
                          test_train_wordpiece_keeps_capitals_and_accents_when_cased,
                          test_train_wordpiece_does_not_depend_on_the_order_of_texts,
                          test_train_wordpiece_leaves_out_the_rarest_characters,
                          test_train_wordpiece_saved_is_the_same_tokenizer,
                          test_train_wordpiece_refuses_a_vocabulary_below_its_characters,
                          test_train_wordpiece_needs_an_unknown_token, NULL});
}
