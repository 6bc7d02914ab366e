/* The order of every sum over columns, in its plainest form: element j goes to lane j mod LANES,
 * ascending; then the lanes are added pairwise. */
#ifndef SHARDLM_KERNELS_REFERENCE_LANES_H
#define SHARDLM_KERNELS_REFERENCE_LANES_H

#include "kernels/kernels.h"

/* Consumes the lanes. */
static inline float lanes_total(float lanes[KERNELS_LANES])
{
    for (int step = KERNELS_LANES / 2; step >= 1; step /= 2) {
        for (int i = 0; i < step; i++) {
            lanes[i] += lanes[i + step];
        }
    }
    return lanes[0];
}

/* Σ (double)value² of values that were added to lanes likewise. Consumes the lanes. */
static inline double square_sums_total(double lanes[KERNELS_LANES])
{
    for (int step = KERNELS_LANES / 2; step >= 1; step /= 2) {
        for (int i = 0; i < step; i++) {
            lanes[i] += lanes[i + step];
        }
    }
    return lanes[0];
}

#endif
