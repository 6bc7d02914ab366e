/* See head_mlm.h. */
#include "model/head_mlm.h"

#include <string.h>

#include "model/norm.h"

static struct norm_place head_norm_place(const struct pass *pass)
{
    return (struct norm_place){.group = parameter_head_group(pass->table),
                               .gain = PARAMETER_HEAD_NORM_GAIN,
                               .shift = PARAMETER_HEAD_NORM_SHIFT};
}

void head_mlm_forward(const struct pass *pass, const struct head_activations *kept,
                      const float *hidden)
{
    const int64_t k = pass->batch->target_count;
    const int64_t c = pass->options->hidden;
    const struct norm_place place = head_norm_place(pass);
    if (k == 0) {
        return;
    }
    pass->kernels->rows_gather(kept->rows, hidden, pass->batch->target_rows, k, c);
    pass_linear(pass, kept->inner, kept->rows, place.group, PARAMETER_HEAD_WEIGHT, k, c, c);
    /* GELU whatever the layers' activation: the published head has no choice here */
    pass->kernels->activation_forward(kept->activated, kept->inner,
                                      pass_weight(pass, place.group, PARAMETER_HEAD_BIAS),
                                      KERNELS_ACTIVATION_GELU, k, c);
    norm_forward(pass, kept->normed, &kept->norm, kept->activated, &place, k);
}

/* A chunk of target rows. */
struct chunk {
    int64_t first;
    int64_t count;
};

/* As few chunks as can be, of nearly the same size: a last one of a few rows would cost as much as a full one. */
static struct chunk chunk_at(const struct pass *pass, int64_t first)
{
    const int64_t k = pass->batch->target_count;
    const int64_t most = head_chunk_rows(pass->options->vocabulary);
    const int64_t chunks = (k + most - 1) / most;
    const int64_t rows = (k + chunks - 1) / chunks;
    const int64_t left = k - first;
    return (struct chunk){.first = first, .count = left < rows ? left : rows};
}

/* logits (count, V) of one chunk, without the bias. */
static void chunk_logits(const struct pass *pass, const struct head_activations *kept,
                         float *logits, struct chunk chunk)
{
    const int64_t c = pass->options->hidden;
    pass_linear(pass, logits, kept->normed + chunk.first * c,
                parameter_embedding_group(pass->table), PARAMETER_WORD, chunk.count,
                pass->options->vocabulary, c);
}

static void chunk_score(const struct pass *pass, float *logits, struct chunk chunk,
                        float gradient_scale, struct head_score *score)
{
    const float *const bias =
        pass_weight(pass, parameter_head_group(pass->table), PARAMETER_DECODER_BIAS);
    pass->kernels->softmax_cross_entropy(logits, bias, pass->batch->target_ids + chunk.first,
                                         gradient_scale, &score->loss_sum, &score->correct_count,
                                         chunk.count, pass->options->vocabulary);
}

void head_mlm_score(const struct pass *pass, const struct head_activations *kept,
                    struct head_score *score)
{
    for (int64_t first = 0; first < pass->batch->target_count;) {
        const struct chunk chunk = chunk_at(pass, first);
        chunk_logits(pass, kept, kept->logits, chunk);
        chunk_score(pass, kept->logits, chunk, 0.0F, score);
        first += chunk.count;
    }
}

void head_mlm_logits(const struct pass *pass, const struct head_activations *kept, float *logits)
{
    const int64_t v = pass->options->vocabulary;
    const float *const bias =
        pass_weight(pass, parameter_head_group(pass->table), PARAMETER_DECODER_BIAS);
    for (int64_t first = 0; first < pass->batch->target_count;) {
        const struct chunk chunk = chunk_at(pass, first);
        chunk_logits(pass, kept, logits + first * v, chunk);
        pass->kernels->bias_forward(logits + first * v, bias, chunk.count, v);
        first += chunk.count;
    }
}

/* One chunk: its logits become their gradient, which goes to the word table, the bias and d_normed. */
static void chunk_backward(const struct pass *pass, const struct head_activations *kept,
                           struct chunk chunk, float loss_scale, const struct group_gradient *head,
                           const struct group_gradient *embeddings, struct head_score *score)
{
    const int64_t v = pass->options->vocabulary;
    const int64_t c = pass->options->hidden;
    float *const logits = kept->logits;
    chunk_logits(pass, kept, logits, chunk);
    chunk_score(pass, logits, chunk, loss_scale, score);
    pass->kernels->bias_backward(pass_gradient(pass, head, PARAMETER_DECODER_BIAS), logits,
                                 chunk.count, v);
    /* the first chunk writes, so that the table need not be zeroed */
    pass->kernels->matmul(true, false, v, c, chunk.count, 1.0F, logits, v,
                          kept->normed + chunk.first * c, c, chunk.first == 0 ? 0.0F : 1.0F,
                          pass_gradient(pass, embeddings, PARAMETER_WORD), c);
    pass_linear_backward(pass, kept->d_normed + chunk.first * c, false, logits, embeddings->group,
                         PARAMETER_WORD, chunk.count, v, c);
}

/* Nothing is predicted: every gradient that the products would have written is zero. */
static void backward_of_nothing(const struct pass *pass, const struct group_gradient *head,
                                const struct group_gradient *embeddings)
{
    const struct parameter_group *const groups = pass->table->groups;
    memset(head->values, 0, (size_t)groups[head->group].count * sizeof *head->values);
    memset(embeddings->values, 0,
           (size_t)groups[embeddings->group].count * sizeof *embeddings->values);
}

void head_mlm_backward(const struct pass *pass, const struct head_activations *kept,
                       float *d_hidden, float loss_scale, const struct group_gradient *head,
                       const struct group_gradient *embeddings, struct head_score *score)
{
    const int64_t k = pass->batch->target_count;
    const int64_t c = pass->options->hidden;
    const struct norm_place place = head_norm_place(pass);
    memset(d_hidden, 0, (size_t)(pass->batch->token_count * c) * sizeof *d_hidden);
    if (k == 0) {
        backward_of_nothing(pass, head, embeddings);
        return;
    }
    for (int64_t first = 0; first < k;) {
        const struct chunk chunk = chunk_at(pass, first);
        chunk_backward(pass, kept, chunk, loss_scale, head, embeddings, score);
        first += chunk.count;
    }
    norm_backward(pass, kept->d_inner, head, NULL, kept->d_normed, kept->activated, &kept->norm,
                  &place, k);
    pass->kernels->activation_backward(kept->d_inner, kept->d_inner, kept->inner,
                                       KERNELS_ACTIVATION_GELU, k, c);
    pass->kernels->bias_backward(pass_gradient(pass, head, PARAMETER_HEAD_BIAS), kept->d_inner, k,
                                 c);
    pass_linear_weight_gradient(pass, head, PARAMETER_HEAD_WEIGHT, kept->d_inner, kept->rows, k, c,
                                c);
    float *const d_rows = kept->d_normed; /* has done its work */
    pass_linear_backward(pass, d_rows, false, kept->d_inner, head->group, PARAMETER_HEAD_WEIGHT, k,
                         c, c);
    pass->kernels->rows_scatter_add(d_hidden, d_rows, pass->batch->target_rows, k, c);
}
