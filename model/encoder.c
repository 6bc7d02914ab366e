/* See encoder.h. Scratch (N, C): in forward, the hidden state of post-norm, a norm's output, the
 * needed rows of what a branch is added to, a branch; in backward, the gradient of the stream, a
 * second gradient, values computed again, the gradient of a branch. A layer's forward that is run
 * again reads what entered the layer where backward has its values computed again, and leaves the
 * gradient of the stream alone. */
#include "model/encoder.h"

#include <string.h>

#include "model/attention.h"
#include "model/embedding.h"
#include "model/feed_forward.h"
#include "model/needed.h"
#include "model/norm.h"
#include "model/two_stream.h"

enum { HIDDEN = 0, NORMED = 1, RESIDUAL = 2, BRANCH = 3 };
enum { D_STREAM = 0, D_SECOND = 1, AGAIN = 2, D_BRANCH = 3 };

static bool encoder_is_pre(const struct pass *pass)
{
    return pass->options->norm == MODEL_NORM_PRE;
}

static struct norm_place attention_norm_place(const struct pass *pass, int64_t layer)
{
    return (struct norm_place){
        .group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_ATTENTION),
        .gain = PARAMETER_ATTENTION_NORM_GAIN,
        .shift = PARAMETER_ATTENTION_NORM_SHIFT};
}

static struct norm_place feed_forward_norm_place(const struct pass *pass, int64_t layer)
{
    return (struct norm_place){
        .group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_FEED_FORWARD),
        .gain = PARAMETER_FEED_FORWARD_NORM_GAIN,
        .shift = PARAMETER_FEED_FORWARD_NORM_SHIFT};
}

static struct norm_place final_norm_place(const struct pass *pass)
{
    return (struct norm_place){.group = parameter_head_group(pass->table),
                               .gain = PARAMETER_FINAL_NORM_GAIN,
                               .shift = PARAMETER_FINAL_NORM_SHIFT};
}

/* residual + dropout(branch + bias), the dropout drawn here and its bits kept. */
static struct join branch_join(const struct pass *pass, int64_t layer, enum pass_place place,
                               const float *bias, const float *residual, const float *branch,
                               uint32_t *bits)
{
    const struct kernels_dropout dropout = pass_dropout(pass, pass->options->dropout, layer, place);
    const int64_t count = pass->row_count * pass->options->hidden;
    return (struct join){
        .residual = residual,
        .branch = branch,
        .bias = bias,
        .bits = pass_dropout_bits(pass, &dropout, bits, count),
        .scale = dropout.scale,
    };
}

static struct join attention_join(const struct pass *pass, int64_t layer, const float *residual,
                                  const float *branch, const struct layer_activations *kept)
{
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_ATTENTION);
    return branch_join(pass, layer, PASS_PLACE_ATTENTION,
                       pass_weight_maybe(pass, group, PARAMETER_ATTENTION_BIAS), residual, branch,
                       kept->attention_bits);
}

static struct join feed_forward_join(const struct pass *pass, int64_t layer, const float *residual,
                                     const float *branch, const struct layer_activations *kept)
{
    const int64_t group = parameter_layer_group(pass->table, layer, PARAMETER_HALF_FEED_FORWARD);
    return branch_join(pass, layer, PASS_PLACE_FEED_FORWARD,
                       pass_weight(pass, group, PARAMETER_OUTER_BIAS), residual, branch,
                       kept->feed_forward_bits);
}

/* Gradient of a branch from that of its residual sum: dropout's backward, into `scratch` where
 * anything is dropped. */
static const float *branch_gradient(const struct pass *pass, int64_t layer, enum pass_place place,
                                    const float *d_sum, const uint32_t *bits, float *scratch)
{
    const struct kernels_dropout dropout = pass_dropout(pass, pass->options->dropout, layer, place);
    if (dropout.threshold == 0) {
        return d_sum;
    }
    pass->kernels->dropout_apply(scratch, d_sum, bits, dropout.scale,
                                 pass->row_count * pass->options->hidden);
    return scratch;
}

/* Attention of either kind (attention.h, two_stream.h), forward and the halves of backward. */
static void heads_forward(const struct pass *pass, const struct activations *activations,
                          int64_t layer, float *branch, const float *in)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    if (pass_is_relative(pass)) {
        two_stream_forward(pass, layer, branch, in, kept, &activations->relative);
    } else {
        attention_forward(pass, layer, branch, in, kept, activations->narrow[BRANCH],
                          activations->attention_scratch);
    }
}

static void heads_backward(const struct pass *pass, const struct activations *activations,
                           int64_t layer, const float *d_branch,
                           const struct group_gradient *gradient)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    float *const d_heads = activations->narrow[AGAIN];
    if (pass_is_relative(pass)) {
        two_stream_backward_heads(pass, layer, activations->wide, d_heads, d_branch, kept,
                                  &activations->relative, gradient);
    } else {
        attention_backward_heads(pass, layer, activations->wide, d_heads, d_branch, kept,
                                 activations->attention_scratch, gradient);
    }
}

