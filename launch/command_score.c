/* score CHECKPOINT [TEXT…]: the likelihood of each text. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "data_pipeline/permutation.h"
#include "launch/commands.h"
#include "launch/language.h"
#include "launch/print.h"
#include "tasks/score.h"

struct scoring {
    const struct language *language;
    struct token_list ids;
    bool drawn;    /* XLNet: the order is drawn, not left to right */
    uint64_t seed; /* of the order */
    bool as_json;
};

static enum status score_ids(const struct scoring *scoring, const struct score_text *text,
                             double *log_likelihood, struct error *error)
{
    const struct language *const language = scoring->language;
    const struct batch_limits limits = score_limits(text);
    struct model *model;
    TRY(model_open(&model, &language->kernels, &language->pretrained.config.model, &limits, NULL,
                   error));
    const enum status status =
        score(model, language->pretrained.weights, text, log_likelihood, error);
    model_close(model);
    return status;
}

static void score_print(const char *text, size_t size_bytes, int64_t tokens, double log_likelihood,
                        bool as_json)
{
    const double perplexity = exp(-log_likelihood / (double)tokens);
    json_t *const words = json_stringn(text, size_bytes);
    if (as_json) {
        json_t *const object =
            json_pack("{so sI sf sf}", "text", words, "tokens", (json_int_t)tokens,
                      "log_likelihood", log_likelihood, "perplexity", perplexity);
        print_json(object);
        json_decref(object);
        return;
    }
    (void)printf("%14.4f  %10.2f  %6lld  ", log_likelihood, perplexity, (long long)tokens);
    (void)json_dumpf(words, stdout, JSON_ENCODE_ANY);
    (void)fputc('\n', stdout);
    json_decref(words);
}

/* The order in which XLNet's tokens are given: from left to right, or one of all, the same for
 * every text of a length. */
static int32_t *ranks_take(const struct scoring *scoring, int64_t count)
{
    int32_t *const ranks = memory_take((size_t)count, sizeof *ranks, "order");
    for (int64_t i = 0; i < count; i++) {
        ranks[i] = (int32_t)i;
    }
    if (scoring->drawn) {
        const struct permutation_draw draw = permutation_draw_make(scoring->seed, 0, 0, 0);
        permutation_draw_ranks(&draw, count, count, ranks);
    }
    return ranks;
}

/* What is scored of the ids, which the special tokens surround; `ranks` is the caller's to release.
 */
static struct score_text scored_part(const struct scoring *scoring, int32_t **ranks)
{
    const struct language *const language = scoring->language;
    const struct tokenizer_specials specials = tokenizer_specials(language->tokenizer);
    const int64_t count = (int64_t)scoring->ids.count;
    const int64_t begins = specials.bos >= 0 ? 1 : 0;
    const int64_t ends = specials.eos >= 0 ? 1 : 0;
    struct score_text text = {.ids = scoring->ids.ids, .count = count, .mask = specials.mask};
    if (language->causal) { /* nothing stands before the first token */
        text.kind = SCORE_KIND_CAUSAL;
        text.first = 1;
        text.end = count;
    } else if (language->permuted) {
        text.kind = SCORE_KIND_PERMUTED;
        text.end = count - begins - ends;
        text.class_row = begins == 1 ? count - 1 : -1;
        text.ranks = *ranks = text.end > 0 ? ranks_take(scoring, text.end) : NULL;
    } else {
        text.kind = SCORE_KIND_MASKED;
        text.first = begins;
        text.end = count - ends;
    }
    return text;
}

static enum status text_take(void *context, int64_t index, const char *text, size_t size_bytes,
                             struct error *error)
{
    struct scoring *const scoring = context;
    const bool causal = scoring->language->causal;
    TRY(language_encode(scoring->language, text, size_bytes, !causal, &scoring->ids, error));
    int32_t *ranks = NULL;
    const struct score_text scored = scored_part(scoring, &ranks);
    double log_likelihood = 0;
    const enum status status =
        scored.first < scored.end
            ? score_ids(scoring, &scored, &log_likelihood, error)
            : error_set(error, STATUS_INPUT, "the text has no token that can be scored");
    memory_release(ranks);
    TRY(status);
    if (index == 0 && !scoring->as_json) {
        (void)printf("log-likelihood  perplexity  tokens  text\n");
    }
    score_print(text, size_bytes, scored.end - scored.first, log_likelihood, scoring->as_json);
    return STATUS_OK;
}

static enum status order_read(const struct command_line *line, struct scoring *scoring,
                              struct error *error)
{
    int64_t seed;
    scoring->drawn = command_line_has(line, "order");
    if (scoring->drawn && !scoring->language->permuted) {
        FAIL(error, STATUS_INPUT, "--order is for XLNet: other families read in one way only");
    }
    TRY(command_line_integer(line, "order", 0, INT64_MAX, 0, &seed, error));
    scoring->seed = (uint64_t)seed;
    return STATUS_OK;
}

static enum status score_run(const struct command_line *line, struct error *error)
{
    struct language language;
    TRY(language_open(&language, line->arguments[0], false, error));
    struct scoring scoring = {.language = &language, .as_json = command_line_has(line, "json")};
    const struct language_sink sink = {text_take, &scoring};
    enum status status = order_read(line, &scoring, error);
    if (status == STATUS_OK && !language.causal && !language.permuted &&
        tokenizer_specials(language.tokenizer).mask < 0) {
        status = error_set(error, STATUS_INPUT, "the tokenizer \"%.400s\" has no mask token",
                           language.pretrained.tokenizer);
    }
    if (status == STATUS_OK) {
        status = language_texts(line, &sink, error);
    }
    token_list_deinit(&scoring.ids);
    language_close(&language);
    return status;
}

static const struct command_option score_options[] = {
    {.name = "file", .argument = "FILE", .help = "take each line as a text; \"-\": standard input"},
    {.name = "order",
     .argument = "SEED",
     .help = "XLNet: tokens in an order drawn from this seed, not from left to right"},
    {.name = "json", .help = "print one line of JSON for each text"},
};

const struct command command_score = {
    .name = "score",
    .arguments = "CHECKPOINT [TEXT…]",
    .argument_min = 1,
    .argument_max = COMMAND_LINE_REPEATS_MAX,
    .summary = "tell how likely texts are under a model",
    .detail =
        "Natural logarithms. GPT: of the text's probability, each token given those before "
        "it. Masked "
        "families: the pseudo-log-likelihood, each token masked in turn and given all "
        "others; it costs "
        "one pass for each token and does not compare with GPT's. XLNet: of the probability, each "
        "token given those before it in the order, and the tokens that end a text: the sum of "
        "log p(x[z_t] | x[z_1] … x[z_t-1]) of Yang et al. 2019. Perplexity is exp(-log "
        "likelihood / "
        "tokens). Special tokens around the text are seen but not counted.",
    .options = score_options,
    .option_count = ARRAY_LENGTH(score_options),
    .run = score_run,
};
