/* LayerNorm as the network uses it (C below is the width of its gain): on a residual sum (forward), alone (again, for
 * backward), and its backward. */
#ifndef SHARDLM_MODEL_NORM_H
#define SHARDLM_MODEL_NORM_H

#include "model/activations.h"
#include "model/pass.h"

/* A LayerNorm's parameters; gain's and shift's roles in `group`. Its width is theirs. */
struct norm_place {
    int64_t group;
    enum parameter_role gain;
    enum parameter_role shift;
};

/* One branch joining the residual stream: sum = residual + dropout(branch + bias). */
struct join {
    const float *residual; /* (n, C) */
    const float *branch;   /* (n, C) */
    const float *bias;     /* (C) */
    const uint32_t *bits;  /* NULL: nothing dropped */
    float scale;
};

/* sum (n, C) from `join`, and normed (n, C) = LayerNorm(sum); `place` NULL: only the sum. */
void norm_join(const struct pass *pass, float *sum, float *normed,
               const struct norm_statistics *statistics, const struct join *join,
               const struct norm_place *place, int64_t n);
/* normed = LayerNorm(sum); may be called again in backward, with the same bits. */
void norm_forward(const struct pass *pass, float *normed, const struct norm_statistics *statistics,
                  float *sum, const struct norm_place *place, int64_t n);
/* d_sum = (d_pass or 0) + gradient through the norm; gain's and shift's gradients are added to. */
void norm_backward(const struct pass *pass, float *d_sum, const struct group_gradient *gradient,
                   const float *d_pass, const float *d_normed, const float *sum,
                   const struct norm_statistics *statistics, const struct norm_place *place,
                   int64_t n);

#endif