static void heads_backward_input(const struct pass *pass, const struct activations *activations,
                                 float *d_in, bool add, const float *in,
                                 const struct group_gradient *gradient)
{
    if (pass_is_relative(pass)) {
        two_stream_backward_input(pass, d_in, add, activations->wide, in, &activations->relative,
                                  gradient);
    } else {
        attention_backward_input(pass, d_in, add, activations->wide, in, gradient);
    }
}

/* Puts the states that the batch brings along in the place of what would enter `layer`. */
static void rows_recall(const struct pass *pass, int64_t layer, float *in)
{
    const struct batch *const batch = pass->batch;
    const int64_t c = pass->options->hidden;
    for (int64_t b = 0; b < batch->sequence_count && batch->recalled != NULL; b++) {
        const int64_t first = batch->starts[b];
        const int64_t count = (batch->starts[b + 1] - first) * c;
        if (batch->recalled[b] != NULL) {
            memcpy(in + first * c, batch->recalled[b] + layer * count, (size_t)count * sizeof *in);
        }
    }
}

/* The attention half of a layer that reads `in`, with the norm behind it; returns what enters the
 * feed-forward, of the needed rows. */
static const float *attention_half_forward(const struct pass *pass,
                                           const struct activations *activations, int64_t layer,
                                           float *in)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    const struct pass needed = needed_pass(pass, layer);
    const bool pre = encoder_is_pre(pass);
    float *const normed = activations->narrow[NORMED];
    float *const branch = activations->narrow[BRANCH];
    const struct norm_place attention_norm = attention_norm_place(pass, layer);
    const struct norm_place feed_forward_norm = feed_forward_norm_place(pass, layer);
    if (pre) {
        norm_forward(pass, normed, &kept->attention_norm, in, &attention_norm, pass->row_count);
    }
    heads_forward(pass, activations, layer, branch, pre ? normed : in);
    const float *const residual =
        needed_gather(pass, layer, activations->narrow[RESIDUAL], in, pass->options->hidden);
    const struct join attention = attention_join(&needed, layer, residual, branch, kept);
    norm_join(&needed, kept->attention_sum, normed,
              pre ? &kept->feed_forward_norm : &kept->attention_norm, &attention,
              pre ? &feed_forward_norm : &attention_norm, needed.row_count);
    return normed;
}

static float *layer_forward_post(const struct pass *pass, const struct activations *activations,
                                 int64_t layer, float *in)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    const struct pass needed = needed_pass(pass, layer);
    float *const branch = activations->narrow[BRANCH];
    float *const out = activations->narrow[HIDDEN];
    const struct norm_place place = feed_forward_norm_place(pass, layer);
    rows_recall(pass, layer, in);
    const float *const mid = attention_half_forward(pass, activations, layer, in);
    feed_forward_forward(&needed, layer, branch, mid, kept, activations->wide);
    const struct join feed_forward = feed_forward_join(&needed, layer, mid, branch, kept);
    norm_join(&needed, kept->output_sum, out, &kept->feed_forward_norm, &feed_forward, &place,
              needed.row_count);
    return out;
}

static float *layer_forward_pre(const struct pass *pass, const struct activations *activations,
                                int64_t layer, float *in)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    const struct pass needed = needed_pass(pass, layer);
    float *const branch = activations->narrow[BRANCH];
    const float *const normed = attention_half_forward(pass, activations, layer, in);
    feed_forward_forward(&needed, layer, branch, normed, kept, activations->wide);
    const struct join feed_forward =
        feed_forward_join(&needed, layer, kept->attention_sum, branch, kept);
    norm_join(&needed, kept->output_sum, NULL, NULL, &feed_forward, NULL, needed.row_count);
    return kept->output_sum;
}

const float *encoder_forward(const struct pass *pass, const struct activations *activations,
                             int64_t end_layer)
{
    const bool pre = encoder_is_pre(pass);
    const struct section *const section = &activations->section;
    if (section_is_first(section)) {
        parameter_gate_embeddings(pass->gate, pass->table, section, true);
        embedding_forward(pass, &activations->embedding);
        parameter_gate_embeddings_done(pass->gate, pass->table);
    }
    float *stream = activations->embedding.embedded;
    for (int64_t layer = section->first_layer; layer < end_layer; layer++) {
        parameter_gate_up(pass->gate, pass->table, section, layer);
        stream = pre ? layer_forward_pre(pass, activations, layer, stream)
                     : layer_forward_post(pass, activations, layer, stream);
        parameter_gate_up_done(pass->gate, pass->table, section, layer);
    }
    if (end_layer < pass->options->layers) {
        return stream;
    }
    parameter_gate_head(pass->gate, pass->table); /* the final norm is in it */
    if (pre) {
        const struct norm_place place = final_norm_place(pass);
        norm_forward(pass, activations->narrow[HIDDEN], &activations->final_norm, stream, &place,
                     needed_pass(pass, end_layer - 1).row_count);
    }
    needed_spread(pass, end_layer - 1, activations->narrow[HIDDEN], pass->options->hidden,
                  pass->options->hidden);
    return activations->narrow[HIDDEN];
}

