/* tokenizer encode|decode: text to token ids and back, line by line. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/tokenizer.h"
#include "launch/commands.h"
#include "launch/line_input.h"
#include "launch/print.h"

/* "[0, 713, 2]" */
static void ids_print(const struct token_list *ids)
{
    (void)fputc('[', stdout);
    for (size_t i = 0; i < ids->count; i++) {
        (void)printf("%s%d", i == 0 ? "" : ", ", ids->ids[i]);
    }
    (void)fputs("]\n", stdout);
}

/* {"ids": [713, 16], "offsets": [[0, 4], [5, 7]], "words": [0, 1]} */
static void places_print(const struct token_list *ids, const struct token_places *places)
{
    (void)fputs("{\"ids\": [", stdout);
    for (size_t i = 0; i < ids->count; i++) {
        (void)printf("%s%d", i == 0 ? "" : ", ", ids->ids[i]);
    }
    (void)fputs("], \"offsets\": [", stdout);
    for (size_t i = 0; i < places->count; i++) {
        (void)printf("%s[%zu, %zu]", i == 0 ? "" : ", ", places->items[i].character_begin,
                     places->items[i].character_end);
    }
    (void)fputs("], \"words\": [", stdout);
    for (size_t i = 0; i < places->count; i++) {
        (void)printf("%s%lld", i == 0 ? "" : ", ", (long long)places->items[i].word);
    }
    (void)fputs("]}\n", stdout);
}

/* Buffers that all lines share. */
struct encoded_line {
    struct token_list ids;
    struct token_list wrapped; /* with what the template puts around them */
    struct token_places places;
};

static enum status encode_line(const struct tokenizer *tokenizer, struct tokenizer_work *work,
                               const char *text, size_t size_bytes,
                               const struct command_line *command, struct encoded_line *line,
                               struct error *error)
{
    line->ids.count = 0;
    if (command_line_has(command, "offsets")) {
        tokenizer_encode_places(tokenizer, work, text, size_bytes, true, &line->ids, &line->places);
        places_print(&line->ids, &line->places);
        return STATUS_OK;
    }
    tokenizer_encode(tokenizer, work, text, size_bytes, true, &line->ids);
    if (!command_line_has(command, "special")) {
        ids_print(&line->ids);
        return STATUS_OK;
    }
    size_t ignored = 0;
    TRY(tokenizer_wrap(tokenizer, &line->ids, NULL, &(struct wrap_options){0}, &line->wrapped, NULL,
                       &ignored, error));
    ids_print(&line->wrapped);
    return STATUS_OK;
}

static enum status encode_lines(const struct tokenizer *tokenizer, struct line_input *input,
                                const struct command_line *command, struct error *error)
{
    struct tokenizer_work *const work = tokenizer_work_open();
    struct encoded_line line = {0};
    const char *text = "";
    enum status status = STATUS_OK;
    while (status == STATUS_OK && text != NULL) {
        size_t size_bytes;
        status = line_input_next(input, true, &text, &size_bytes, error);
        if (status == STATUS_OK && text != NULL) {
            status = encode_line(tokenizer, work, text, size_bytes, command, &line, error);
        }
    }
    token_places_deinit(&line.places);
    token_list_deinit(&line.wrapped);
    token_list_deinit(&line.ids);
    tokenizer_work_close(work);
    return status;
}

static enum status encode_run(const struct command_line *line, struct error *error)
{
    struct tokenizer *tokenizer = NULL;
    struct line_input input = {0};
    if (command_line_has(line, "offsets") && command_line_has(line, "special")) {
        FAIL(error, STATUS_INPUT, "--offsets and --special do not go together");
    }
    TRY(tokenizer_open(&tokenizer, command_line_text(line, "tokenizer"), error));
    enum status status =
        line_input_open(&input, line->argument_count == 0 ? NULL : line->arguments[0], error);
    if (status == STATUS_OK) {
        status = encode_lines(tokenizer, &input, line, error);
    }
    line_input_close(&input);
    tokenizer_close(tokenizer);
    return status;
}

