/* See golden_run.h; golden_run_compare and golden_run_backward are golden.c's, golden_run_traces
 * golden_trace.c's. */
#include "tests/golden/golden_run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void difference_add(struct difference *difference, double value, double reference)
{
    const double d = value - reference;
    difference->square_sum += d * d;
    difference->reference_square_sum += reference * reference;
    /* a value that is not a number must not pass */
    difference->largest = fabs(d) <= difference->largest ? difference->largest : fabs(d);
}

double difference_relative(const struct difference *difference)
{
    return sqrt(difference->reference_square_sum > 0
                    ? difference->square_sum / difference->reference_square_sum
                    : difference->square_sum);
}

void report(struct run *run, const char *group, bool meets, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)printf("%-24s %-18s ", path_name(run->golden.folder), group);
    (void)vprintf(format, list);
    (void)printf("  %s\n", meets ? "ok" : "MISSED");
    (void)fflush(stdout);
    va_end(list);
    run->missed = run->missed || !meets;
}
