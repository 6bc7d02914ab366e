/* What the tests of tokenizers share: opening one that must open, and encoding a text with it. */
#ifndef SHARDLM_TESTS_TOKENIZER_FIXTURE_H
#define SHARDLM_TESTS_TOKENIZER_FIXTURE_H

#include <string.h>

#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_files.h"
#include "tests/support/suite.h"

/* A folder or a file. */
static inline struct tokenizer *tokenizer_opened(const char *path)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(tokenizer_open(&tokenizer, path, &error), error);
    return tokenizer;
}

/* The text of a tokenizer.json. */
static inline struct tokenizer *tokenizer_parsed(const char *text)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(tokenizer_parse(&tokenizer, text, strlen(text), "tokenizer.json", &error), error);
    return tokenizer;
}

/* Caller releases it. */
static inline struct token_list tokens_of(const struct tokenizer *tokenizer, const char *text,
                                          bool parse_specials)
{
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    tokenizer_encode(tokenizer, work, text, strlen(text), parse_specials, &list);
    tokenizer_work_close(work);
    return list;
}

/* The text is these tokens, whose list ends with NULL. */
static inline void tokens_check(const struct tokenizer *tokenizer, const char *text,
                                bool parse_specials, const char *const *expected)
{
    struct token_list list = tokens_of(tokenizer, text, parse_specials);
    size_t count = 0;
    for (; expected[count] != NULL; count++) {
        ck_assert_uint_lt(count, list.count);
        ck_assert_str_eq(tokenizer_token(tokenizer, list.ids[count]), expected[count]);
    }
    ck_assert_uint_eq(list.count, count);
    token_list_deinit(&list);
}

/* The text is these ids, with places and without. */
static inline void ids_check(const struct tokenizer *tokenizer, const char *text,
                             const int32_t *ids, size_t count)
{
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = tokens_of(tokenizer, text, true);
    struct token_places places = {0};
    ck_assert_uint_eq(list.count, count);
    ck_assert(count == 0 || memcmp(list.ids, ids, count * sizeof *ids) == 0);
    tokenizer_encode_places(tokenizer, work, text, strlen(text), true, &list, &places);
    ck_assert_uint_eq(list.count, count);
    ck_assert(count == 0 || memcmp(list.ids, ids, count * sizeof *ids) == 0);
    token_places_deinit(&places);
    token_list_deinit(&list);
    tokenizer_work_close(work);
}

#endif
