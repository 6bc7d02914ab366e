/* See dispatch.h. */
#include "launch/dispatch.h"

#include <stdio.h>
#include <string.h>

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

const struct command *dispatch_find(const struct command *const *table, char *const *words,
                                    int64_t word_count, int64_t *used)
{
    char both[COMMAND_NAME_BYTES] = "";
    if (word_count >= 2) {
        const int length = snprintf(both, sizeof both, "%s %s", words[0], words[1]);
        if (length < 0 || length >= COMMAND_NAME_BYTES) {
            both[0] = '\0';
        }
    }
    for (int64_t i = 0; word_count >= 1 && table[i] != NULL; i++) {
        if (strcmp(table[i]->name, words[0]) == 0 || strcmp(table[i]->name, both) == 0) {
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

enum status dispatch_unknown(const struct command *const *table, char *const *words,
                             int64_t word_count, struct error *error)
{
    if (dispatch_is_group(table, words[0]) && word_count < 2) {
        FAIL(error, STATUS_INPUT, "\"%s\" is a group of commands: see shardlm %s --help", words[0],
             words[0]);
    }
    char given[COMMAND_NAME_BYTES];
    const bool two = word_count >= 2 && dispatch_is_group(table, words[0]);
    (void)snprintf(given, sizeof given, "%s%s%s", words[0], two ? " " : "", two ? words[1] : "");
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

static void print_and_release(struct text *page)
{
    (void)fwrite(page->data, 1, page->size_bytes, stdout);
    text_deinit(page);
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
        print_and_release(&page);
        return STATUS_OK;
    }
    int64_t used = 0;
    const struct command *const command = dispatch_find(table, argv + 1, argc - 1, &used);
    if (command == NULL) {
        return dispatch_unknown(table, argv + 1, argc - 1, error);
    }
    struct command_line line;
    enum status status =
        command_line_open(&line, command, argv[0], argv + 1 + used, argc - 1 - used, error);
    if (status == STATUS_OK && line.help) {
        command_help(command, &page);
        print_and_release(&page);
    } else if (status == STATUS_OK) {
        status = command->run(&line, error);
    }
    command_line_close(&line);
    return status;
}
