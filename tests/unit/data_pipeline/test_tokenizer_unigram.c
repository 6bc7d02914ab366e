/* data_pipeline: models of SentencePiece, unigram and BPE, behind the tokenizer's calls: files,
 * hostile ones too, and what a hand-made model does. Equality with the reference is the matter of
 * golden_tokenizers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data_pipeline/tokenizer.h"
#include "tests/support/suite.h"
#include "tests/unit/data_pipeline/tokenizer_fixture.h"

#define ALBERT SHARDLM_GOLDEN_SMALL "/tokenizers/sp_albert/spiece.model"
#define SPACE  "\xe2\x96\x81"

enum {
    MESSAGE_BYTES = 1 << 16,
    NORMAL = 1,
    UNKNOWN = 2,
    CONTROL = 3,
    USER = 4,
    UNUSED = 5,
    BYTE = 6
};

/* A message in wire format, as it grows. */
struct message {
    char bytes[MESSAGE_BYTES];
    size_t size_bytes;
};

static void put_integer(struct message *message, uint64_t value)
{
    do {
        ck_assert_uint_lt(message->size_bytes, sizeof message->bytes);
        message->bytes[message->size_bytes++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
}

static void put_counted(struct message *message, uint64_t number, const char *bytes, size_t count)
{
    put_integer(message, number << 3 | 2);
    put_integer(message, count);
    ck_assert_uint_le(message->size_bytes + count, sizeof message->bytes);
    memcpy(message->bytes + message->size_bytes, bytes, count);
    message->size_bytes += count;
}

static void put_field(struct message *message, uint64_t number, uint64_t value)
{
    put_integer(message, number << 3);
    put_integer(message, value);
}

static void put_piece(struct message *model, const char *text, float score, uint64_t type)
{
    struct message *const piece = memory_take(1, sizeof *piece, "test");
    put_counted(piece, 1, text, strlen(text));
    put_integer(piece, 2 << 3 | 5);
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    for (int i = 0; i < 4; i++) {
        piece->bytes[piece->size_bytes++] = (char)(bits >> (8 * i));
    }
    put_field(piece, 3, type);
    put_counted(model, 1, piece->bytes, piece->size_bytes);
    memory_release(piece);
}

/* A part of settings with one field. */
static void put_setting(struct message *model, uint64_t part, uint64_t number, uint64_t value)
{
    struct message *const settings = memory_take(1, sizeof *settings, "test");
    put_field(settings, number, value);
    put_counted(model, part, settings->bytes, settings->size_bytes);
    memory_release(settings);
}

static enum status open_bytes(const char *bytes, size_t size_bytes, struct tokenizer **tokenizer,
                              struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, suite_scratch(), "test.model", error));
    TRY(file_write_durable(path, bytes, size_bytes, error));
    return tokenizer_open(tokenizer, path, error);
}

static struct tokenizer *open_message(const struct message *model)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    CHECK_OK(open_bytes(model->bytes, model->size_bytes, &tokenizer, &error), error);
    return tokenizer;
}

START_TEST(test_unigram_takes_the_pieces_with_the_highest_sum)
{
    struct message model = {.size_bytes = 0};
    put_piece(&model, "<unk>", 0, UNKNOWN);
    put_piece(&model, SPACE, -3, NORMAL);
    put_piece(&model, SPACE "ab", -5, NORMAL);
    put_piece(&model, "a", -1, NORMAL);
    put_piece(&model, "bc", -2, NORMAL);
    put_piece(&model, "b", -4, NORMAL);
    put_piece(&model, "c", -4.5F, NORMAL);
    put_piece(&model, "<m>", 0, CONTROL);
    struct tokenizer *const tokenizer = open_message(&model);
    tokens_check(tokenizer, "abc", true, (const char *[]){SPACE, "a", "bc", NULL});
    tokens_check(tokenizer, "ab", true, (const char *[]){SPACE "ab", NULL});
    tokens_check(tokenizer, "  xy  ", true, (const char *[]){SPACE, "<unk>", NULL});
    tokens_check(tokenizer, "", true, (const char *[]){NULL});
    tokens_check(tokenizer, "<m>", true, (const char *[]){"<m>", NULL});
    tokens_check(tokenizer, "<m>", false, (const char *[]){SPACE, "<unk>", NULL});
    ck_assert(tokenizer_begins_word(tokenizer, 2) && !tokenizer_begins_word(tokenizer, 3));
    ck_assert(tokenizer_is_special(tokenizer, 7) && tokenizer_is_special(tokenizer, 0));
    tokenizer_close(tokenizer);
}
END_TEST

