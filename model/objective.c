/* See objective.h. Today's one family predicts masked tokens. */
#include "model/objective.h"

void objective_score(const struct pass *pass, const struct activations *activations,
                     const float *hidden, struct head_score *score)
{
    head_mlm_forward(pass, &activations->head, hidden);
    head_mlm_score(pass, &activations->head, score);
}

void objective_backward(const struct pass *pass, const struct activations *activations,
                        const float *hidden, const struct objective_gradient *gradient,
                        struct head_score *score)
{
    pass_gradient_begin(pass, &gradient->head);
    pass_gradient_begin(pass, &gradient->embeddings);
    head_mlm_forward(pass, &activations->head, hidden);
    head_mlm_backward(pass, &activations->head, gradient->d_hidden, gradient->loss_scale,
                      &gradient->head, &gradient->embeddings, score);
}

void objective_logits(const struct pass *pass, const struct activations *activations,
                      const float *hidden, float *logits)
{
    head_mlm_forward(pass, &activations->head, hidden);
    head_mlm_logits(pass, &activations->head, logits);
}
