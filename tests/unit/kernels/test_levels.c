/* kernels_open: what is refused, and that numbers that are not finite are seen. */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "tests/support/suite.h"

START_TEST(test_the_profile_tells_the_reference_apart)
{
    struct kernels reference;
    struct kernels vector;
    struct error error = {0};
    CHECK_OK(kernels_open(&reference, KERNELS_LEVEL_REFERENCE, &error), error);
    CHECK_OK(kernels_open(&vector, KERNELS_LEVEL_AVX2, &error), error);
    ck_assert_str_ne(reference.profile, vector.profile);
}
END_TEST

START_TEST(test_a_level_that_the_processor_lacks_is_refused)
{
    struct kernels kernels;
    struct error error = {0};
    ck_assert_int_ge(kernels_level_best(), KERNELS_LEVEL_AVX2);
    if (kernels_level_best() == KERNELS_LEVEL_AVX2) {
        CHECK_FAILS(kernels_open(&kernels, KERNELS_LEVEL_AVX512, &error), STATUS_INPUT);
        ck_assert_ptr_nonnull(strstr(error.message, "avx512"));
    }
    ck_assert_str_eq(kernels_level_name(KERNELS_LEVEL_REFERENCE), "reference");
}
END_TEST

START_TEST(test_dropout_keeps_the_share_that_its_scale_undoes)
{
    enum { COUNT = 100000 };
    static uint32_t bits[COUNT / 32];
    struct kernels kernels;
    struct error error = {0};
    CHECK_OK(kernels_open(&kernels, KERNELS_LEVEL_AVX2, &error), error);
    const struct kernels_dropout none = kernels_dropout_make(0.0, (struct random_key){{1, 1}}, 0);
    const struct kernels_dropout tenth = kernels_dropout_make(0.1, (struct random_key){{1, 1}}, 0);
    ck_assert_uint_eq(none.threshold, 0);
    ck_assert(none.scale == 1.0F);
    ck_assert_uint_eq(tenth.threshold, 6554);
    kernels.dropout_bits(bits, &tenth, COUNT);
    int64_t kept = 0;
    for (int64_t i = 0; i < COUNT / 32; i++) {
        kept += __builtin_popcount(bits[i]);
    }
    /* standard deviation 95; five of them */
    ck_assert_double_eq_tol((double)kept * (double)tenth.scale, COUNT, 475.0 * 1.12);
    kernels.dropout_bits(bits, &none, COUNT);
    for (int64_t i = 0; i < COUNT / 32; i++) {
        ck_assert_uint_eq(bits[i], UINT32_MAX);
    }
}
END_TEST

START_TEST(test_a_logit_that_is_not_a_number_reaches_the_loss)
{
    struct kernels kernels;
    struct error error = {0};
    const enum kernels_level level = _i == 0 ? KERNELS_LEVEL_REFERENCE : kernels_level_best();
    CHECK_OK(kernels_open(&kernels, level, &error), error);
    for (int place = 0; place < 40; place++) {
        float logits[40] = {0};
        const int32_t target = 3;
        double loss = 0;
        int64_t correct = 0;
        logits[place] = NAN;
        kernels.softmax_cross_entropy(logits, NULL, &target, 0.0F, &loss, &correct, 1, 40);
        ck_assert(isnan(loss));
    }
}
END_TEST

/* Each test runs at the reference level and at the best one, where it asks for one. */
int main(void)
{
    return suite_run_loop("kernels levels",
                          (const TTest *[]){test_the_profile_tells_the_reference_apart,
                                            test_a_level_that_the_processor_lacks_is_refused,
                                            test_dropout_keeps_the_share_that_its_scale_undoes,
                                            test_a_logit_that_is_not_a_number_reaches_the_loss,
                                            NULL},
                          2);
}
