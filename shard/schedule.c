/* See schedule.h. */
#include "shard/schedule.h"

#include <math.h>

static const double inverse_square_root_timescale =
    10000.0; /* transformers' default without warm-up */

double schedule_factor(const struct optimizer_options *options, int64_t s)
{
    const double step = (double)s;
    const double warmup = (double)options->warmup_steps;
    const double total = (double)options->total_steps;
    if (step < warmup) {
        return step / fmax(1.0, warmup);
    }
    switch (options->schedule) {
    case SCHEDULE_NAME_CONSTANT:
        return 1.0;
    case SCHEDULE_NAME_LINEAR:
        return fmax(0.0, (total - step) / fmax(1.0, total - warmup));
    case SCHEDULE_NAME_COSINE: {
        const double progress = fmin(1.0, (step - warmup) / fmax(1.0, total - warmup));
        return fmax(0.0, 0.5 * (1.0 + cos(M_PI * progress)));
    }
    case SCHEDULE_NAME_INVERSE_SQUARE_ROOT: {
        const double timescale = warmup > 0.0 ? warmup : inverse_square_root_timescale;
        return 1.0 / sqrt((step + timescale - warmup) / timescale);
    }
    }
    return 0.0;
}

double schedule_rate(const struct optimizer_options *options, int64_t step)
{
    return options->peak_rate * schedule_factor(options, step);
}
