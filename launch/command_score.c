/* score CHECKPOINT [TEXT…]: the likelihood of each text. */
#include <math.h>
#include <stdio.h>

#include "launch/commands.h"
#include "launch/language.h"
#include "launch/print.h"
#include "tasks/score.h"

struct scoring {
    const struct language *language;
    struct token_list ids;
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

static enum status text_take(void *context, int64_t index, const char *text, size_t size_bytes,
                             struct error *error)
{
    struct scoring *const scoring = context;
    const struct language *const language = scoring->language;
    const struct tokenizer_specials specials = tokenizer_specials(language->tokenizer);
    TRY(language_encode(language, text, size_bytes, !language->causal, &scoring->ids, error));
    const int64_t count = (int64_t)scoring->ids.count;
    struct score_text scored = {
        .ids = scoring->ids.ids,
        .count = count,
        .first = specials.bos >= 0 ? 1 : 0,
        .end = !language->causal && specials.eos >= 0 ? count - 1 : count,
        .mask = language->causal ? -1 : specials.mask,
    };
    scored.first = language->causal ? 1 : scored.first; /* nothing stands before the first */
    if (scored.first >= scored.end) {
        FAIL(error, STATUS_INPUT, "the text has no token that can be scored");
    }
    double log_likelihood;
    TRY(score_ids(scoring, &scored, &log_likelihood, error));
    if (index == 0 && !scoring->as_json) {
        (void)printf("log-likelihood  perplexity  tokens  text\n");
    }
    score_print(text, size_bytes, scored.end - scored.first, log_likelihood, scoring->as_json);
    return STATUS_OK;
}

static enum status score_run(const struct command_line *line, struct error *error)
{
    struct language language;
    TRY(language_open(&language, line->arguments[0], false, error));
    struct scoring scoring = {.language = &language, .as_json = command_line_has(line, "json")};
    const struct language_sink sink = {text_take, &scoring};
    enum status status = STATUS_OK;
    if (!language.causal && tokenizer_specials(language.tokenizer).mask < 0) {
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
    {.name = "json", .help = "print one line of JSON for each text"},
};

const struct command command_score = {
    .name = "score",
    .arguments = "CHECKPOINT [TEXT…]",
    .argument_min = 1,
    .argument_max = COMMAND_LINE_REPEATS_MAX,
    .summary = "tell how likely texts are under a model",
    .detail = "Natural logarithms. GPT: of the text's probability, each token given those before "
              "it. Masked "
              "families: the pseudo-log-likelihood, each token masked in turn and given all "
              "others; it costs "
              "one pass for each token and does not compare with GPT's. Perplexity is exp(-log "
              "likelihood / "
              "tokens). Special tokens around the text are seen but not counted.",
    .options = score_options,
    .option_count = ARRAY_LENGTH(score_options),
    .run = score_run,
};
