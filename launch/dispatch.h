/* From argv to a command: finds the row, parses its words, runs it. Prints help to standard output;
 * errors are left to the caller. */
#ifndef SHARDLM_LAUNCH_DISPATCH_H
#define SHARDLM_LAUNCH_DISPATCH_H

#include "launch/command_line.h"

/* `table` ends with NULL. STATUS_INPUT for an unknown command, with the nearest known one. */
MUST_CHECK enum status dispatch(const struct command *const *table, int argc, char *const *argv,
                                struct error *error);

/* The command named by one or two words (`second` may be NULL); *used says how many. NULL if there
 * is none. */
const struct command *dispatch_find(const struct command *const *table, const char *first,
                                    const char *second, int64_t *used);
/* The program's help page, or, with `group` ("tokenizer"), of its commands only. */
void dispatch_help(const struct command *const *table, const char *group, struct text *out);
/* Is there a command whose first of two words is `word`? */
bool dispatch_is_group(const struct command *const *table, const char *word);
/* STATUS_INPUT: the words name no command; the message has the nearest one. */
MUST_CHECK enum status dispatch_unknown(const struct command *const *table, const char *first,
                                        const char *second, struct error *error);

#endif
