/* kernels/functions.h against libm's double functions, densely: the errors that its header states.
 */
#include "kernels/functions.h"

#include "tests/support/suite.h"

/* |value - exact| in units of the last place of exact as a float. */
static double ulps(float value, double exact)
{
    int exponent;
    (void)frexp(exact, &exponent);
    return fabs((double)value - exact) / ldexp(1.0, exponent - 24);
}

START_TEST(test_exp_is_within_an_ulp_over_its_range)
{
    double worst = 0;
    for (int i = 0; i <= 4000000; i++) {
        const float x = (float)(-87.0 + i * (175.0 / 4000000));
        worst = fmax(worst, ulps(function_exp(x), exp((double)x)));
    }
    ck_assert_msg(worst < 1.1, "%g ulp", worst);
}
END_TEST

START_TEST(test_exp_meets_its_limits)
{
    ck_assert(function_exp(0.0F) == 1.0F);
    ck_assert(function_exp(-0.0F) == 1.0F);
    ck_assert(function_exp(-87.00001F) == 0.0F);
    ck_assert(function_exp(-3e38F) == 0.0F);
    ck_assert(function_exp(-INFINITY) == 0.0F);
    ck_assert(isnan(function_exp(NAN)));
    ck_assert(isnormal(function_exp(-87.0F)));
    ck_assert(isfinite(function_exp(88.0F)));
}
END_TEST

START_TEST(test_both_tails_of_the_normal_distribution_keep_their_relative_accuracy)
{
    double worst_below = 0;
    double worst_density = 0;
    for (int i = 0; i <= 2000000; i++) {
        const float x = (float)(-13.0 + i * (26.0 / 2000000));
        const struct function_normal normal = function_normal(x);
        const double below = 0.5 * erfc(-(double)x / sqrt(2.0));
        const double density =
            exp(-0.5 * (double)x * (double)x) / sqrt(2.0 * 3.14159265358979323846);
        worst_below = fmax(worst_below, fabs((double)normal.below / below - 1.0));
        worst_density = fmax(worst_density, fabs((double)normal.density / density - 1.0));
    }
    ck_assert_msg(worst_below < 5e-7, "below %g", worst_below);
    ck_assert_msg(worst_density < 3e-7, "density %g", worst_density);
}
END_TEST

/* What an activation adds up to over a grid, as relative L2 distance to double. */
static double activation_distance(float (*activation)(float), double (*exact)(double))
{
    double difference = 0;
    double size = 0;
    for (int i = 0; i <= 400000; i++) {
        const float x = (float)(-20.0 + i * (40.0 / 400000));
        const double wanted = exact((double)x);
        difference += ((double)activation(x) - wanted) * ((double)activation(x) - wanted);
        size += wanted * wanted;
    }
    return sqrt(difference / size);
}

static double gelu_exact(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2.0));
}

static double gelu_slope_exact(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-0.5 * x * x) / sqrt(2.0 * 3.14159265358979323846);
}

static const double root = 0.79788456080286535588; /* sqrt(2 / pi) */

static double gelu_tanh_exact(double x)
{
    return 0.5 * x * (1.0 + tanh(root * (x + 0.044715 * x * x * x)));
}

static double gelu_tanh_slope_exact(double x)
{
    const double t = tanh(root * (x + 0.044715 * x * x * x));
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * root * (1.0 + 3.0 * 0.044715 * x * x);
}

START_TEST(test_activations_and_slopes_follow_their_formulas)
{
    ck_assert_double_lt(activation_distance(function_gelu, gelu_exact), 2e-7);
    ck_assert_double_lt(activation_distance(function_gelu_slope, gelu_slope_exact), 2e-7);
    ck_assert_double_lt(activation_distance(function_gelu_tanh, gelu_tanh_exact), 2e-7);
    ck_assert_double_lt(activation_distance(function_gelu_tanh_slope, gelu_tanh_slope_exact), 2e-7);
}
END_TEST

START_TEST(test_activations_stay_finite_for_every_finite_input)
{
    static const float inputs[] = {0.0F, -0.0F, 1e-40F, 20.0F, 1e4F, 1e19F, 1e30F, 3.4e38F};
    for (int64_t i = 0; i < ARRAY_LENGTH(inputs); i++) {
        const float x = inputs[i];
        ck_assert(function_gelu(x) == (x < 1.0F ? x * 0.5F : x));
        ck_assert(function_gelu_tanh(x) == (x < 1.0F ? x * 0.5F : x));
        ck_assert(function_gelu_slope(x) == (x < 1.0F ? 0.5F : 1.0F));
        ck_assert(function_gelu_tanh_slope(x) == (x < 1.0F ? 0.5F : 1.0F));
        if (x >= 20.0F) {
            ck_assert(function_gelu(-x) == 0.0F && function_gelu_slope(-x) == 0.0F);
            ck_assert(function_gelu_tanh(-x) == 0.0F && function_gelu_tanh_slope(-x) == 0.0F);
        }
    }
    ck_assert(isnan(function_gelu(NAN)) && isnan(function_gelu_tanh(NAN)));
    ck_assert(isnan(function_gelu_slope(NAN)) && isnan(function_gelu_tanh_slope(NAN)));
}
END_TEST