float *encoder_stream_gradient(const struct activations *activations)
{
    return activations->narrow[D_STREAM];
}

float *encoder_hidden_gradient(const struct pass *pass, const struct activations *activations)
{
    return activations->narrow[encoder_is_pre(pass) ? D_SECOND : D_STREAM];
}

/* What entered `layer`, pre-norm: the residual stream. */
static float *layer_stream(const struct activations *activations, int64_t layer)
{
    return layer == activations->section.first_layer ? activations->embedding.embedded
                                                     : activations->layers[layer - 1].output_sum;
}

/* What entered `layer`; post-norm computes it again, into `again`. */
static float *layer_entered(const struct pass *pass, const struct activations *activations,
                            int64_t layer, float *again)
{
    if (layer == activations->section.first_layer || encoder_is_pre(pass)) {
        return layer_stream(activations, layer);
    }
    const struct layer_activations *const below = &activations->layers[layer - 1];
    const struct norm_place place = feed_forward_norm_place(pass, layer - 1);
    norm_forward(pass, again, &below->feed_forward_norm, below->output_sum, &place,
                 pass->row_count);
    rows_recall(pass, layer, again);
    return again;
}

/* Computes again what was not kept of a layer's forward; the gradient of the stream stays. */
static void layer_again(const struct pass *pass, const struct activations *activations,
                        int64_t layer)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    const struct pass needed = needed_pass(pass, layer);
    float *const normed = activations->narrow[NORMED];
    if (activations->recompute == MODEL_RECOMPUTE_NONE) {
        return;
    }
    float *in = layer_entered(pass, activations, layer, activations->narrow[AGAIN]);
    if (activations->recompute == MODEL_RECOMPUTE_LAYER) {
        const struct kernels_dropout dropout =
            pass_dropout(pass, pass->options->dropout, layer, PASS_PLACE_FEED_FORWARD);
        const float *const mid = attention_half_forward(pass, activations, layer, in);
        feed_forward_forward(&needed, layer, NULL, mid, kept, activations->wide);
        (void)pass_dropout_bits(&needed, &dropout, kept->feed_forward_bits,
                                needed.row_count * pass->options->hidden);
        return;
    }
    if (encoder_is_pre(pass)) {
        const struct norm_place place = attention_norm_place(pass, layer);
        norm_forward(pass, normed, &kept->attention_norm, in, &place, pass->row_count);
        in = normed;
    }
    heads_forward(pass, activations, layer, NULL, in);
}

void encoder_backward_final(const struct pass *pass, const struct activations *activations,
                            const struct group_gradient *head)
{
    const int64_t last = pass->options->layers - 1;
    float *const d_hidden = encoder_hidden_gradient(pass, activations);
    (void)needed_gather(pass, last, d_hidden, d_hidden, pass->options->hidden);
    if (!encoder_is_pre(pass)) {
        return;
    }
    const struct norm_place place = final_norm_place(pass);
    norm_backward(pass, activations->narrow[D_STREAM], head, NULL, d_hidden,
                  layer_stream(activations, last + 1), &activations->final_norm, &place,
                  needed_pass(pass, last).row_count);
}

/* d_in (added to if `add`) of a layer's feed-forward branch that read `in`, from the gradient of
 * its residual sum. */
static void feed_forward_branch_backward(const struct pass *pass,
                                         const struct activations *activations, int64_t layer,
                                         float *d_in, bool add, const float *d_sum, const float *in,
                                         const struct group_gradient *gradient)
{
    const struct pass needed = needed_pass(pass, layer);
    const struct layer_activations *const kept = &activations->layers[layer];
    const float *const d_branch =
        branch_gradient(&needed, layer, PASS_PLACE_FEED_FORWARD, d_sum, kept->feed_forward_bits,
                        activations->narrow[D_BRANCH]);
    feed_forward_backward(&needed, d_in, add, d_branch, in, kept, activations->wide, gradient);
}

/* The same of its attention branch, up to d_qkv, which is left in activations->wide; uses AGAIN and
 * D_BRANCH. */
