/* See score.h. */
#include "tasks/score.h"

struct batch_limits score_limits(const struct score_text *text)
{
    const int64_t scored = text->end - text->first;
    const int64_t sequences = text->mask < 0                 ? 1
                              : scored < SCORE_SEQUENCES_MAX ? scored
                                                             : SCORE_SEQUENCES_MAX;
    return (struct batch_limits){sequences, sequences * text->count,
                                 text->mask < 0 ? scored : sequences};
}

/* Appends the text, with token `masked` hidden (-1: none) and to be predicted. */
static void batch_append(struct batch *batch, const struct score_text *text, int64_t masked)
{
    const int64_t row = batch->token_count;
    for (int64_t i = 0; i < text->count; i++) {
        batch->ids[row + i] = i == masked ? text->mask : text->ids[i];
        batch->positions[row + i] = (int32_t)i;
        batch->segments[row + i] = 0;
    }
    if (masked >= 0) {
        batch->target_rows[batch->target_count] = (int32_t)(row + masked);
        batch->target_ids[batch->target_count++] = text->ids[masked];
    }
    batch->starts[batch->sequence_count++] = (int32_t)row;
    batch->token_count += text->count;
    batch->starts[batch->sequence_count] = (int32_t)batch->token_count;
}

static void batch_clear(struct batch *batch)
{
    batch->sequence_count = 0;
    batch->token_count = 0;
    batch->target_count = 0;
}

static enum status score_causal(struct model *model, const float *weights,
                                const struct score_text *text, struct batch *batch, double *loss,
                                struct error *error)
{
    struct model_result result;
    batch_clear(batch);
    batch_append(batch, text, -1);
    for (int64_t i = text->first; i < text->end; i++) {
        batch->target_rows[batch->target_count] = (int32_t)(i - 1);
        batch->target_ids[batch->target_count++] = text->ids[i];
    }
    TRY(model_evaluate(model, weights, batch, &result, error));
    *loss = result.loss_sum;
    return STATUS_OK;
}

static enum status score_masked(struct model *model, const float *weights,
                                const struct score_text *text, struct batch *batch, double *loss,
                                struct error *error)
{
    *loss = 0;
    for (int64_t first = text->first; first < text->end; first += SCORE_SEQUENCES_MAX) {
        struct model_result result;
        batch_clear(batch);
        for (int64_t i = first; i < text->end && i < first + SCORE_SEQUENCES_MAX; i++) {
            batch_append(batch, text, i);
        }
        TRY(model_evaluate(model, weights, batch, &result, error));
        *loss += result.loss_sum;
    }
    return STATUS_OK;
}

enum status score(struct model *model, const float *weights, const struct score_text *text,
                  double *log_likelihood, struct error *error)
{
    const struct batch_limits limits = score_limits(text);
    struct batch batch;
    double loss;
    INVARIANT(text->first < text->end && text->end <= text->count);
    INVARIANT(text->mask >= 0 || text->first >= 1);
    batch_init(&batch, &limits);
    const enum status status = text->mask < 0
                                   ? score_causal(model, weights, text, &batch, &loss, error)
                                   : score_masked(model, weights, text, &batch, &loss, error);
    batch_deinit(&batch);
    TRY(status);
    *log_likelihood = -loss;
    return STATUS_OK;
}
