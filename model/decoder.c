/* See decoder.h. */
#include "model/decoder.h"

/* A chunk of rows. */
struct chunk {
    int64_t first;
    int64_t count;
};

/* As few chunks as can be, of nearly the same size: a last one of a few rows would cost as much as a full one. */
static struct chunk chunk_at(const struct pass *pass, int64_t count, int64_t first)
{
    const int64_t most = head_chunk_rows(pass->options->vocabulary);
    const int64_t chunks = (count + most - 1) / most;
    const int64_t rows = (count + chunks - 1) / chunks;
    const int64_t left = count - first;
    return (struct chunk){.first = first, .count = left < rows ? left : rows};
}

/* logits (count, V) of one chunk, without the bias. */
static void chunk_logits(const struct pass *pass, const struct decoder *decoder, float *logits,
                         struct chunk chunk)
{
    const int64_t width = model_embedding_width(pass->options);
    pass_linear(pass, logits, decoder->rows + chunk.first * width,
                parameter_embedding_group(pass->table), PARAMETER_WORD, chunk.count,
                pass->options->vocabulary, width);
}

static void chunk_score(const struct pass *pass, const struct decoder *decoder, float *logits,
                        struct chunk chunk, float gradient_scale, struct head_score *score)
{
    pass->kernels->softmax_cross_entropy(
        logits, pass_weight_maybe(pass, parameter_head_group(pass->table), decoder->bias),
        decoder->targets + chunk.first, gradient_scale, &score->loss_sum, &score->correct_count,
        chunk.count, pass->options->vocabulary);
    score->count += chunk.count;
}

void decoder_score(const struct pass *pass, const struct decoder *decoder, struct head_score *score)
{
    for (int64_t first = 0; first < decoder->count;) {
        const struct chunk chunk = chunk_at(pass, decoder->count, first);
        chunk_logits(pass, decoder, decoder->logits, chunk);
        chunk_score(pass, decoder, decoder->logits, chunk, 0.0F, score);
        first += chunk.count;
    }
}

void decoder_logits(const struct pass *pass, const struct decoder *decoder, float *logits)
{
    const int64_t v = pass->options->vocabulary;
    const float *const bias =
        pass_weight_maybe(pass, parameter_head_group(pass->table), decoder->bias);
    for (int64_t first = 0; first < decoder->count;) {
        const struct chunk chunk = chunk_at(pass, decoder->count, first);
        chunk_logits(pass, decoder, logits + first * v, chunk);
        if (bias != NULL) {
            pass->kernels->bias_forward(logits + first * v, bias, chunk.count, v);
        }
        first += chunk.count;
    }
}

/* One chunk: its logits become their gradient, which goes to the word table, the bias and d_rows.
 */
static void chunk_backward(const struct pass *pass, const struct decoder *decoder,
                           struct chunk chunk, float *d_rows, const struct group_gradient *head,
                           const struct group_gradient *embeddings)
{
    const int64_t v = pass->options->vocabulary;
    const int64_t width = model_embedding_width(pass->options);
    float *const logits = decoder->logits;
    if (pass_has(pass, head->group, decoder->bias)) {
        pass->kernels->bias_backward(pass_gradient(pass, head, decoder->bias), logits, chunk.count,
                                     v);
    }
    /* the first chunk writes, so that the table need not be zeroed */
    const struct group_gradient table = {embeddings->group, embeddings->values,
                                         embeddings->adds || chunk.first > 0};
    pass_linear_weight_gradient(pass, &table, PARAMETER_WORD, logits,
                                decoder->rows + chunk.first * width, chunk.count, v, width);
    pass_linear_backward(pass, d_rows + chunk.first * width, false, logits, embeddings->group,
                         PARAMETER_WORD, chunk.count, v, width);
}

void decoder_backward(const struct pass *pass, const struct decoder *decoder, float *d_rows,
                      float loss_scale, const struct group_gradient *head,
                      const struct group_gradient *embeddings, struct head_score *score)
{
    for (int64_t first = 0; first < decoder->count;) {
        const struct chunk chunk = chunk_at(pass, decoder->count, first);
        chunk_logits(pass, decoder, decoder->logits, chunk);
        chunk_score(pass, decoder, decoder->logits, chunk, loss_scale, score);
        chunk_backward(pass, decoder, chunk, d_rows, head, embeddings);
        first += chunk.count;
    }
}
