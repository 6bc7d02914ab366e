/* base/random: known answers of the Philox paper's reference code, and the permutation is one. */
#include "base/random.h"

#include "base/memory.h"
#include "tests/support/suite.h"

/* Known-answer vectors philox4x32-10 distributed with Random123 (kat_vectors). */
START_TEST(test_random_gives_the_known_answers_of_random123)
{
    const struct random_block zero = random_at((struct random_key){{0, 0}}, 0, 0);
    ck_assert_uint_eq(zero.word[0], 0x6627e8d5U);
    ck_assert_uint_eq(zero.word[1], 0xe169c58dU);
    ck_assert_uint_eq(zero.word[2], 0xbc57ac4cU);
    ck_assert_uint_eq(zero.word[3], 0x9b00dbd8U);
    const struct random_block ones =
        random_at((struct random_key){{0xffffffffU, 0xffffffffU}}, UINT64_MAX, UINT64_MAX);
    ck_assert_uint_eq(ones.word[0], 0x408f276dU);
    ck_assert_uint_eq(ones.word[1], 0x41c83b0eU);
    ck_assert_uint_eq(ones.word[2], 0xa20bc7c6U);
    ck_assert_uint_eq(ones.word[3], 0x6d5451fdU);
}
END_TEST

START_TEST(test_random_permute_meets_every_place_once)
{
    for (uint64_t count = 1; count < 300; count += 7) {
        const struct random_key key = random_key_make(count, RANDOM_PURPOSE_EPOCH_ORDER, 3);
        unsigned char *const seen = memory_take(count, 1, "test");
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t place = random_permute(key, count, i);
            ck_assert_uint_lt(place, count);
            ck_assert_int_eq(seen[place], 0);
            seen[place] = 1;
        }
        memory_release(seen);
    }
}
END_TEST

START_TEST(test_random_unit_and_below_stay_in_range)
{
    struct random_stream stream = random_stream_make(random_key_make(1, RANDOM_PURPOSE_TEST, 0), 0);
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        const double unit = random_stream_unit(&stream);
        ck_assert(unit >= 0.0 && unit < 1.0);
        sum += unit;
        ck_assert_uint_lt(random_stream_below(&stream, 7), 7);
    }
    /* standard deviation of the mean: 0.0029; six of them */
    ck_assert_double_eq_tol(sum / 10000, 0.5, 0.0174);
}
END_TEST

int main(void)
{
    return suite_run("random", (const TTest *[]){test_random_gives_the_known_answers_of_random123,
                                                 test_random_permute_meets_every_place_once,
                                                 test_random_unit_and_below_stay_in_range, NULL});
}
