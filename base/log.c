/* See log.h. A line is put together first and written at once, so lines of several processes do not
 * mix. */
#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum { LOG_LINE_BYTES = 2048, LOG_WHERE_BYTES = 32 };

static struct {
    enum log_level least;
    char where[LOG_WHERE_BYTES];
} sink = {LOG_LEVEL_INFO, "shardlm"};

void log_setup(enum log_level least, const char *where)
{
    sink.least = least;
    (void)snprintf(sink.where, sizeof sink.where, "%s", where);
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < sink.least) {
        return;
    }
    char line[LOG_LINE_BYTES];
    const int head = snprintf(line, sizeof line, "%s %s ", names[level], sink.where);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line + head, sizeof line - (size_t)head - 1, format, arguments);
    va_end(arguments);
    const size_t length = strlen(line);
    line[length] = '\n';
    (void)fwrite(line, 1, length + 1, stderr);
}