/* The ids of one line's JSON array. */
static enum status ids_read(const char *line, size_t size_bytes, const struct line_input *input,
                            struct token_list *ids, struct error *error)
{
    json_t *array;
    char what[64];
    (void)snprintf(what, sizeof what, "%.32s line %lld", input->name, (long long)input->line);
    TRY(json_read_text(what, line, size_bytes, &array, error));
    void *block = ids->ids;
    memory_reserve(&block, &ids->capacity, json_array_size(array), sizeof *ids->ids, "ids");
    ids->ids = block;
    ids->count = 0;
    enum status status = STATUS_OK;
    if (!json_is_array(array)) {
        status = error_set(error, STATUS_FORMAT, "\"%s\" is no JSON array", what);
    }
    for (size_t i = 0; status == STATUS_OK && i < json_array_size(array); i++) {
        const json_t *const item = json_array_get(array, i);
        const json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id > INT32_MAX) {
            status = error_set(error, STATUS_FORMAT, "\"%s\": item %zu is no token id", what, i);
        } else {
            ids->ids[ids->count++] = (int32_t)id;
        }
    }
    json_decref(array);
    return status;
}

static enum status decode_line(const struct tokenizer *tokenizer, const struct token_list *ids,
                               const struct command_line *line, struct error *error)
{
    char *text;
    size_t size_bytes;
    TRY(tokenizer_decode(tokenizer, ids->ids, ids->count, !command_line_has(line, "special"), &text,
                         &size_bytes, error));
    if (command_line_has(line, "json")) {
        json_t *const value = json_stringn(text, size_bytes);
        (void)json_dumpf(value, stdout, JSON_ENCODE_ANY);
        json_decref(value);
    } else {
        (void)fwrite(text, 1, size_bytes, stdout);
    }
    (void)fputc('\n', stdout);
    memory_release(text);
    return STATUS_OK;
}

static enum status decode_run(const struct command_line *line, struct error *error)
{
    struct tokenizer *tokenizer = NULL;
    struct line_input input = {0};
    struct token_list ids = {0};
    TRY(tokenizer_open(&tokenizer, command_line_text(line, "tokenizer"), error));
    enum status status =
        line_input_open(&input, line->argument_count == 0 ? NULL : line->arguments[0], error);
    while (status == STATUS_OK) {
        const char *text;
        size_t size_bytes;
        status = line_input_next(&input, true, &text, &size_bytes, error);
        if (status != STATUS_OK || text == NULL) {
            break;
        }
        status = ids_read(text, size_bytes, &input, &ids, error);
        if (status == STATUS_OK) {
            status = decode_line(tokenizer, &ids, line, error);
            (void)error_context(error, status, "%s, line %lld", input.name, (long long)input.line);
        }
    }
    token_list_deinit(&ids);
    line_input_close(&input);
    tokenizer_close(tokenizer);
    return status;
}

static const struct command_option encode_options[] = {
    {.name = "tokenizer",
     .argument = "DIR",
     .help = "folder, a tokenizer.json, a vocab.txt or a SentencePiece .model",
     .required = true},
    {.name = "special",
     .help = "put around each line what the tokenizer's template says: <s> … </s>, [CLS] … [SEP]"},
    {.name = "offsets",
     .help = "print an object with ids, their places in the line (in characters) and the numbers "
             "of their words"},
};

const struct command command_tokenizer_encode = {
    .name = "tokenizer encode",
    .arguments = "[FILE]",
    .argument_max = 1,
    .summary = "print the token ids of each line as a JSON array",
    .detail =
        "Reads standard input without FILE. Special tokens that stand in the text (<mask>) become "
        "their ids.",
    .options = encode_options,
    .option_count = ARRAY_LENGTH(encode_options),
    .run = encode_run,
};

static const struct command_option decode_options[] = {
    {.name = "tokenizer",
     .argument = "DIR",
     .help = "folder, a tokenizer.json, a vocab.txt or a SentencePiece .model",
     .required = true},
    {.name = "special", .help = "keep special tokens in the text"},
    {.name = "json", .help = "print each text as a JSON string (a text may hold line ends)"},
};

const struct command command_tokenizer_decode = {
    .name = "tokenizer decode",
    .arguments = "[FILE]",
    .argument_max = 1,
    .summary = "print the text of each line's JSON array of token ids",
    .detail = "Reads standard input without FILE.",
    .options = decode_options,
    .option_count = ARRAY_LENGTH(decode_options),
    .run = decode_run,
};
