/* kernels: the exact accumulator. Expectations come from 128-bit integers, not from floating point.
 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "kernels/kernels.h"
#include "tests/support/suite.h"

__extension__ typedef __int128 wide;

/* value · 2^fraction_bits to nearest even, from the bits of the float. */
static int64_t exact_rounded(float value, int fraction_bits)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int exponent = (int)(bits >> 23 & 0xff);
    wide whole = bits & 0x7fffff;
    if (exponent > 0) {
        whole |= 1 << 23;
    }
    const int shift = (exponent > 0 ? exponent : 1) - 150 + fraction_bits;
    if (shift >= 0) {
        whole <<= shift;
    } else if (shift < -60) {
        whole = 0;
    } else {
        const wide unit = (wide)1 << -shift;
        const wide rest = whole % unit;
        whole /= unit;
        if (2 * rest > unit || (2 * rest == unit && whole % 2 == 1)) {
            whole++;
        }
    }
    return (int64_t)(bits >> 31 != 0 ? -whole : whole);
}

static void kernels_take(struct kernels *kernels, int loop)
{
    struct error error = {0};
    const enum kernels_level level = loop == 0 ? KERNELS_LEVEL_REFERENCE : kernels_level_best();
    CHECK_OK(kernels_open(kernels, level, &error), error);
}

/* Sums are finished with nothing more, and all but the last value of each with that; the gradient
 * stands elsewhere, or where the sums do. */
static void finish_check(const struct kernels *kernels, const float *values, int64_t count,
                         int fraction_bits, int limit_bits)
{
    int64_t *const sums = memory_take((size_t)count, sizeof *sums, "test");
    float *const wanted = memory_take((size_t)count, sizeof *wanted, "test");
    float *const apart = memory_take((size_t)count + 1, sizeof *apart, "test");
    for (int64_t before = 0; before < 3;
         before++) { /* nothing stands there; nothing follows; both */
        const float *const last = before == 1 ? NULL : values;
        for (int64_t i = 0; i < count; i++) {
            const int64_t sum = exact_rounded(values[i], fraction_bits);
            sums[i] = before == 2 ? i * 1000003 : sum;
            wanted[i] = ldexpf((float)(before == 2 ? sums[i] + sum : sum), -fraction_bits);
        }
        const double square = kernels->square_sum(wanted, count);
        for (int64_t place = 0; place < 3; place++) { /* of two alignments, and in place */
            float *const gradient = place < 2 ? apart + place : (float *)sums;
            double squares = -1;
            ck_assert(kernels->fixed_point_finish(gradient, &squares, before == 0 ? NULL : sums,
                                                  last, fraction_bits, limit_bits, count));
            ck_assert_mem_eq(gradient, wanted, (size_t)count * sizeof *wanted);
            ck_assert_mem_eq(&squares, &square, sizeof square);
        }
    }
    memory_release(apart);
    memory_release(wanted);
    memory_release(sums);
}

/* Each value is added to 5, alone (so that the way taken depends on it) and among others; and
 * written over 5, from either of two alignments on. */
static void values_check(const struct kernels *kernels, const float *values, int64_t count,
                         int fraction_bits, int limit_bits)
{
    int64_t *const sums = memory_take((size_t)count, sizeof *sums, "test");
    ck_assert(kernels->fixed_point_add(sums, values, fraction_bits, limit_bits, count));
    for (int64_t i = 0; i < count; i++) {
        const int64_t wanted = exact_rounded(values[i], fraction_bits);
        int64_t alone = 5;
        ck_assert_int_eq(sums[i], wanted);
        ck_assert(kernels->fixed_point_add(&alone, values + i, fraction_bits, limit_bits, 1));
        ck_assert_int_eq(alone, wanted + 5);
        ck_assert(kernels->fixed_point_set(&alone, values + i, fraction_bits, limit_bits, 1));
        ck_assert_int_eq(alone, wanted);
    }
    for (int64_t first = 0; first < 2; first++) {
        for (int64_t i = 0; i < count; i++) {
            sums[i] = 5;
        }
        ck_assert(kernels->fixed_point_set(sums + first, values + first, fraction_bits, limit_bits,
                                           count - first));
        for (int64_t i = 0; i < count; i++) {
            ck_assert_int_eq(sums[i], i < first ? 5 : exact_rounded(values[i], fraction_bits));
        }
    }
    memory_release(sums);
    finish_check(kernels, values, count, fraction_bits, limit_bits);
}

START_TEST(test_every_scale_of_value_is_rounded_exactly)
{
    enum { COUNT = 4099 };
    struct kernels kernels;
    kernels_take(&kernels, _i);
    float values[COUNT];
    struct random_stream stream =
        random_stream_make(random_key_make(11, RANDOM_PURPOSE_TEST, 0), 0);
    for (int fraction_bits = 0; fraction_bits <= 54; fraction_bits += 9) {
        for (int64_t i = 0; i < COUNT; i++) {
            const double size = ldexp(1.0, (int)random_stream_below(&stream, 68) - 60);
            values[i] = (float)((2.0 * random_stream_unit(&stream) - 1.0) * size);
        }
        values_check(&kernels, values, COUNT, fraction_bits, 7);
    }
}
END_TEST

