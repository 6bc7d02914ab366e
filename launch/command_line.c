/* See command_line.h. */
#include "launch/command_line.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "launch/word.h"

enum { HELP_COLUMN = 30 };

/* Index of the option named by the first `length` bytes of `word`, or -1. */
static int64_t option_find(const struct command *command, const char *word, size_t length)
{
    for (int64_t i = 0; i < command->option_count; i++) {
        const char *const name = command->options[i].name;
        if (strlen(name) == length && memcmp(name, word, length) == 0) {
            return i;
        }
    }
    return -1;
}

static enum status option_unknown(const struct command *command, const char *word,
                                  struct error *error)
{
    const char *nearest = "help";
    int64_t distance = word_distance(word, nearest);
    for (int64_t i = 0; i < command->option_count; i++) {
        const int64_t other = word_distance(word, command->options[i].name);
        if (other < distance) {
            distance = other;
            nearest = command->options[i].name;
        }
    }
    FAIL(error, STATUS_INPUT, "%s: unknown option \"--%.64s\", nearest known option is \"--%s\"",
         command->name, word, nearest);
}

/* Takes the option in words[*at] and, where it has one, its value; *at ends on the last word used.
 */
static enum status option_take(struct command_line *line, char *const *words, int64_t word_count,
                               int64_t *at, struct error *error)
{
    const struct command *const command = line->command;
    const char *const word = words[*at] + 2;
    const size_t length = strcspn(word, "=");
    const int64_t found = option_find(command, word, length);
    if (found < 0) {
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), word);
        return option_unknown(command, name, error);
    }
    const struct command_option *const option = &command->options[found];
    const char *text = word[length] == '=' ? word + length + 1 : NULL;
    if (option->argument == NULL && text != NULL) {
        FAIL(error, STATUS_INPUT, "%s: option \"--%s\" takes no value", command->name,
             option->name);
    }
    if (option->argument != NULL && text == NULL) {
        if (*at + 1 >= word_count) {
            FAIL(error, STATUS_INPUT, "%s: option \"--%s\" needs a value: --%s %s", command->name,
                 option->name, option->name, option->argument);
        }
        text = words[++*at];
    }
    if (option->argument != NULL && text[0] == '\0') {
        FAIL(error, STATUS_INPUT, "%s: option \"--%s %s\" is empty", command->name, option->name,
             option->argument);
    }
    if (option->repeats &&
        command_line_text_at(line, option->name, COMMAND_LINE_REPEATS_MAX - 1) != NULL) {
        FAIL(error, STATUS_LIMIT, "%s: option \"--%s\" was given more than %d times", command->name,
             option->name, COMMAND_LINE_REPEATS_MAX);
    }
    if (!option->repeats && command_line_has(line, option->name)) {
        FAIL(error, STATUS_INPUT, "%s: option \"--%s\" was given twice", command->name,
             option->name);
    }
    line->values[line->value_count++] = (struct command_line_value){found, text};
    return STATUS_OK;
}

static enum status command_line_check(const struct command_line *line, struct error *error)
{
    const struct command *const command = line->command;
    if (line->argument_count > command->argument_max) {
        FAIL(error, STATUS_INPUT, "%s: unexpected argument \"%.256s\"; usage: shardlm %s%s%s",
             command->name, line->arguments[command->argument_max], command->name,
             command->arguments == NULL ? "" : " ",
             command->arguments == NULL ? "" : command->arguments);
    }
    if (line->argument_count < command->argument_min) {
        FAIL(error, STATUS_INPUT, "%s: an argument is missing; usage: shardlm %s %s", command->name,
             command->name, command->arguments);
    }
    for (int64_t i = 0; i < line->argument_count; i++) {
        if (line->arguments[i][0] == '\0') { /* an empty path would mean the root folder */
            FAIL(error, STATUS_INPUT, "%s: argument %lld is empty; usage: shardlm %s %s",
                 command->name, (long long)i + 1, command->name, command->arguments);
        }
    }
    for (int64_t i = 0; i < command->option_count; i++) {
        const struct command_option *const option = &command->options[i];
        if (option->required && !command_line_has(line, option->name)) {
            FAIL(error, STATUS_INPUT, "%s: option \"--%s %s\" is missing", command->name,
                 option->name, option->argument);
        }
    }
    return STATUS_OK;
}

enum status command_line_open(struct command_line *line, const struct command *command,
                              const char *program, char *const *words, int64_t word_count,
                              struct error *error)
{
    *line = (struct command_line){
        .command = command, .program = program, .words = words, .word_count = word_count};
    line->arguments = memory_take((size_t)word_count, sizeof *line->arguments, "command line");
    line->values = memory_take((size_t)word_count, sizeof *line->values, "command line");
    bool options_end = false;
    for (int64_t i = 0; i < word_count; i++) {
        const char *const word = words[i];
        if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
        } else if (!options_end && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            line->help = true;
            return STATUS_OK;
        } else if (!options_end && strncmp(word, "--", 2) == 0) {
            TRY(option_take(line, words, word_count, &i, error));
        } else if (!options_end && word[0] == '-' && word[1] != '\0') {
            FAIL(error, STATUS_INPUT,
                 "%s: unknown option \"%.64s\": options are long, as in --help", command->name,
                 word);
        } else {
            line->arguments[line->argument_count++] = word;
        }
    }
    return command_line_check(line, error);
}

