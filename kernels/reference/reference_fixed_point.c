/* Floats to integers of a fixed unit, exactly, and back. A float has 24 significant bits and a
 * power of two none, so the product is exact in double and the only rounding is the one to an
 * integer. */
#include <math.h>

#include "kernels/operations.h"
#include "kernels/reference/reference_lanes.h"

static bool values_fit(const float *values, int limit_bits, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!(fabs((double)values[i]) < ldexp(1.0, limit_bits))) {
            return false;
        }
    }
    return true;
}

bool fixed_point_add_reference(int64_t *sums, const float *values, int fraction_bits,
                               int limit_bits, int64_t count)
{
    if (!values_fit(values, limit_bits, count)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        sums[i] += llrint(ldexp((double)values[i], fraction_bits));
    }
    return true;
}

bool fixed_point_set_reference(int64_t *sums, const float *values, int fraction_bits,
                               int limit_bits, int64_t count)
{
    if (!values_fit(values, limit_bits, count)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        sums[i] = llrint(ldexp((double)values[i], fraction_bits));
    }
    return true;
}

bool fixed_point_finish_reference(float *gradient, double *squares, const int64_t *sums,
                                  const float *values, int fraction_bits, int limit_bits,
                                  int64_t count)
{
    double lanes[KERNELS_LANES] = {0};
    if (values != NULL && !values_fit(values, limit_bits, count)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t sum = sums != NULL ? sums[i] : 0;
        sum += values != NULL ? llrint(ldexp((double)values[i], fraction_bits)) : 0;
        gradient[i] = ldexpf((float)sum, -fraction_bits);
        lanes[i % KERNELS_LANES] += (double)gradient[i] * (double)gradient[i];
    }
    *squares = square_sums_total(lanes);
    return true;
}
