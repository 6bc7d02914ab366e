/* See norm.h. */
#include "model/norm.h"

#include <stddef.h>

static int64_t norm_width(const struct pass *pass, const struct norm_place *place)
{
    return parameter_of(pass->table, place->group, place->gain)->rows;
}

void norm_join(const struct pass *pass, float *sum, float *normed,
               const struct norm_statistics *statistics, const struct join *join,
               const struct norm_place *place, int64_t n)
{
    const bool norms = place != NULL;
    pass->kernels->residual_norm_forward(
        sum, norms ? normed : NULL, norms ? statistics->mean : NULL,
        norms ? statistics->rstd : NULL, join->residual, join->branch, join->bias, join->bits,
        join->scale, norms ? pass_weight(pass, place->group, place->gain) : NULL,
        norms ? pass_weight(pass, place->group, place->shift) : NULL,
        (float)pass->options->norm_epsilon, n,
        norms ? norm_width(pass, place) : pass->options->hidden);
}

void norm_forward(const struct pass *pass, float *normed, const struct norm_statistics *statistics,
                  float *sum, const struct norm_place *place, int64_t n)
{
    const struct join alone = {.branch = sum, .scale = 1.0F};
    norm_join(pass, sum, normed, statistics, &alone, place, n);
}

void norm_backward(const struct pass *pass, float *d_sum, const struct group_gradient *gradient,
                   const float *d_pass, const float *d_normed, const float *sum,
                   const struct norm_statistics *statistics, const struct norm_place *place,
                   int64_t n)
{
    pass->kernels->norm_backward(
        d_sum, pass_gradient(pass, gradient, place->gain),
        pass_gradient(pass, gradient, place->shift), d_pass, d_normed, sum, statistics->mean,
        statistics->rstd, pass_weight(pass, place->group, place->gain), n, norm_width(pass, place));
}
