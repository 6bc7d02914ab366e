/* What one folder's run of the program golden carries, and how it measures and reports. */
#ifndef SHARDLM_TESTS_GOLDEN_GOLDEN_RUN_H
#define SHARDLM_TESTS_GOLDEN_GOLDEN_RUN_H

#include <stdbool.h>

#include "tests/golden/golden_case.h"

struct run {
    struct golden_case golden;
    struct kernels kernels;
    struct model *model;
    float *gradient; /* flat space */
    bool missed;     /* a tolerance */
};

struct difference {
    double square_sum;
    double reference_square_sum;
    double largest;
};

void difference_add(struct difference *difference, double value, double reference);
double difference_relative(const struct difference *difference); /* |a - b| / |b| */

/* Prints a line and notes a miss. */
void report(struct run *run, const char *group, bool meets, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* Reports how far an output is from the reference's. */
void golden_run_compare(struct run *run, const char *group, const struct difference *difference);

/* Gradient of the mean loss into run->gradient; returns the mean loss. */
double golden_run_backward(struct run *run);

/* Repeats the recorded training runs of case.json, of AdamW and, where there is one, LAMB. The weights stay as they
 * were. */
void golden_run_traces(struct run *run);

#endif
