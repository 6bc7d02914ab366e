/* One fact a line on standard error: `level where event key=value …`, units in keys. The sink
 * (level and the name of the process) is set once by main. Never called inside a loop over data. */
#ifndef SHARDLM_BASE_LOG_H
#define SHARDLM_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_setup(enum log_level least, const char *where); /* `where` is copied, at most 31 bytes */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
