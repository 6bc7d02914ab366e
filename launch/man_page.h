/* The man page, from the table of commands. */
#ifndef SHARDLM_LAUNCH_MAN_PAGE_H
#define SHARDLM_LAUNCH_MAN_PAGE_H

#include "launch/command_line.h"

/* roff for man(7), section 1. `table` ends with NULL. */
void man_page(const struct command *const *table, struct text *out);

#endif