/* The sums differ in exact arithmetic, not as floats: the row whose last piece begins first stays.
 */
START_TEST(test_unigram_compares_sums_as_floats)
{
    struct message model = {.size_bytes = 0};
    put_piece(&model, "<unk>", 0, UNKNOWN);
    put_piece(&model, SPACE, -3, NORMAL);
    put_piece(&model, "a", -2.3F, NORMAL);
    put_piece(&model, "aa", -1.2F, NORMAL);
    struct tokenizer *const tokenizer = open_message(&model);
    tokens_check(tokenizer, "aaa", true, (const char *[]){SPACE, "a", "aa", NULL});
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_unigram_refuses_damaged_models_and_says_why)
{
    struct {
        const char *text;
        float score;
        uint64_t type;
        const char *reason;
    } const cases[] = {
        {"a", -1, NORMAL, "no piece is the unknown one"},
        {"", -1, UNKNOWN, "piece 0 is not UTF-8"},
        {"\xff", -1, UNKNOWN, "piece 0 is not UTF-8"},
        {"a", INFINITY, UNKNOWN, "out of range"},
        {"a", -1, 7, "out of range"},
        {"<0xG0>", -1, BYTE, "not <0x00> to <0xFF>"},
    };
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error = {0};
        struct tokenizer *tokenizer = NULL;
        struct message model = {.size_bytes = 0};
        put_piece(&model, cases[i].text, cases[i].score, cases[i].type);
        if (cases[i].type == BYTE) {
            put_piece(&model, "<unk>", 0, UNKNOWN);
        }
        CHECK_FAILS(open_bytes(model.bytes, model.size_bytes, &tokenizer, &error), STATUS_FORMAT);
        ck_assert_msg(strstr(error.message, cases[i].reason) != NULL, "%s", error.message);
        ck_assert_msg(strstr(error.message, "test.model") != NULL, "%s", error.message);
    }
}
END_TEST

START_TEST(test_unigram_refuses_settings_that_it_cannot_honour)
{
    struct {
        uint64_t part;
        uint64_t number;
        uint64_t value;
        const char *reason;
    } const cases[] = {{2, 3, 3, "kind word is not supported"},
                       {2, 3, 99, "kind ? is not supported"},
                       {2, 35, 1, "byte fallback without piece <0x00>"}};
    for (int i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error = {0};
        struct tokenizer *tokenizer = NULL;
        struct message model = {.size_bytes = 0};
        put_piece(&model, "<unk>", 0, UNKNOWN);
        put_setting(&model, cases[i].part, cases[i].number, cases[i].value);
        CHECK_FAILS(open_bytes(model.bytes, model.size_bytes, &tokenizer, &error), STATUS_FORMAT);
        ck_assert_msg(strstr(error.message, cases[i].reason) != NULL, "%s", error.message);
    }
}
END_TEST

START_TEST(test_unigram_refuses_a_damaged_character_map)
{
    static const char *const maps[] = {"a", "\4\0\0\0ab", "\377\377\377\377abcd"};
    static const size_t sizes[] = {1, 6, 8};
    for (int i = 0; i < ARRAY_LENGTH(maps); i++) {
        struct error error = {0};
        struct tokenizer *tokenizer = NULL;
        struct message model = {.size_bytes = 0};
        struct message settings = {.size_bytes = 0};
        put_piece(&model, "<unk>", 0, UNKNOWN);
        put_counted(&settings, 2, maps[i], sizes[i]);
        put_counted(&model, 3, settings.bytes, settings.size_bytes);
        CHECK_FAILS(open_bytes(model.bytes, model.size_bytes, &tokenizer, &error), STATUS_FORMAT);
        ck_assert_msg(strstr(error.message, "character map") != NULL, "%s", error.message);
    }
}
END_TEST

