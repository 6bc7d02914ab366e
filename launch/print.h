/* Output for people and scripts that several commands share. */
#ifndef SHARDLM_LAUNCH_PRINT_H
#define SHARDLM_LAUNCH_PRINT_H

#include "base/json.h"
#include "launch/text.h"

/* One line of JSON to standard output. */
void print_json(const json_t *value);
/* The text to standard output; releases it. */
void print_text(struct text *text);

#endif