START_TEST(test_half_way_cases_go_to_even)
{
    struct kernels kernels;
    kernels_take(&kernels, _i);
    float values[400];
    for (int i = 0; i < 400; i++) {
        values[i] = (float)(i - 200) * 0.5F;
    }
    values_check(&kernels, values, 400, 0, 7);
    for (int i = 0; i < 400; i++) {
        values[i] = ldexpf((float)(i - 200) + 0.5F, -54);
    }
    values_check(&kernels, values, 400, 54, 7);
    /* around the first float that is whole */
    for (int i = 0; i < 400; i++) {
        const float half = (float)(i % 100 - 50) * 0.5F;
        const float value = ldexpf(1.0F, 22 + i / 200) + half;
        values[i] = i % 200 < 100 ? value : -value;
    }
    values_check(&kernels, values, 400, 0, 24);
    for (int i = 0; i < 400; i++) {
        values[i] = ldexpf((float)(i - 200) + 0.5F, -54);
    }
    /* the same beside a value that takes the wide way */
    values[7] = 100.0F;
    values_check(&kernels, values, 400, 54, 7);
}
END_TEST

START_TEST(test_the_least_and_largest_values_are_exact)
{
    struct kernels kernels;
    kernels_take(&kernels, _i);
    const float below = nextafterf(256.0F, 0.0F);
    const float values[] = {0.0F,
                            -0.0F,
                            0x1p-149F,
                            -0x1p-149F,
                            0x1.8p-55F,
                            0x1p-55F,
                            -0x1p-55F,
                            nextafterf(0x1p-55F, 1.0F),
                            below,
                            -below,
                            0x1p-3F,
                            -0x1p-3F,
                            nextafterf(0x1p-3F, 0.0F),
                            nextafterf(0x1p-3F, 1.0F),
                            0x1.fffffep-23F};
    values_check(&kernels, values, ARRAY_LENGTH(values), 54, 8);
}
END_TEST

START_TEST(test_a_value_outside_the_limit_adds_nothing)
{
    struct kernels kernels;
    kernels_take(&kernels, _i);
    const float bad[] = {256.0F, -256.0F, 1e30F, INFINITY, -INFINITY, NAN};
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        for (int64_t place = 0; place < 37; place++) {
            float values[37];
            int64_t sums[37] = {0};
            for (int j = 0; j < 37; j++) {
                values[j] = 1.0F;
            }
            values[place] = bad[i];
            ck_assert(!kernels.fixed_point_add(sums, values, 54, 8, 37));
            ck_assert(!kernels.fixed_point_set(sums, values, 54, 8, 37));
            _Alignas(64) float gradient[38];
            double squares;
            ck_assert(!kernels.fixed_point_finish(gradient, &squares, sums, values, 54, 8, 37));
            for (int64_t first = 0; first < 2; first++) { /* whole lines, and none */
                ck_assert(!kernels.fixed_point_finish(gradient + first, &squares, NULL, values, 54,
                                                      8, 37));
            }
            for (int j = 0; j < 37; j++) {
                ck_assert_int_eq(sums[j], 0);
            }
        }
    }
}
END_TEST

START_TEST(test_sums_do_not_depend_on_the_order)
{
    enum { PARTS = 31, COUNT = 133 };
    struct kernels kernels;
    kernels_take(&kernels, _i);
    float values[PARTS][COUNT];
    int64_t forward[COUNT] = {0};
    int64_t permuted[COUNT] = {0};
    const struct random_key key = random_key_make(5, RANDOM_PURPOSE_TEST, 1);
    struct random_stream stream = random_stream_make(key, 0);
    for (int part = 0; part < PARTS; part++) {
        for (int i = 0; i < COUNT; i++) {
            const double size = ldexp(1.0, (int)random_stream_below(&stream, 30) - 25);
            values[part][i] = (float)((2.0 * random_stream_unit(&stream) - 1.0) * size);
        }
    }
    for (uint64_t part = 0; part < PARTS; part++) {
        ck_assert(kernels.fixed_point_add(forward, values[part], 40, 8, COUNT));
        const uint64_t other = random_permute(key, PARTS, part);
        ck_assert(kernels.fixed_point_add(permuted, values[other], 40, 8, COUNT));
    }
    ck_assert_mem_eq(forward, permuted, sizeof forward);
}
END_TEST

START_TEST(test_a_sum_becomes_a_float_with_one_rounding)
{
    struct kernels kernels;
    kernels_take(&kernels, _i);
    /* 2^60 + 2^36 is half way between two floats; one more unit decides, which a detour over double
     * would lose */
    const int64_t half = (INT64_C(1) << 60) + (INT64_C(1) << 36);
    const int64_t sums[] = {0, 1, -1, half, half + 1, half - 1, -half - 1, INT64_MAX, INT64_MIN};
    const float wanted[] = {0.0F,   0x1p-54F,       -0x1p-54F, 0x1p6F, 0x1.000002p6F,
                            0x1p6F, -0x1.000002p6F, 0x1p9F,    -0x1p9F};
    float values[9];
    double squares;
    ck_assert(kernels.fixed_point_finish(values, &squares, sums, NULL, 54, 8, 9));
    ck_assert_mem_eq(values, wanted, sizeof values);
}
END_TEST

/* Each test runs at the reference level and at the best one. */
int main(void)
{
    return suite_run_loop("kernels fixed point",
                          (const TTest *[]){test_every_scale_of_value_is_rounded_exactly,
                                            test_half_way_cases_go_to_even,
                                            test_the_least_and_largest_values_are_exact,
                                            test_a_value_outside_the_limit_adds_nothing,
                                            test_sums_do_not_depend_on_the_order,
                                            test_a_sum_becomes_a_float_with_one_rounding, NULL},
                          2);
}