START_TEST(test_unigram_keeps_user_pieces_whole)
{
    struct message model = {.size_bytes = 0};
    put_piece(&model, "<unk>", 0, UNKNOWN);
    put_piece(&model, "ab", 0, USER);
    put_piece(&model, "a", -1, NORMAL);
    put_piece(&model, "b", -1, NORMAL);
    put_piece(&model, SPACE, -1, NORMAL);
    put_setting(&model, 3, 3, 0); /* no blank before the text */
    struct tokenizer *const tokenizer = open_message(&model);
    tokens_check(tokenizer, "aab b", true, (const char *[]){"a", "ab", SPACE, "b", NULL});
    tokenizer_close(tokenizer);
}
END_TEST

/* A BPE model: field 3 of the trainer's settings (part 2) is 2. */
static void put_merges(struct message *model)
{
    put_piece(model, "<unk>", 0, UNKNOWN);
    put_piece(model, "ab", 0, NORMAL);
    put_piece(model, "bc", -1, NORMAL);
    put_piece(model, SPACE "ab", -2, NORMAL);
    put_piece(model, "cd", -3, UNUSED);
    put_piece(model, "cda", -4, NORMAL);
    put_piece(model, SPACE, -5, NORMAL);
    put_piece(model, "a", -6, NORMAL);
    put_piece(model, "b", -7, NORMAL);
    put_piece(model, "c", -8, NORMAL);
    put_piece(model, "d", -9, NORMAL);
    put_setting(model, 2, 3, 2);
}

START_TEST(test_pieces_merge_by_score)
{
    struct message model = {.size_bytes = 0};
    put_merges(&model);
    put_piece(&model, "<m>", 0, CONTROL);
    struct tokenizer *const tokenizer = open_message(&model);
    tokens_check(tokenizer, "abc", true, (const char *[]){SPACE "ab", "c", NULL});
    tokens_check(tokenizer, "bcab", true, (const char *[]){SPACE, "bc", "ab", NULL});
    tokens_check(tokenizer, "ab<m>ab", true, (const char *[]){SPACE "ab", "<m>", SPACE "ab", NULL});
    tokens_check(tokenizer, "  xy  ", true, (const char *[]){SPACE, "<unk>", NULL});
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_unused_pieces_are_a_way_to_others)
{
    struct message model = {.size_bytes = 0};
    put_merges(&model);
    struct tokenizer *const tokenizer = open_message(&model);
    tokens_check(tokenizer, "cda", true, (const char *[]){SPACE, "cda", NULL});
    tokens_check(tokenizer, "cd cd", true,
                 (const char *[]){SPACE, "c", "d", SPACE, "c", "d", NULL});
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_user_pieces_take_part_in_no_merge)
{
    struct message model = {.size_bytes = 0};
    put_piece(&model, "<unk>", 0, UNKNOWN);
    put_piece(&model, "ab", 0, NORMAL);
    put_piece(&model, "a", -1, NORMAL);
    put_piece(&model, "b", -2, USER);
    put_piece(&model, SPACE, -3, NORMAL);
    put_setting(&model, 2, 3, 2);
    struct tokenizer *const tokenizer = open_message(&model);
    tokens_check(tokenizer, "ab", true, (const char *[]){SPACE, "a", "b", NULL});
    tokenizer_close(tokenizer);
}
END_TEST

