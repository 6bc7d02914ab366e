/* What the tests of kernels against the golden single operations (ops/ of the golden data: results
 * of another implementation with float64 values from the same inputs) share. Relative L2 distance
 * at most 2e-6 forward and 5e-6 backward; where float32 itself loses digits (LayerNorm rows that
 * are nearly constant or far from 0), at most four times the distance of the other implementation's
 * float32 result. */
#ifndef SHARDLM_TESTS_UNIT_KERNELS_GOLDEN_KERNELS_H
#define SHARDLM_TESTS_UNIT_KERNELS_GOLDEN_KERNELS_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tests/support/golden_file.h"
#include "tests/support/suite.h"

static const double forward_max = 2e-6;
static const double backward_max = 5e-6;

static inline void golden_take(struct kernels *kernels, struct golden_file *file, const char *name,
                               int loop)
{
    struct error error = {0};
    const enum kernels_level level = loop == 0 ? KERNELS_LEVEL_REFERENCE : kernels_level_best();
    CHECK_OK(kernels_open(kernels, level, &error), error);
    golden_file_open(file, name);
}

static inline float *floats_of(const struct golden_file *file, const char *name)
{
    const struct golden_tensor tensor = golden_file_find(file, name);
    return golden_floats(&tensor);
}

static inline float *floats_zeroed(int64_t count)
{
    return memory_take((size_t)count, sizeof(float), "test");
}

/* `values` against the float64 tensor NAME.f64, `row` elements at a time from element `first` on.
 */
static inline void rows_check(const struct golden_file *file, const char *name, const float *values,
                              int64_t first, int64_t row, double distance_max, bool relaxed)
{
    char exact_name[128];
    (void)snprintf(exact_name, sizeof exact_name, "%s.f64", name);
    const struct golden_tensor exact = golden_file_find(file, exact_name);
    double *const wanted = golden_doubles(&exact);
    float *const other = floats_of(file, name);
    for (int64_t i = first; i < exact.count; i += row) {
        const double far = golden_distance(values + i, wanted + i, row);
        const double other_far = relaxed ? 4.0 * golden_distance(other + i, wanted + i, row) : 0.0;
        ck_assert_msg(far <= fmax(distance_max, other_far), "%s, %s from element %d: distance %g",
                      file->path, name, (int)i, far);
    }
    memory_release(wanted);
    memory_release(other);
}

static inline void values_check(const struct golden_file *file, const char *name,
                                const float *values, double distance_max)
{
    const struct golden_tensor tensor = golden_file_find(file, name);
    rows_check(file, name, values, 0, tensor.count, distance_max, false);
}

#endif
