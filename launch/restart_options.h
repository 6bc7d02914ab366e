/* How often and how fast a broken job is started again. */
#ifndef SHARDLM_LAUNCH_RESTART_OPTIONS_H
#define SHARDLM_LAUNCH_RESTART_OPTIONS_H

#include <stdint.h>

struct restart_options {
    int64_t attempts;    /* in a row without a step done; 0: never */
    double wait_seconds; /* before the second of them; doubles, up to a minute */
};

#endif