/* The time is in the timeout of the test: a text is one row of merges, however long. */
START_TEST(test_pieces_merge_in_a_very_long_text)
{
    enum { PAIRS = 500000 };
    struct message model = {.size_bytes = 0};
    put_merges(&model);
    struct tokenizer *const tokenizer = open_message(&model);
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    char *const text = memory_take(2 * PAIRS, 1, "a long text");
    for (size_t i = 0; i < 2 * PAIRS; i++) {
        text[i] = i % 2 == 0 ? 'a' : 'b';
    }
    tokenizer_encode(tokenizer, work, text, 2 * PAIRS, true, &list);
    ck_assert_uint_eq(list.count, PAIRS); /* "▁ab", then "ab" */
    memory_release(text);
    token_list_deinit(&list);
    tokenizer_work_close(work);
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_unigram_saved_is_the_same_tokenizer)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    struct tokenizer *again = NULL;
    char folder[PATH_BYTES];
    CHECK_OK(tokenizer_open(&tokenizer, ALBERT, &error), error);
    CHECK_OK(path_join(folder, suite_scratch(), "saved", &error), error);
    CHECK_OK(tokenizer_save(tokenizer, folder, &error), error);
    CHECK_OK(tokenizer_open(&again, folder, &error), error);
    ck_assert(digest_equal(tokenizer_fingerprint(tokenizer), tokenizer_fingerprint(again)));
    const struct tokenizer_specials specials = tokenizer_specials(again);
    ck_assert_str_eq(tokenizer_token(again, specials.bos), "[CLS]");
    ck_assert_str_eq(tokenizer_token(again, specials.eos), "[SEP]");
    ck_assert_str_eq(tokenizer_token(again, specials.mask), "[MASK]");
    tokenizer_close(again);
    tokenizer_close(tokenizer);
}
END_TEST

/* An export's tokenizer.json says the same, and beside its model it gives way to that. */
START_TEST(test_pieces_are_said_by_a_tokenizer_json)
{
    static const char *const models[] = {"sp_albert", "sp_bpe", "sp_nfkc_cf"};
    static const char *const texts[] = {"",
                                        "The old  river crossed 1234 bridges. ",
                                        " \tCaf\xc3\xa9, cafe\xcc\x81 \xef\xac\x81ne",
                                        "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
                                        "a<mask>b  <mask>",
                                        "xxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    struct error error = {0};
    CHECK_OK(path_join(folder, suite_scratch(), "said", &error), error);
    for (int m = 0; m < ARRAY_LENGTH(models); m++) {
        struct tokenizer *model = NULL;
        struct tokenizer *said = NULL;
        struct tokenizer *both = NULL;
        (void)snprintf(path, sizeof path, "%s/tokenizers/%s/spiece.model", SHARDLM_GOLDEN_SMALL,
                       models[m]);
        CHECK_OK(tokenizer_open(&model, path, &error), error);
        CHECK_OK(tokenizer_save(model, folder, &error), error);
        CHECK_OK(tokenizer_save_json(model, folder, &error), error);
        CHECK_OK(path_join(path, folder, "tokenizer.json", &error), error);
        CHECK_OK(tokenizer_open(&said, path, &error), error);
        CHECK_OK(tokenizer_open(&both, folder, &error), error);
        ck_assert(digest_equal(tokenizer_fingerprint(both), tokenizer_fingerprint(model)));
        ck_assert(!digest_equal(tokenizer_fingerprint(said), tokenizer_fingerprint(model)));
        for (int i = 0; i < ARRAY_LENGTH(texts); i++) {
            struct token_list wanted = tokens_of(model, texts[i], false);
            struct token_list found = tokens_of(said, texts[i], false);
            ck_assert_uint_eq(found.count, wanted.count);
            for (size_t k = 0; k < wanted.count; k++) {
                ck_assert_int_eq(found.ids[k], wanted.ids[k]);
            }
            token_list_deinit(&found);
            token_list_deinit(&wanted);
        }
        tokenizer_close(both);
        tokenizer_close(said);
        tokenizer_close(model);
    }
}
END_TEST

/* Encodes and decodes a random byte string: nothing may go wrong. */
static void exercise(const struct tokenizer *tokenizer, struct random_stream *stream)
{
    struct error error = {0};
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list list = {0};
    struct token_list alone = {0};
    struct token_places places = {0};
    char text[80];
    const size_t size_bytes = random_stream_below(stream, sizeof text + 1);
    for (size_t i = 0; i < size_bytes; i++) {
        text[i] = (char)random_stream_below(stream, i % 2 == 0 ? 256 : 128);
    }
    tokenizer_encode_places(tokenizer, work, text, size_bytes, true, &list, &places);
    tokenizer_encode(tokenizer, work, text, size_bytes, true, &alone);
    ck_assert_uint_eq(list.count, places.count);
    ck_assert_uint_eq(list.count, alone.count);
    for (size_t i = 0; i < places.count; i++) {
        ck_assert_int_eq(list.ids[i], alone.ids[i]);
        ck_assert(places.items[i].byte_begin <= places.items[i].byte_end);
        ck_assert(places.items[i].byte_end <= size_bytes);
    }
    char *back = NULL;
    size_t back_bytes = 0;
    CHECK_OK(tokenizer_decode(tokenizer, list.ids, list.count, false, &back, &back_bytes, &error),
             error);
    memory_release(back);
    token_places_deinit(&places);
    token_list_deinit(&alone);
    token_list_deinit(&list);
    tokenizer_work_close(work);
}

START_TEST(test_unigram_takes_any_bytes)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    struct random_stream stream = random_stream_make(random_key_make(5, RANDOM_PURPOSE_TEST, 0), 0);
    CHECK_OK(tokenizer_open(&tokenizer, ALBERT, &error), error);
    for (int round = 0; round < 2000; round++) {
        exercise(tokenizer, &stream);
    }
    tokenizer_close(tokenizer);
}
END_TEST

