/* generate CHECKPOINT [PROMPT…]: a GPT goes on with a text. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/utf8.h"
#include "launch/commands.h"
#include "launch/language.h"
#include "launch/print.h"
#include "tasks/generate.h"

enum { TOKENS_STANDARD = 64, TOKENS_MAX = 1 << 20 };

/* The new tokens of a prompt, and how much of their text has been shown. */
struct continuation {
    const struct tokenizer *tokenizer;
    struct token_list ids;
    size_t shown_bytes;
    bool shows; /* as they come */
};

/* A character may need the next token to be whole: shows what no later token changes. Decoding all
 * ids again is what makes joins between tokens right. */
static enum status token_take(void *context, int32_t id, struct error *error)
{
    struct continuation *const continuation = context;
    char *text;
    size_t size_bytes;
    token_list_add(&continuation->ids, id);
    if (!continuation->shows) {
        return STATUS_OK;
    }
    TRY(tokenizer_decode(continuation->tokenizer, continuation->ids.ids, continuation->ids.count,
                         true, &text, &size_bytes, error));
    static const char replacement[] = "\xef\xbf\xbd"; /* of a character cut in two */
    size_t end = size_bytes;
    while (end >= 3 && memcmp(text + end - 3, replacement, 3) == 0) {
        end -= 3;
    }
    if (end > continuation->shown_bytes) {
        (void)fwrite(text + continuation->shown_bytes, 1, end - continuation->shown_bytes, stdout);
        (void)fflush(stdout);
        continuation->shown_bytes = end;
    }
    memory_release(text);
    return STATUS_OK;
}

static enum status result_print(const struct continuation *continuation, const char *prompt,
                                int32_t end_id, struct error *error)
{
    char *text;
    size_t size_bytes;
    const struct token_list *const ids = &continuation->ids;
    TRY(tokenizer_decode(continuation->tokenizer, ids->ids, ids->count, true, &text, &size_bytes,
                         error));
    json_t *const list = json_array();
    for (size_t i = 0; i < ids->count; i++) {
        (void)json_array_append_new(list, json_integer(ids->ids[i]));
    }
    const bool ended = ids->count > 0 && ids->ids[ids->count - 1] == end_id;
    json_t *const object = json_object();
    (void)json_object_set_new(object, "prompt", json_string(prompt));
    (void)json_object_set_new(object, "text", json_stringn(text, size_bytes));
    (void)json_object_set_new(object, "ids", list);
    (void)json_object_set_new(object, "ended", json_boolean(ended));
    print_json(object);
    json_decref(object);
    memory_release(text);
    return STATUS_OK;
}

static enum status prompt_continue(const struct language *language, struct model *model,
                                   const char *prompt, const struct generate_options *options,
                                   bool as_json, struct error *error)
{
    struct continuation continuation = {.tokenizer = language->tokenizer, .shows = !as_json};
    struct token_list ids = {0};
    const struct generate_sink sink = {token_take, &continuation};
    enum status status = language_encode(language, prompt, strlen(prompt), false, &ids, error);
    if (status == STATUS_OK && ids.count == 0) {
        status = error_set(error, STATUS_INPUT, "the prompt has no tokens");
    }
    if (status == STATUS_OK) {
        if (!as_json) {
            (void)fputs(prompt, stdout);
        }
        status = generate(model, &language->kernels, &language->pretrained.config.model,
                          language->pretrained.weights, ids.ids, (int64_t)ids.count, options, &sink,
                          error);
    }
    if (status == STATUS_OK && as_json) {
        status = result_print(&continuation, prompt, options->end_id, error);
    } else if (status == STATUS_OK) {
        (void)fputc('\n', stdout);
    }
    token_list_deinit(&continuation.ids);
    token_list_deinit(&ids);
    return status;
}

