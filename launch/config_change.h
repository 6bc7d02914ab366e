/* Which keys of a run may change after its first step. A run's weights follow from its configuration: a key that takes
 * part in them stays as it was. Not here: what the corpus holds (its fingerprint is compared) and the numeric
 * profile. */
#ifndef SHARDLM_LAUNCH_CONFIG_CHANGE_H
#define SHARDLM_LAUNCH_CONFIG_CHANGE_H

#include <stdbool.h>

#include "launch/config.h"

/* Can the key that `name` begins with ("lease.mode", or "lease.mode=static") never change a bit of the weights? */
bool config_change_neutral(const char *name);
/* STATUS_INPUT with the first key that may not change and has another value `now` than in the checkpoint's `then`. */
MUST_CHECK enum status config_change_check(const struct config *now, const struct config *then,
                                           struct error *error);

#endif
