/* data_pipeline: training of unigram models. Quality beside SentencePiece's trainer is measured by
 * hand; here stand the properties. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer_train.h"
#include "tests/support/suite.h"

#define PROSE SHARDLM_GOLDEN_SMALL "/tokenizers/bpe_train/prose.txt"

static const char *const specials[] = {"<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"};

static struct tokenizer_trainer *open_trainer(int64_t vocabulary)
{
    struct error error = {0};
    struct tokenizer_trainer *trainer = NULL;
    const struct tokenizer_train_options options = {.kind = TRAIN_KIND_UNIGRAM,
                                                    .vocabulary = vocabulary,
                                                    .specials = specials,
                                                    .special_count = ARRAY_LENGTH(specials)};
    CHECK_OK(tokenizer_trainer_open(&trainer, &options, &error), error);
    return trainer;
}

/* Trains on the lines of a text, from the last to the first if `reversed`. */
static struct tokenizer *train(const char *text, size_t size_bytes, int64_t vocabulary,
                               bool reversed)
{
    struct error error = {0};
    struct tokenizer_trainer *const trainer = open_trainer(vocabulary);
    size_t at = reversed ? size_bytes : 0;
    while (reversed ? at > 0 : at < size_bytes) {
        size_t begin = at;
        size_t end = at;
        if (reversed) {
            begin--;
            while (begin > 0 && text[begin - 1] != '\n') {
                begin--;
            }
        } else {
            const char *const newline = memchr(text + at, '\n', size_bytes - at);
            end = newline == NULL ? size_bytes : (size_t)(newline - text) + 1;
        }
        CHECK_OK(tokenizer_trainer_add(trainer, text + begin, end - begin, &error), error);
        at = reversed ? begin : end;
    }
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(tokenizer_trainer_finish(trainer, &tokenizer, &error), error);
    return tokenizer;
}

static void read_prose(char **text, size_t *size_bytes)
{
    struct error error = {0};
    CHECK_OK(file_read(PROSE, 1 << 20, text, size_bytes, &error), error);
}

START_TEST(test_train_unigram_makes_the_wanted_vocabulary_with_special_tokens_first)
{
    char *text = NULL;
    size_t size_bytes = 0;
    read_prose(&text, &size_bytes);
    struct tokenizer *const tokenizer = train(text, size_bytes, 600, false);
    ck_assert_int_eq(tokenizer_vocabulary(tokenizer), 600);
    for (int32_t id = 0; id < ARRAY_LENGTH(specials); id++) {
        ck_assert_str_eq(tokenizer_token(tokenizer, id), specials[id]);
        ck_assert(tokenizer_is_special(tokenizer, id));
    }
    ck_assert_int_ge(tokenizer_token_id(tokenizer, "\xe2\x96\x81the"), 0);
    ck_assert_int_ge(tokenizer_token_id(tokenizer, "e"), 0);
    tokenizer_close(tokenizer);
    memory_release(text);
}
END_TEST

START_TEST(test_train_unigram_does_not_depend_on_the_order_of_texts)
{
    char *text = NULL;
    size_t size_bytes = 0;
    read_prose(&text, &size_bytes);
    struct tokenizer *const forward = train(text, size_bytes, 500, false);
    struct tokenizer *const backward = train(text, size_bytes, 500, true);
    ck_assert(digest_equal(tokenizer_fingerprint(forward), tokenizer_fingerprint(backward)));
    tokenizer_close(forward);
    tokenizer_close(backward);
    memory_release(text);
}
END_TEST

START_TEST(test_train_unigram_gives_back_the_words_it_was_trained_on)
{
    struct error error = {0};
    static const char text[] = "one two three two one two";
    struct tokenizer *const tokenizer = train(text, strlen(text), 40, false);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    char *back = NULL;
    size_t back_bytes = 0;
    tokenizer_encode(tokenizer, work, text, strlen(text), true, &list);
    CHECK_OK(tokenizer_decode(tokenizer, list.ids, list.count, true, &back, &back_bytes, &error),
             error);
    ck_assert_str_eq(back, text);
    memory_release(back);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_train_unigram_keeps_scripts_and_numbers_apart)
{
    static const char text[] = "ab12 ab12 ab12 ab12 ab12 ab12 ab\xd0\xb4 ab\xd0\xb4 ab\xd0\xb4";
    struct tokenizer *const tokenizer = train(text, strlen(text), 60, false);
    for (int32_t id = ARRAY_LENGTH(specials); id < tokenizer_vocabulary(tokenizer); id++) {
        const char *const name = tokenizer_token(tokenizer, id);
        const bool latin = strpbrk(name, "ab") != NULL;
        ck_assert(!latin || (strpbrk(name, "12") == NULL && strchr(name, '\xd0') == NULL));
    }
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_train_unigram_takes_a_text_without_words)
{
    struct tokenizer *const tokenizer = train(" \n\t\n", 4, 10, false);
    ck_assert_int_eq(tokenizer_vocabulary(tokenizer), ARRAY_LENGTH(specials));
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_train_unigram_refuses_a_vocabulary_below_its_characters)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_trainer *const trainer = open_trainer(8);
    CHECK_OK(tokenizer_trainer_add(trainer, "abcdefg", 7, &error), error);
    CHECK_FAILS(tokenizer_trainer_finish(trainer, &tokenizer, &error), STATUS_INPUT);
    ck_assert_ptr_nonnull(strstr(error.message, "8 characters"));
}
END_TEST

int main(void)
{
    return suite_run(
        "train_unigram",
        (const TTest *[]){test_train_unigram_makes_the_wanted_vocabulary_with_special_tokens_first,
                          test_train_unigram_does_not_depend_on_the_order_of_texts,
                          test_train_unigram_gives_back_the_words_it_was_trained_on,
                          test_train_unigram_keeps_scripts_and_numbers_apart,
                          test_train_unigram_takes_a_text_without_words,
                          test_train_unigram_refuses_a_vocabulary_below_its_characters, NULL});
}
