/* See data_options.h. */
#include "data_pipeline/data_options.h"

#include <math.h>
#include <string.h>

#include "data_pipeline/corpus_index.h"

enum { SLOT_TOKENS_MAX = 1 << 24 };

static enum status check_share(double value, const char *key, double most, struct error *error)
{
    if (!isfinite(value) || value < 0 || value > most) {
        FAIL(error, STATUS_INPUT, "data.%s is %g, expected 0 to %g", key, value, most);
    }
    return STATUS_OK;
}

static enum status check_pairs(const struct data_options *options, struct error *error)
{
    if (options->pair_copies < 1 || options->pair_copies > CORPUS_PAIR_COPIES_MAX) {
        FAIL(error, STATUS_INPUT, "data.pair_copies is %lld, expected 1 to %d",
             (long long)options->pair_copies, CORPUS_PAIR_COPIES_MAX);
    }
    if (options->objective == DATA_OBJECTIVE_CAUSAL ||
        options->objective == DATA_OBJECTIVE_PERMUTATION) {
        FAIL(error, STATUS_INPUT,
             "data.pairs goes with masks, not with data.objective causal or permutation");
    }
    if (strcmp(options->corpus, "synthetic") == 0) {
        FAIL(error, STATUS_INPUT, "data.pairs needs a corpus of text, not synthetic data");
    }
    return STATUS_OK;
}

static enum status check_chains(const struct data_options *options, const struct step_options *step,
                                struct error *error)
{
    const int64_t rows = data_chain_rows(options);
    if (rows < 1 || step->slot_tokens / options->sequence_tokens % rows != 0) {
        FAIL(error, STATUS_INPUT,
             "step.slot_tokens %lld is not a multiple of data.chain_rows %lld sequences",
             (long long)step->slot_tokens, (long long)rows);
    }
    if ((rows > 1 || options->bi_data) && options->objective != DATA_OBJECTIVE_PERMUTATION) {
        FAIL(error, STATUS_INPUT,
             "data.chain_rows and bi_data go with data.objective permutation only");
    }
    return STATUS_OK;
}

static enum status check_options(const struct data_options *options, struct error *error)
{
    TRY(check_share(options->mask_fraction, "mask_fraction", 1, error));
    TRY(check_share(options->mask_share, "mask_share", 1, error));
    TRY(check_share(options->random_share, "random_share", 1 - options->mask_share, error));
    TRY(check_share(options->held_out, "held_out", 1, error));
    if (options->mask_fraction <= 0) {
        FAIL(error, STATUS_INPUT, "data.mask_fraction is 0: nothing would be predicted");
    }
    if (options->objective == DATA_OBJECTIVE_STATIC_MASK && options->mask_copies < 1) {
        FAIL(error, STATUS_INPUT, "data.mask_copies is %lld, expected at least 1",
             (long long)options->mask_copies);
    }
    if (options->pairs != DATA_PAIRS_NONE) {
        TRY(check_pairs(options, error));
    }
    if (options->sequence_tokens < CORPUS_SEQUENCE_TOKENS_MIN ||
        options->sequence_tokens > CORPUS_SEQUENCE_TOKENS_MAX) {
        FAIL(error, STATUS_INPUT, "data.sequence_tokens is %lld, expected %d to %d",
             (long long)options->sequence_tokens, CORPUS_SEQUENCE_TOKENS_MIN,
             CORPUS_SEQUENCE_TOKENS_MAX);
    }
    return STATUS_OK;
}

static enum status check_step(const struct data_options *options, const struct step_options *step,
                              struct error *error)
{
    if (step->slot_tokens < 1 || step->slot_tokens > SLOT_TOKENS_MAX ||
        step->slot_tokens % options->sequence_tokens != 0) {
        FAIL(
            error, STATUS_INPUT,
            "step.slot_tokens is %lld, expected a multiple of data.sequence_tokens (%lld) up to %d",
            (long long)step->slot_tokens, (long long)options->sequence_tokens, SLOT_TOKENS_MAX);
    }
    if (step->tokens < 1 || step->tokens % step->slot_tokens != 0) {
        FAIL(error, STATUS_INPUT,
             "step.tokens is %lld, expected a multiple of step.slot_tokens (%lld)",
             (long long)step->tokens, (long long)step->slot_tokens);
    }
    if (step->tokens / step->slot_tokens > DATA_SLOTS_MAX) {
        FAIL(error, STATUS_INPUT,
             "step.tokens / step.slot_tokens is %lld slots, expected at most %d",
             (long long)(step->tokens / step->slot_tokens), DATA_SLOTS_MAX);
    }
    return STATUS_OK;
}

enum status data_options_check(const struct data_options *options, const struct step_options *step,
                               struct error *error)
{
    TRY(check_options(options, error));
    TRY(check_step(options, step, error));
    return check_chains(options, step, error);
}
