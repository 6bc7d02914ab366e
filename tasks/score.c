/* See score.h. */
#include "tasks/score.h"

#include "data_pipeline/chain.h"

struct batch_limits score_limits(const struct score_text *text)
{
    const int64_t scored = text->end - text->first;
    const bool masked = text->kind == SCORE_KIND_MASKED;
    const int64_t sequences = !masked                        ? 1
                              : scored < SCORE_SEQUENCES_MAX ? scored
                                                             : SCORE_SEQUENCES_MAX;
    return (struct batch_limits){sequences, sequences * text->count, masked ? sequences : scored};
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

/* All in one pass: the query stream predicts each scored token from those of lower rank. */
static enum status score_permuted(struct model *model, const float *weights,
                                  const struct score_text *text, struct batch *batch, double *loss,
                                  struct error *error)
{
    struct model_result result;
    batch_clear(batch);
    batch_append(batch, text, -1);
    batch->permuted = true;
    for (int64_t i = 0; i < text->count; i++) {
        const bool scored = i >= text->first && i < text->end;
        const int32_t rank = scored ? text->ranks[i - text->first] : 0;
        batch->orders[i] = scored ? rank : -1;
        batch->horizons[i] = rank;
        if (scored) {
            batch->target_rows[batch->target_count] = (int32_t)i;
            batch->target_ids[batch->target_count++] = text->ids[i];
        }
    }
    if (text->class_row >= 0) {
        batch->segments[text->class_row] = CHAIN_CLASS_SEGMENT;
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
    double loss = 0;
    enum status status = STATUS_OK;
    INVARIANT(text->first < text->end && text->end <= text->count);
    batch_init(&batch, &limits);
    switch (text->kind) {
    case SCORE_KIND_CAUSAL:
        INVARIANT(text->first >= 1);
        status = score_causal(model, weights, text, &batch, &loss, error);
        break;
    case SCORE_KIND_MASKED:
        status = score_masked(model, weights, text, &batch, &loss, error);
        break;
    case SCORE_KIND_PERMUTED:
        status = score_permuted(model, weights, text, &batch, &loss, error);
        break;
    }
    batch_deinit(&batch);
    TRY(status);
    *log_likelihood = -loss;
    return STATUS_OK;
}
