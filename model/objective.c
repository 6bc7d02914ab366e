/* See objective.h. */
#include "model/objective.h"

#include <string.h>

#include "model/head_mlm.h"
#include "model/head_pair.h"
#include "model/head_span.h"

void objective_score(const struct pass *pass, const struct activations *activations,
                     const float *hidden, struct objective_score *score)
{
    head_mlm_forward(pass, &activations->head, hidden);
    head_mlm_score(pass, &activations->head, &score->tokens);
    if (head_pair_exists(pass)) {
        const int64_t count = head_pair_forward(pass, &activations->pair, hidden);
        head_pair_score(pass, &activations->pair, count, &score->sequences);
    }
    if (head_span_exists(pass)) {
        const int64_t count = head_span_forward(pass, &activations->span, hidden);
        head_span_score(pass, &activations->span, count, &score->spans);
    }
}

/* Begins the gradients of the head and the embeddings. Where a head has no rows its products write nothing, so that
 * everything must be zero before. */
static void objective_begin(const struct pass *pass, const struct objective_gradient *gradient,
                            bool every_head_writes, bool tokens)
{
    if (every_head_writes) {
        pass_gradient_begin(pass, &gradient->head);
    } else {
        pass_gradient_clear(pass, &gradient->head);
    }
    if (tokens) {
        pass_gradient_begin(pass, &gradient->embeddings);
    } else {
        pass_gradient_clear(pass, &gradient->embeddings);
    }
    memset(gradient->d_hidden, 0,
           (size_t)(pass->row_count * pass->options->hidden) * sizeof(float));
}

void objective_backward(const struct pass *pass, const struct activations *activations,
                        const float *hidden, const struct objective_gradient *gradient,
                        struct objective_score *score)
{
    const bool pairs = head_pair_exists(pass);
    const bool spans = head_span_exists(pass);
    const bool tokens = pass->batch->target_count > 0;
    head_mlm_forward(pass, &activations->head, hidden);
    const int64_t pair_count = pairs ? head_pair_forward(pass, &activations->pair, hidden) : 0;
    const int64_t span_count = spans ? head_span_forward(pass, &activations->span, hidden) : 0;
    objective_begin(pass, gradient,
                    tokens && (!pairs || pair_count > 0) && (!spans || span_count > 0), tokens);
    head_mlm_backward(pass, &activations->head, gradient->d_hidden, gradient->loss_scale,
                      &gradient->head, &gradient->embeddings, &score->tokens);
    if (pair_count > 0) {
        head_pair_backward(pass, &activations->pair, pair_count, gradient->d_hidden,
                           gradient->loss_scale, &gradient->head, &score->sequences);
    }
    if (span_count > 0) {
        struct group_gradient embeddings = gradient->embeddings;
        embeddings.adds = true;
        head_span_backward(pass, &activations->span, span_count, gradient->d_hidden,
                           gradient->loss_scale, &gradient->head, &embeddings, &score->spans);
    }
}

void objective_logits(const struct pass *pass, const struct activations *activations,
                      const float *hidden, float *logits)
{
    head_mlm_forward(pass, &activations->head, hidden);
    head_mlm_logits(pass, &activations->head, logits);
}

bool objective_sequence_logits(const struct pass *pass, const struct activations *activations,
                               const float *hidden, float *logits)
{
    if (!head_pair_exists(pass)) {
        return false;
    }
    head_pair_logits(pass, &activations->pair, hidden, logits);
    return true;
}