static void attention_branch_backward(const struct pass *pass,
                                      const struct activations *activations, int64_t layer,
                                      const float *d_sum, const struct group_gradient *gradient)
{
    const struct pass needed = needed_pass(pass, layer);
    const struct layer_activations *const kept = &activations->layers[layer];
    const float *const d_branch =
        branch_gradient(&needed, layer, PASS_PLACE_ATTENTION, d_sum, kept->attention_bits,
                        activations->narrow[D_BRANCH]);
    heads_backward(pass, activations, layer, d_branch, gradient);
}

static void layer_backward_post(const struct pass *pass, const struct activations *activations,
                                int64_t layer, const struct layer_gradient *gradient)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    const struct group_gradient *const d_attention = &gradient->halves[PARAMETER_HALF_ATTENTION];
    const struct group_gradient *const d_feed_forward =
        &gradient->halves[PARAMETER_HALF_FEED_FORWARD];
    const int64_t n = needed_pass(pass, layer).row_count;
    float *const d_stream = activations->narrow[D_STREAM];
    float *const d_mid = activations->narrow[D_SECOND];
    float *const again = activations->narrow[AGAIN];
    const struct norm_place attention_norm = attention_norm_place(pass, layer);
    const struct norm_place feed_forward_norm = feed_forward_norm_place(pass, layer);

    norm_backward(pass, d_mid, d_feed_forward, NULL, d_stream, kept->output_sum,
                  &kept->feed_forward_norm, &feed_forward_norm, n);
    norm_forward(pass, again, &kept->attention_norm, kept->attention_sum, &attention_norm, n);
    feed_forward_branch_backward(pass, activations, layer, d_mid, true, d_mid, again,
                                 d_feed_forward);
    norm_backward(pass, d_stream, d_attention, NULL, d_mid, kept->attention_sum,
                  &kept->attention_norm, &attention_norm, n);
    attention_branch_backward(pass, activations, layer, d_stream, d_attention);
    needed_spread(pass, layer, d_stream, pass->options->hidden, pass->options->hidden);
    const float *const in = layer_entered(pass, activations, layer, again);
    heads_backward_input(pass, activations, d_stream, true, in, d_attention);
}

static void layer_backward_pre(const struct pass *pass, const struct activations *activations,
                               int64_t layer, const struct layer_gradient *gradient)
{
    const struct layer_activations *const kept = &activations->layers[layer];
    const struct group_gradient *const d_attention = &gradient->halves[PARAMETER_HALF_ATTENTION];
    const struct group_gradient *const d_feed_forward =
        &gradient->halves[PARAMETER_HALF_FEED_FORWARD];
    const int64_t n = needed_pass(pass, layer).row_count;
    float *const in = layer_stream(activations, layer);
    float *const d_stream = activations->narrow[D_STREAM];
    float *const d_normed = activations->narrow[D_SECOND];
    float *const again = activations->narrow[AGAIN];
    const struct norm_place attention_norm = attention_norm_place(pass, layer);
    const struct norm_place feed_forward_norm = feed_forward_norm_place(pass, layer);

    norm_forward(pass, again, &kept->feed_forward_norm, kept->attention_sum, &feed_forward_norm, n);
    feed_forward_branch_backward(pass, activations, layer, d_normed, false, d_stream, again,
                                 d_feed_forward);
    norm_backward(pass, d_stream, d_feed_forward, d_stream, d_normed, kept->attention_sum,
                  &kept->feed_forward_norm, &feed_forward_norm, n);
    attention_branch_backward(pass, activations, layer, d_stream, d_attention);
    needed_spread(pass, layer, d_stream, pass->options->hidden, pass->options->hidden);
    norm_forward(pass, again, &kept->attention_norm, in, &attention_norm, pass->row_count);
    heads_backward_input(pass, activations, d_normed, false, again, d_attention);
    norm_backward(pass, d_stream, d_attention, d_stream, d_normed, in, &kept->attention_norm,
                  &attention_norm, pass->row_count);
}

void encoder_backward_layer(const struct pass *pass, const struct activations *activations,
                            int64_t layer, const struct layer_gradient *gradient)
{
    for (int half = 0; half < PARAMETER_HALVES; half++) {
        pass_gradient_begin(pass, &gradient->halves[half]);
    }
    parameter_gate_down(pass->gate, pass->table, &activations->section, layer);
    layer_again(pass, activations, layer);
    if (encoder_is_pre(pass)) {
        layer_backward_pre(pass, activations, layer, gradient);
    } else {
        layer_backward_post(pass, activations, layer, gradient);
    }
    parameter_gate_down_done(pass->gate, pass->table, &activations->section, layer);
}

void encoder_backward_embedding(const struct pass *pass, const struct activations *activations,
                                const struct group_gradient *gradient)
{
    parameter_gate_embeddings(pass->gate, pass->table, &activations->section, false);
    embedding_backward(pass, &activations->embedding, activations->narrow[D_STREAM],
                       activations->narrow[D_SECOND], gradient);
    parameter_gate_embeddings_done(pass->gate, pass->table);
}
