/* See error.h. The panic hook is one of the two mutable globals of the program (the log sink is the
 * other). */
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static panic_hook installed_hook;

/* A message is one line: names and words in it may come from hostile files. */
static void message_clean(char *message)
{
    for (unsigned char *at = (unsigned char *)message; *at != '\0'; at++) {
        if (*at < ' ' || *at == 0x7f) {
            *at = '?';
        }
    }
}

enum status error_set(struct error *error, enum status status, const char *format, ...)
{
    if (error != NULL) {
        error->status = status;
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        message_clean(error->message);
    }
    return status;
}

enum status error_context(struct error *error, enum status status, const char *format, ...)
{
    if (error != NULL && status != STATUS_OK) {
        char before[ERROR_MESSAGE_BYTES];
        memcpy(before, error->message, sizeof before);
        va_list arguments;
        va_start(arguments, format);
        const int written = vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        if (written >= 0 && (size_t)written < sizeof error->message) {
            const size_t used = (size_t)written;
            (void)snprintf(error->message + used, sizeof error->message - used, ": %s", before);
        }
        message_clean(error->message);
    }
    return status;
}

const char *error_system_words(const char *words, int *length)
{
    static const char marker[] = "error message = '";
    const char *const found = strstr(words, marker);
    const char *const first = found == NULL ? words : found + sizeof marker - 1;
    *length = (int)(found == NULL ? strlen(words) : strcspn(first, "'"));
    return first;
}

int status_exit_code(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return 0;
    case STATUS_INPUT:
    case STATUS_FORMAT:
    case STATUS_LIMIT:
        return 2;
    case STATUS_NUMERIC:
        return 3;
    case STATUS_INTERRUPTED:
        return 75;
    case STATUS_IO:
        return 74;
    case STATUS_TIMEOUT:
    case STATUS_PEER:
    case STATUS_INTERNAL:
        break;
    }
    return 1;
}

const char *status_name(enum status status)
{
    static const char *const names[] = {"ok",      "input", "format",  "io",          "limit",
                                        "timeout", "peer",  "numeric", "interrupted", "internal"};
    INVARIANT((int64_t)status < ARRAY_LENGTH(names));
    return names[status];
}

void panic_hook_set(panic_hook hook)
{
    installed_hook = hook;
}

void invariant_fail(const char *file, int line, const char *condition)
{
    char message[ERROR_MESSAGE_BYTES];
    (void)snprintf(message, sizeof message, "invariant broken at %s:%d: %s", file, line, condition);
    (void)fprintf(stderr, "shardlm: %s\n", message);
    if (installed_hook != NULL) {
        installed_hook(message);
    }
    abort();
}