static enum status options_read(const struct command_line *line, struct generate_options *options,
                                struct error *error)
{
    int64_t seed;
    TRY(command_line_integer(line, "tokens", 1, TOKENS_MAX, TOKENS_STANDARD, &options->token_count,
                             error));
    TRY(command_line_integer(line, "seed", 0, INT64_MAX, 1, &seed, error));
    TRY(command_line_integer(line, "top-k", 0, INT32_MAX, 0, &options->filter.top_k, error));
    TRY(command_line_real(line, "temperature", 0.0, 1000.0, 1.0, &options->filter.temperature,
                          error));
    TRY(command_line_real(line, "top-p", 1e-6, 1.0 + 1e-12, 1.0, &options->filter.top_p, error));
    TRY(command_line_real(line, "repetition-penalty", 0.01, 100.0, 1.0,
                          &options->filter.repetition_penalty, error));
    options->seed = (uint64_t)seed;
    options->filter.top_p = options->filter.top_p > 1.0 ? 1.0 : options->filter.top_p;
    options->greedy = options->filter.temperature == 0.0 ||
                      !(command_line_has(line, "temperature") || command_line_has(line, "top-k") ||
                        command_line_has(line, "top-p") || command_line_has(line, "seed"));
    return STATUS_OK;
}

static enum status generate_each(const struct command_line *line, const struct language *language,
                                 const struct generate_options *options, struct error *error)
{
    const struct model_options *const model_options = &language->pretrained.config.model;
    const struct batch_limits limits = {1, model_options->positions, 1};
    struct model *model;
    TRY(model_open(&model, &language->kernels, model_options, &limits, NULL, error));
    enum status status = STATUS_OK;
    const int64_t prompts = line->argument_count > 1 ? line->argument_count - 1 : 1;
    for (int64_t i = 0; status == STATUS_OK && i < prompts; i++) {
        const char *const prompt = line->argument_count > 1 ? line->arguments[i + 1] : "";
        status = prompt_continue(language, model, prompt, options, command_line_has(line, "json"),
                                 error);
    }
    model_close(model);
    return status;
}

static enum status generate_run(const struct command_line *line, struct error *error)
{
    struct generate_options options = {0};
    struct language language;
    TRY(options_read(line, &options, error));
    TRY(language_open(&language, line->arguments[0], false, error));
    options.end_id = tokenizer_specials(language.tokenizer).eos;
    options.id_count = tokenizer_vocabulary(language.tokenizer);
    enum status status = STATUS_OK;
    if (!language.causal) {
        status = error_set(error, STATUS_INPUT,
                           "\"%.400s\" predicts masked tokens, not the next: use fill",
                           language.pretrained.path);
    }
    if (status == STATUS_OK) {
        status = generate_each(line, &language, &options, error);
    }
    language_close(&language);
    return status;
}

static const struct command_option generate_options_list[] = {
    {.name = "tokens", .argument = "N", .help = "most new tokens, 64 unless told"},
    {.name = "temperature",
     .argument = "X",
     .help = "draw from probabilities of logits divided by X; 0: always the likeliest"},
    {.name = "top-k", .argument = "N", .help = "draw from the N likeliest only"},
    {.name = "top-p",
     .argument = "X",
     .help = "draw from the fewest likeliest that have probability X together"},
    {.name = "repetition-penalty",
     .argument = "X",
     .help = "make tokens that stand there already less likely by a factor of X of their logits"},
    {.name = "seed",
     .argument = "N",
     .help = "of the draws, 1 unless told; the same seed draws the same text"},
    {.name = "json", .help = "print one line of JSON for each prompt"},
};

const struct command command_generate = {
    .name = "generate",
    .arguments = "CHECKPOINT [PROMPT…]",
    .argument_min = 1,
    .argument_max = COMMAND_LINE_REPEATS_MAX,
    .summary = "go on with a text, with a GPT",
    .detail = "Takes the likeliest token each time, unless --temperature, --top-k, --top-p or "
              "--seed ask for "
              "draws. Ends at the token that ends a text, at --tokens, or where the model has no "
              "more positions. "
              "Without a prompt, begins a text. Text is shown as it comes.",
    .options = generate_options_list,
    .option_count = ARRAY_LENGTH(generate_options_list),
    .run = generate_run,
};
