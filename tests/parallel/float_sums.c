/* float_sums: the program shardlm with a float sum in the place of the exact one, which no shape may
 * be: test_shapes.sh demands that its comparison finds it. Linked with kernels_open wrapped. */
#include <math.h>

#include "kernels/kernels.h"

enum status __real_kernels_open(struct kernels *kernels, enum kernels_level level,
                                struct error *error);
enum status __wrap_kernels_open(struct kernels *kernels, enum kernels_level level,
                                struct error *error);

/* The sum is kept as an integer, so that MPI can go on with it, but has a float's 24 bits. */
static bool float_add(int64_t *sums, const float *values, int fraction_bits, int limit_bits,
                      int64_t count)
{
    (void)limit_bits;
    for (int64_t i = 0; i < count; i++) {
        const float sum = (float)ldexp((double)sums[i], -fraction_bits) + values[i];
        sums[i] = (int64_t)ldexp((double)sum, fraction_bits);
    }
    return true;
}

static bool float_finish(float *gradient, double *squares, const int64_t *sums, const float *values,
                         int fraction_bits, int limit_bits, int64_t count)
{
    (void)limit_bits;
    *squares = 0.0;
    for (int64_t i = 0; i < count; i++) {
        const float sum = sums != NULL ? (float)ldexp((double)sums[i], -fraction_bits) : 0.0F;
        gradient[i] = sum + (values != NULL ? values[i] : 0.0F);
        *squares += (double)gradient[i] * (double)gradient[i];
    }
    return true;
}

enum status __wrap_kernels_open(struct kernels *kernels, enum kernels_level level,
                                struct error *error)
{
    TRY(__real_kernels_open(kernels, level, error));
    kernels->fixed_point_add = float_add;
    kernels->fixed_point_finish = float_finish;
    return STATUS_OK;
}
