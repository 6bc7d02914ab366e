/* See decoder.h. */
#include "model/decoder.h"

#include "model/parts_linear.h"

/* A chunk of rows. */
struct chunk {
    int64_t first;
    int64_t count;
};

/* As few chunks as can be, of nearly the same size: a last one of a few rows would cost as much as
 * a full one. */
static struct chunk chunk_at(const struct pass *pass, int64_t count, int64_t first)
{
    const int64_t most = head_chunk_rows(pass->options->vocabulary);
    const int64_t chunks = (count + most - 1) / most;
    const int64_t rows = (count + chunks - 1) / chunks;
    const int64_t left = count - first;
    return (struct chunk){.first = first, .count = left < rows ? left : rows};
}

static struct parts_weight word_table(const struct pass *pass)
{
    return (struct parts_weight){.group = parameter_embedding_group(pass->table),
                                 .role = PARAMETER_WORD,
                                 .out = pass->options->vocabulary,
                                 .in = model_embedding_width(pass->options),
                                 .segments = 1};
}

/* logits (count, local V) of one chunk, without the bias. */
static void chunk_logits(const struct pass *pass, const struct decoder *decoder, float *logits,
                         struct chunk chunk)
{
    const struct parts_weight table = word_table(pass);
    parts_out_forward(pass, logits, decoder->rows + chunk.first * table.in, &table, chunk.count);
}

/* Score and gradient where the vocabulary is cut: every part's maximum and sum of exponentials,
 * then the whole's, then the gradient of the parts that are here. */
static void chunk_score_parts(const struct pass *pass, const struct decoder *decoder, float *logits,
                              struct chunk chunk, float gradient_scale, struct head_score *score)
{
    const struct parts *const parts = pass->parts;
    const int64_t v = pass->options->vocabulary;
    const struct parts_range local = parts_local(parts, v);
    const float *const bias =
        pass_weight_maybe(pass, parameter_head_group(pass->table), decoder->bias);
    const int32_t *const targets = decoder->targets + chunk.first;
    struct kernels_softmax_part *const found = parts->softmax;
    struct kernels_softmax_part *const wholes = found + parts->count * chunk.count;
    for (int64_t part = parts_first(parts); part < parts_end(parts); part++) {
        const struct parts_range range = parts_range(parts, v, part);
        pass->kernels->softmax_part(logits + (range.first - local.first), local.count,
                                    bias == NULL ? NULL : bias + range.first, targets, range.first,
                                    gradient_scale != 0.0F, found + part * chunk.count, chunk.count,
                                    range.count);
    }
    if (parts->exchange != NULL) {
        const int64_t own = (parts_end(parts) - parts_first(parts)) * chunk.count;
        parts->exchange->gather(parts->exchange->context, found, (size_t)own * sizeof *found);
    }
    kernels_softmax_join(wholes, found, parts->count, targets, &score->loss_sum,
                         &score->correct_count, chunk.count);
    for (int64_t part = parts_first(parts); part < parts_end(parts) && gradient_scale != 0.0F;
         part++) {
        const struct parts_range range = parts_range(parts, v, part);
        pass->kernels->softmax_part_gradient(
            logits + (range.first - local.first), local.count, targets, range.first, gradient_scale,
            found + part * chunk.count, wholes, chunk.count, range.count);
    }
}

static void chunk_score(const struct pass *pass, const struct decoder *decoder, float *logits,
                        struct chunk chunk, float gradient_scale, struct head_score *score)
{
    if (pass->parts->count > 1) {
        chunk_score_parts(pass, decoder, logits, chunk, gradient_scale, score);
    } else {
        pass->kernels->softmax_cross_entropy(
            logits, pass_weight_maybe(pass, parameter_head_group(pass->table), decoder->bias),
            decoder->targets + chunk.first, gradient_scale, &score->loss_sum, &score->correct_count,
            chunk.count, pass->options->vocabulary);
    }
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
    INVARIANT(pass->parts->member_count == 1);
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
    const struct parts_weight table = word_table(pass);
    float *const logits = decoder->logits;
    if (pass_has(pass, head->group, decoder->bias)) {
        const struct parts_weight bias = {.group = head->group,
                                          .role = decoder->bias,
                                          .out = pass->options->vocabulary,
                                          .segments = 1};
        parts_bias_gradient(pass, head, logits, &bias, chunk.count);
    }
    /* the first chunk writes, so that the table need not be zeroed */
    const struct group_gradient words = {embeddings->group, embeddings->values,
                                         embeddings->adds || chunk.first > 0};
    const struct kernels_matrix d_logits =
        matrix_of(logits, parts_local(pass->parts, table.out).count);
    parts_out_gradient(pass, &words, d_logits, decoder->rows + chunk.first * table.in, &table,
                       chunk.count);
    parts_out_backward(pass, d_rows + chunk.first * table.in, false, d_logits, &table, chunk.count);
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
