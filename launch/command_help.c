/* help [COMMAND…]: pages that are generated from the tables of commands and of configuration keys.
 */
#include <string.h>

#include "launch/commands.h"
#include "launch/config.h"
#include "launch/dispatch.h"
#include "launch/man_page.h"
#include "launch/print.h"

static enum status help_topic(const struct command_line *line, struct text *page,
                              struct error *error)
{
    const char *const first = line->arguments[0];
    const char *const second = line->argument_count > 1 ? line->arguments[1] : NULL;
    int64_t used = 0;
    const struct command *const command = dispatch_find(command_table, first, second, &used);
    if (command != NULL) {
        command_help(command, page);
        return STATUS_OK;
    }
    if (second == NULL && dispatch_is_group(command_table, first)) {
        dispatch_help(command_table, first, page);
        return STATUS_OK;
    }
    return dispatch_unknown(command_table, first, second, error);
}

static enum status help_run(const struct command_line *line, struct error *error)
{
    struct text page = {0};
    if (command_line_has(line, "man")) {
        man_page(command_table, &page);
    } else if (line->argument_count == 0) {
        dispatch_help(command_table, NULL, &page);
    } else if (strcmp(line->arguments[0], "config") != 0) {
        TRY(help_topic(line, &page, error));
    } else if (command_line_has(line, "markdown")) {
        config_reference_markdown(&page);
    } else {
        config_reference(&page);
    }
    print_text(&page);
    return STATUS_OK;
}

static const struct command_option help_options[] = {
    {.name = "man", .help = "print the man page of the program"},
    {.name = "markdown", .help = "with config: print docs/configuration.md"},
};

const struct command command_help_page = {
    .name = "help",
    .arguments = "[COMMAND|config]",
    .argument_max = 2,
    .summary = "explain a command, or list every key of a configuration",
    .options = help_options,
    .option_count = ARRAY_LENGTH(help_options),
    .run = help_run,
};