START_TEST(test_tanh_and_its_slope_keep_their_relative_accuracy)
{
    double worst = 0;
    double worst_slope = 0;
    for (int i = -1000000; i <= 1000000; i++) {
        const float x = (float)i * 0x1p-16F + 0x1p-20F;
        const double e = exp(-2.0 * fabs((double)x));
        const double slope = 4.0 * e / ((1.0 + e) * (1.0 + e));
        worst = fmax(worst, ulps(function_tanh(x), tanh((double)x)));
        worst_slope = fmax(worst_slope, fabs((double)function_tanh_slope(x) / slope - 1.0));
    }
    ck_assert_msg(worst < 2.0, "%g ulp", worst);
    ck_assert_msg(worst_slope < 5e-7, "slope %g", worst_slope);
}
END_TEST

START_TEST(test_tanh_meets_its_limits)
{
    ck_assert(function_tanh(0.0F) == 0.0F && function_tanh_slope(0.0F) == 1.0F);
    ck_assert(function_tanh(1e-30F) == 1e-30F);
    ck_assert(function_tanh(3.4e38F) == 1.0F && function_tanh_slope(3.4e38F) == 0.0F);
    ck_assert(function_tanh(-INFINITY) == -1.0F && function_tanh_slope(-INFINITY) == 0.0F);
    ck_assert(isnan(function_tanh(NAN)) && isnan(function_tanh_slope(NAN)));
}
END_TEST

START_TEST(test_log_is_within_two_ulp)
{
    double worst = 0;
    for (int i = 1; i <= 1000000; i++) {
        const double x = ldexp(1.0 + i * 1.37e-6, i % 300 - 100);
        const double exact = log(x);
        int exponent;
        (void)frexp(exact, &exponent);
        worst = fmax(worst, fabs(function_log(x) - exact) / ldexp(1.0, exponent - 53));
    }
    ck_assert_msg(worst <= 2.0, "%g ulp", worst);
    ck_assert(function_log(1.0) == 0.0);
    ck_assert(isinf(function_log((double)INFINITY)));
    ck_assert(isnan(function_log((double)NAN)));
}
END_TEST

START_TEST(test_exp_in_double_is_within_three_ulp)
{
    double worst = 0;
    for (int i = -700000; i <= 700000; i++) {
        const double x = i * 0.999e-3;
        const double exact = exp(x);
        int exponent;
        (void)frexp(exact, &exponent);
        worst = fmax(worst, fabs(function_exp_double(x) - exact) / ldexp(1.0, exponent - 53));
    }
    ck_assert_msg(worst <= 3.0, "%g ulp", worst);
    ck_assert(function_exp_double(0.0) == 1.0);
}
END_TEST

START_TEST(test_sine_and_cosine_hold_over_all_positions)
{
    double worst = 0;
    for (int i = -1000000; i <= 1000000; i++) {
        const double angle = i % 2 == 0 ? i * 0.262143 : i * 1e-5;
        const struct function_circle point = function_circle(angle);
        worst = fmax(worst, fabs(point.sine - sin(angle)));
        worst = fmax(worst, fabs(point.cosine - cos(angle)));
    }
    ck_assert_msg(worst < 1e-15, "%g", worst);
    ck_assert(function_circle(0.0).sine == 0.0 && function_circle(0.0).cosine == 1.0);
}
END_TEST

int main(void)
{
    return suite_run(
        "kernels functions",
        (const TTest *[]){test_exp_is_within_an_ulp_over_its_range, test_exp_meets_its_limits,
                          test_both_tails_of_the_normal_distribution_keep_their_relative_accuracy,
                          test_activations_and_slopes_follow_their_formulas,
                          test_activations_stay_finite_for_every_finite_input,
                          test_tanh_and_its_slope_keep_their_relative_accuracy,
                          test_tanh_meets_its_limits, test_log_is_within_two_ulp,
                          test_exp_in_double_is_within_three_ulp,
                          test_sine_and_cosine_hold_over_all_positions, NULL});
}
