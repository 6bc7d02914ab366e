/* Gradients against finite differences of a scalar, by the five-point rule with step h = 2^-5: its
 * own error is h^4/30 of the fifth derivative (3e-8), and that of float outputs about 6e-8/h (2e-6)
 * of their size for each of the outputs that a parameter reaches; 2e-4 of the gradient's norm
 * leaves room for cancellation. */
#ifndef SHARDLM_TESTS_UNIT_KERNELS_FINITE_DIFFERENCE_H
#define SHARDLM_TESTS_UNIT_KERNELS_FINITE_DIFFERENCE_H

#include <math.h>

#include "tests/support/suite.h"

static const double finite_difference_max = 2e-4;

typedef double (*scalar_function)(void *context);

static inline double derivative(void *context, scalar_function scalar, float *place)
{
    const float h = 0x1p-5F;
    const float before = *place;
    double difference = 0;
    static const double factors[] = {1.0, -8.0, 0.0, 8.0, -1.0};
    for (int i = -2; i <= 2; i++) {
        *place = before + (float)i * h;
        difference += factors[i + 2] * (i == 0 ? 0.0 : scalar(context));
    }
    *place = before;
    return difference / (12.0 * (double)h);
}

static inline void gradient_check(const char *what, void *context, scalar_function scalar,
                                  float *parameters, const float *gradient, int64_t count)
{
    double difference = 0;
    double size = 0;
    for (int64_t i = 0; i < count; i++) {
        const double wanted = derivative(context, scalar, parameters + i);
        difference += ((double)gradient[i] - wanted) * ((double)gradient[i] - wanted);
        size += wanted * wanted;
    }
    ck_assert_msg(difference <= finite_difference_max * finite_difference_max * size && size > 0,
                  "gradient of %s is off by %g of %g", what, sqrt(difference), sqrt(size));
}

#endif
