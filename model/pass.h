/* What one call of the model carries through its parts, and how a part finds its weights, its gradients and its
 * dropout. Everything is borrowed for the time of the call. */
#ifndef SHARDLM_MODEL_PASS_H
#define SHARDLM_MODEL_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "data_pipeline/batch.h"
#include "kernels/kernels.h"
#include "model/model_options.h"
#include "model/parameter_gate.h"
#include "model/parameters.h"
#include "model/parts.h"
#include "model/streams.h"

struct pass {
    const struct kernels *kernels;
    const struct model_options *options;
    const struct parameter_table *table;
    const struct batch *batch;
    const float *weights; /* the flat space */
    const struct parameter_gate *gate; /* to them; NULL: all are at hand */
    int64_t row_count;    /* R = N + Q: tokens, behind them the rows of the query stream */
    const int32_t *target_rows;           /* (K) of those */
    const int32_t *needed_rows;           /* (needed_count) of the last state, ascending; NULL: all (needed.h) */
    int64_t needed_count;
    struct streams streams;               /* XLNet: who sees whom; else empty */
    struct kernels_visibility visibility; /* the batch's; lists NULL: none */
    const struct parts *parts;     /* which of the cut tensors are here */
    struct attention_cache *cache; /* what came before the batch; NULL: nothing did */
    bool trains;          /* dropout is on, and what backward needs is kept */
};

/* Gradient of one group: written by matrix products, added to by everything else. */
struct group_gradient {
    int64_t group;
    float *values; /* as gradient_blocks.h says */
    bool adds;     /* a higher layer with the same tensors has begun it: products are added too */
};

/* Places where something is dropped; part of a run's bits: never renumber, only append, below PASS_PLACES. */
enum pass_place {
    PASS_PLACE_EMBEDDINGS = 0, /* with layer 0 */
    PASS_PLACE_PROBABILITIES = 1,
    PASS_PLACE_ATTENTION = 2,
    PASS_PLACE_FEED_FORWARD = 3,
    PASS_PLACE_QUERY_PROBABILITIES = 4, /* of the query stream */
    PASS_PLACES = 8,
};

const float *pass_weight(const struct pass *pass, int64_t group, enum parameter_role role);
/* Whether the family has it; and its values, or NULL. */
bool pass_has(const struct pass *pass, int64_t group, enum parameter_role role);
const float *pass_weight_maybe(const struct pass *pass, int64_t group, enum parameter_role role);
float *pass_gradient(const struct pass *pass, const struct group_gradient *gradient,
                     enum parameter_role role);

/* Zeroes what is added to: vectors and tables; nothing if the gradient was begun before. Matrices of `group` are
 * overwritten by linear_backward, and the padding was zero from the start. */
void pass_gradient_begin(const struct pass *pass, const struct group_gradient *gradient);

/* Zeroes all of it. */
void pass_gradient_clear(const struct pass *pass, const struct group_gradient *gradient);

/* Dropout of rate `rate` at (layer, place); nothing is dropped unless the pass trains. */
struct kernels_dropout pass_dropout(const struct pass *pass, double rate, int64_t layer,
                                    enum pass_place place);
/* Draws the kept-bits of `count` elements into `bits`; NULL if nothing is dropped. */
const uint32_t *pass_dropout_bits(const struct pass *pass, const struct kernels_dropout *dropout,
                                  uint32_t *bits, int64_t count);

/* y = x·Wᵀ, without the bias: what follows adds it. W (out, in) at `role`. */
void pass_linear(const struct pass *pass, float *y /* (n, out) */, const float *x /* (n, in) */,
                 int64_t group, enum parameter_role role, int64_t n, int64_t out, int64_t in);
/* Its backward: dW = dyᵀ·x is written, or added; dx = dy·W + (add ? dx : 0). */
void pass_linear_weight_gradient(const struct pass *pass, const struct group_gradient *gradient,
                                 enum parameter_role role, const float *d_y /* (n, out) */,
                                 const float *x /* (n, in) */, int64_t n, int64_t out, int64_t in);
void pass_linear_backward(const struct pass *pass, float *d_x /* (n, in) */, bool add,
                          const float *d_y /* (n, out) */, int64_t group, enum parameter_role role,
                          int64_t n, int64_t out, int64_t in);

bool pass_is_relative(const struct pass *pass);                        /* attention by distance */
enum kernels_activation pass_activation(const struct pass *pass);      /* of the layers */
enum kernels_activation pass_head_activation(const struct pass *pass); /* of the MLM head */

#endif