void command_line_close(struct command_line *line)
{
    memory_release(line->arguments);
    memory_release(line->values);
    *line = (struct command_line){0};
}

const char *command_line_text_at(const struct command_line *line, const char *name, int64_t index)
{
    const int64_t option = option_find(line->command, name, strlen(name));
    INVARIANT(option >= 0);
    int64_t seen = 0;
    for (int64_t i = 0; i < line->value_count; i++) {
        if (line->values[i].option == option && seen++ == index) {
            return line->values[i].text;
        }
    }
    return NULL;
}

int64_t command_line_texts(const struct command_line *line, const char *name,
                           const char *texts[COMMAND_LINE_REPEATS_MAX])
{
    int64_t count = 0;
    while (count < COMMAND_LINE_REPEATS_MAX &&
           (texts[count] = command_line_text_at(line, name, count)) != NULL) {
        count++;
    }
    return count;
}

bool command_line_has(const struct command_line *line, const char *name)
{
    const int64_t option = option_find(line->command, name, strlen(name));
    INVARIANT(option >= 0);
    for (int64_t i = 0; i < line->value_count; i++) {
        if (line->values[i].option == option) {
            return true;
        }
    }
    return false;
}

const char *command_line_text(const struct command_line *line, const char *name)
{
    return command_line_text_at(line, name, 0);
}

enum status command_line_integer(const struct command_line *line, const char *name, int64_t least,
                                 int64_t most, int64_t standard, int64_t *value,
                                 struct error *error)
{
    const char *const text = command_line_text(line, name);
    if (text == NULL) {
        *value = standard;
        return STATUS_OK;
    }
    int64_t parsed;
    if (!word_integer(text, &parsed) || parsed < least || parsed > most) {
        FAIL(error, STATUS_INPUT,
             "%s: option \"--%s %.64s\": expected an integer from %lld to %lld",
             line->command->name, name, text, (long long)least, (long long)most);
    }
    *value = parsed;
    return STATUS_OK;
}

enum status command_line_real(const struct command_line *line, const char *name, double least,
                              double below, double standard, double *value, struct error *error)
{
    const char *const text = command_line_text(line, name);
    if (text == NULL) {
        *value = standard;
        return STATUS_OK;
    }
    double parsed;
    if (!word_real(text, &parsed) || parsed < least || parsed >= below) {
        FAIL(error, STATUS_INPUT,
             "%s: option \"--%s %.64s\": expected a number from %g to below %g",
             line->command->name, name, text, least, below);
    }
    *value = parsed;
    return STATUS_OK;
}

/* "shardlm export CHECKPOINT --out DIR [--json]" */
static void command_usage(const struct command *command, struct text *out)
{
    struct text usage = {0};
    text_add(&usage, "shardlm %s", command->name);
    if (command->arguments != NULL) {
        text_add(&usage, " %s", command->arguments);
    }
    for (int64_t i = 0; i < command->option_count; i++) {
        const struct command_option *const option = &command->options[i];
        text_add(&usage, " %s--%s%s%s%s%s", option->required ? "" : "[", option->name,
                 option->argument == NULL ? "" : " ",
                 option->argument == NULL ? "" : option->argument, option->required ? "" : "]",
                 option->repeats ? "…" : "");
    }
    text_add(out, "usage: ");
    text_add_wrapped(out, usage.data, 7, COMMAND_LINE_COLUMNS);
    text_deinit(&usage);
}

void command_help(const struct command *command, struct text *out)
{
    command_usage(command, out);
    text_add(out, "\n");
    text_add_wrapped(out, command->summary, 0, COMMAND_LINE_COLUMNS);
    if (command->detail != NULL) {
        text_add(out, "\n");
        text_add_wrapped(out, command->detail, 0, COMMAND_LINE_COLUMNS);
    }
    text_add(out, "\noptions:\n");
    for (int64_t i = 0; i < command->option_count; i++) {
        const struct command_option *const option = &command->options[i];
        char head[64];
        (void)snprintf(head, sizeof head, "  --%s%s%s", option->name,
                       option->argument == NULL ? "" : " ",
                       option->argument == NULL ? "" : option->argument);
        text_add(out, "%-*s", HELP_COLUMN, head);
        text_add_wrapped(out, option->help, HELP_COLUMN, COMMAND_LINE_COLUMNS);
    }
    text_add(out, "%-*s%s\n", HELP_COLUMN, "  --help", "this page");
}
