/* See dispatch.h. */
#include "launch/dispatch.h"

#include <stdio.h>
#include <string.h>

#include "launch/print.h"
#include "launch/word.h"

enum { SUMMARY_COLUMN = 24, COMMAND_NAME_BYTES = 64 };

bool dispatch_is_group(const struct command *const *table, const char *word)
{
    const size_t length = strlen(word);
    for (int64_t i = 0; table[i] != NULL; i++) {
        if (strncmp(table[i]->name, word, length) == 0 && table[i]->name[length] == ' ') {
            return true;
        }
    }
    return false;
}

const struct command *dispatch_find(const struct command *const *table, const char *first,
                                    const char *second, int64_t *used)
{
    char both[COMMAND_NAME_BYTES] = "";
    if (second != NULL && strlen(first) <= 30 && strlen(second) <= 30) {
        (void)snprintf(both, sizeof both, "%.30s %.30s", first, second);
    }
    for (int64_t i = 0; table[i] != NULL; i++) {
        if (strcmp(table[i]->name, first) == 0 || strcmp(table[i]->name, both) == 0) {
            *used = strchr(table[i]->name, ' ') == NULL ? 1 : 2;
            return table[i];
        }
    }
    return NULL;
}

void dispatch_help(const struct command *const *table, const char *group, struct text *out)
{
    const size_t length = group == NULL ? 0 : strlen(group);
    if (group == NULL) {
        text_add(out,
                 "shardlm %s: pretrains masked language models on any number of workers, with the "
                 "same bits\n\n",
                 SHARDLM_VERSION);
    }
    text_add(out, "usage: shardlm %s%sCOMMAND [ARGUMENT…] [--OPTION VALUE…]\n\ncommands:\n",
             group == NULL ? "" : group, group == NULL ? "" : " ");
    for (int64_t i = 0; table[i] != NULL; i++) {
        const struct command *const command = table[i];
        if (command->hidden || (group != NULL && (strncmp(command->name, group, length) != 0 ||
                                                  command->name[length] != ' '))) {
            continue;
        }
        text_add(out, "  %-*s", SUMMARY_COLUMN - 2, command->name);
        text_add_wrapped(out, command->summary, SUMMARY_COLUMN, COMMAND_LINE_COLUMNS);
    }
    text_add(out, "\nshardlm COMMAND --help explains one; shardlm help config lists every key of a "
                  "configuration.\n");
}

enum status dispatch_unknown(const struct command *const *table, const char *first,
                             const char *second, struct error *error)
{
    const bool is_group = dispatch_is_group(table, first);
    if (is_group && second == NULL) {
        FAIL(error, STATUS_INPUT, "\"%s\" is a group of commands: see shardlm %s --help", first,
             first);
    }
    char given[COMMAND_NAME_BYTES];
    (void)snprintf(given, sizeof given, "%.30s%s%.30s", first, is_group ? " " : "",
                   is_group ? second : "");
    const char *nearest = NULL;
    int64_t distance = INT64_MAX;
    for (int64_t i = 0; table[i] != NULL; i++) {
        const int64_t other = word_distance(given, table[i]->name);
        if (other < distance && !table[i]->hidden) {
            distance = other;
            nearest = table[i]->name;
        }
    }
    FAIL(error, STATUS_INPUT, "unknown command \"%s\", nearest known command is \"%s\"", given,
         nearest);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

enum status dispatch(const struct command *const *table, int argc, char *const *argv,
                     struct error *error)
{
    struct text page = {0};
    if (argc < 2) {
        FAIL(error, STATUS_INPUT, "no command given: see shardlm --help");
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("shardlm %s\n", SHARDLM_VERSION);
        return STATUS_OK;
    }
    if (is_help(argv[1]) || (argc == 3 && is_help(argv[2]) && dispatch_is_group(table, argv[1]))) {
        dispatch_help(table, is_help(argv[1]) ? NULL : argv[1], &page);
        print_text(&page);
        return STATUS_OK;
    }
    int64_t used = 0;
    const char *const second = argc > 2 ? argv[2] : NULL;
    const struct command *const command = dispatch_find(table, argv[1], second, &used);
    if (command == NULL) {
        return dispatch_unknown(table, argv[1], second, error);
    }
    struct command_line line;
    enum status status =
        command_line_open(&line, command, argv[0], argv + 1 + used, argc - 1 - used, error);
    if (status == STATUS_OK && line.help) {
        command_help(command, &page);
        print_text(&page);
    } else if (status == STATUS_OK) {
        status = command->run(&line, error);
    }
    command_line_close(&line);
    return status;
}