START_TEST(test_unigram_survives_any_damage_of_its_file)
{
    enum { ROUNDS = 100, CHANGES = 40 };
    struct error error = {0};
    char *text = NULL;
    size_t size_bytes = 0;
    struct random_stream stream = random_stream_make(random_key_make(6, RANDOM_PURPOSE_TEST, 0), 0);
    CHECK_OK(file_read(ALBERT, 1 << 20, &text, &size_bytes, &error), error);
    char *const damaged = memory_take(size_bytes, 1, "test");
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(damaged, text, size_bytes);
        /* the pieces stand in the first tenth; later bytes are the character map */
        const size_t least = round % 2 == 0 ? 0 : size_bytes / 10;
        for (int i = 0; i < (round % 2 == 0 ? 1 : CHANGES); i++) {
            const size_t at = least + random_stream_below(&stream, size_bytes - least);
            damaged[at] = (char)random_stream_below(&stream, 256);
        }
        const size_t cut = round % 4 == 0 ? random_stream_below(&stream, size_bytes) : size_bytes;
        struct tokenizer *tokenizer = NULL;
        if (open_bytes(damaged, cut, &tokenizer, NULL) == STATUS_OK) {
            for (int i = 0; i < CHANGES; i++) {
                exercise(tokenizer, &stream);
            }
        }
        tokenizer_close(tokenizer);
    }
    memory_release(damaged);
    memory_release(text);
}
END_TEST

int main(void)
{
    return suite_run(
        "tokenizer_unigram",
        (const TTest *[]){
            test_unigram_takes_the_pieces_with_the_highest_sum,
            test_unigram_compares_sums_as_floats, test_unigram_refuses_damaged_models_and_says_why,
            test_unigram_refuses_settings_that_it_cannot_honour,
            test_unigram_refuses_a_damaged_character_map, test_unigram_keeps_user_pieces_whole,
            test_pieces_merge_by_score, test_unused_pieces_are_a_way_to_others,
            test_user_pieces_take_part_in_no_merge, test_pieces_merge_in_a_very_long_text,
            test_unigram_saved_is_the_same_tokenizer, test_pieces_are_said_by_a_tokenizer_json,
            test_unigram_takes_any_bytes, test_unigram_survives_any_damage_of_its_file, NULL});
}
