/* The table of relative positions, in double with sine, cosine and power of our own (functions.h),
 * rounded once: the last bits of libm's depend on the machine. */
#include "kernels/functions.h"
#include "kernels/kernels.h"

void kernels_sinusoids(float *out, int64_t first, int64_t clamp, int64_t n, int64_t c)
{
    const double log_base = 0x1.26bb1bbb55516p+3; /* log 10000 */
    const int64_t half = c / 2;
    for (int64_t i = 0; i < half; i++) {
        const double frequency = function_exp_double(-2.0 * (double)i / (double)c * log_base);
        for (int64_t row = 0; row < n; row++) {
            int64_t position = first - row;
            if (clamp > 0) {
                position = position > clamp ? clamp : position < -clamp ? -clamp : position;
            }
            const struct function_circle point = function_circle((double)position * frequency);
            out[row * c + i] = (float)point.sine;
            out[row * c + half + i] = (float)point.cosine;
        }
    }
}
