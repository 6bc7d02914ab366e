/* The command line: what a command takes is stated once in its table row; parsing, messages, --help
 * and the man page follow from it. Options are long (--name value, --name=value), may stand
 * anywhere, and "--" ends them.
 *
 *     static const struct command_option options[] = {
 *         {.name = "out", .argument = "DIR", .help = "folder to write", .required = true},
 *         {.name = "json", .help = "print one JSON object"},
 *     };
 *     const struct command command_export = {
 *         .name = "export", .arguments = "CHECKPOINT", .argument_min = 1, .argument_max = 1,
 *         .summary = "write a Hugging Face folder", .options = options, .option_count =
 * ARRAY_LENGTH(options), .run = export_run};
 */
#ifndef SHARDLM_LAUNCH_COMMAND_LINE_H
#define SHARDLM_LAUNCH_COMMAND_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "launch/text.h"

enum { COMMAND_LINE_COLUMNS = 100, COMMAND_LINE_REPEATS_MAX = 256 };

struct command_option {
    const char *name;     /* without the dashes */
    const char *argument; /* placeholder of its value; NULL: a switch */
    const char *help;     /* one sentence, lower case, no full stop */
    bool required;
    bool repeats; /* may be given more than once; otherwise twice is an error */
};

struct command_line;

struct command {
    const char *name;      /* "train", "tokenizer encode" */
    const char *arguments; /* as shown: "CONFIG", "[FILE…]"; NULL: none */
    int64_t argument_min;
    int64_t argument_max;
    const char *summary; /* one line, lower case, no full stop */
    const char *detail;  /* sentences; may be NULL */
    const struct command_option *options;
    int64_t option_count;
    bool hidden; /* not listed */
    enum status (*run)(const struct command_line *line, struct error *error);
};

/* A parsed command line. Texts are borrowed from argv. */
struct command_line {
    const struct command *command;
    const char *program; /* argv[0], for starting ourselves again */
    char *const *words;  /* all words behind the command's name, borrowed */
    int64_t word_count;
    const char **arguments;
    int64_t argument_count;
    struct command_line_value {
        int64_t option;   /* index in command->options */
        const char *text; /* NULL for a switch */
    } * values;           /* in the order given */
    int64_t value_count;
    bool help; /* --help or -h stood there: nothing else was checked */
};

/* Parses the words behind the command's name. STATUS_INPUT with the nearest known option for an
 * unknown one. Caller releases with command_line_close, also after a failure. */
MUST_CHECK enum status command_line_open(struct command_line *line, const struct command *command,
                                         const char *program, char *const *words,
                                         int64_t word_count, struct error *error);
void command_line_close(struct command_line *line); /* accepts a zeroed line */

/* `name` must be in the command's table. */
bool command_line_has(const struct command_line *line, const char *name);
const char *command_line_text(const struct command_line *line, const char *name); /* or NULL */
/* Every value of a repeating option, in order: the `index`-th, or NULL behind the last. */
const char *command_line_text_at(const struct command_line *line, const char *name, int64_t index);
/* All of them, in their order; returns their number. */
int64_t command_line_texts(const struct command_line *line, const char *name,
                           const char *texts[COMMAND_LINE_REPEATS_MAX]);
/* `standard` when it was not given; STATUS_INPUT unless it is an integer in [least, most]. */
MUST_CHECK enum status command_line_integer(const struct command_line *line, const char *name,
                                            int64_t least, int64_t most, int64_t standard,
                                            int64_t *value, struct error *error);

/* The same for numbers from `least` to below `below`. */
MUST_CHECK enum status command_line_real(const struct command_line *line, const char *name,
                                         double least, double below, double standard, double *value,
                                         struct error *error);

/* One command's help page. */
void command_help(const struct command *command, struct text *out);

#endif
