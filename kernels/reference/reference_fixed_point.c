/* Floats to integers of a fixed unit, exactly, and back. A float has 24 significant bits and a
 * power of two none, so the product is exact in double and the only rounding is the one to an
 * integer. */
#include <math.h>

#include "kernels/operations.h"

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

void fixed_point_value_reference(float *values, const int64_t *sums, int fraction_bits,
                                 int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        values[i] = ldexpf((float)sums[i], -fraction_bits);
    }
}

bool fixed_point_set_reference(int64_t *sums, float *back, const float *values, int fraction_bits,
                               int limit_bits, int64_t count)
{
    if (!values_fit(values, limit_bits, count)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        sums[i] = llrint(ldexp((double)values[i], fraction_bits));
    }
    if (back != NULL) {
        fixed_point_value_reference(back, sums, fraction_bits, count);
    }
    return true;
}
