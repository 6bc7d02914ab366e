/* Errors are what the world does: a status says what kind, `struct error` says it in words for a
 * person. Invariants are what we got wrong: INVARIANT() stays on in release builds and stops the
 * whole job. This file prints nothing; `main` decides what a failed status becomes (see
 * status_exit_code). */
#ifndef SHARDLM_BASE_ERROR_H
#define SHARDLM_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum status {
    STATUS_OK = 0,
    STATUS_INPUT,       /* a value that a person gave is not acceptable: exit code 2 */
    STATUS_FORMAT,      /* a file's content is not what its kind demands: exit code 2 */
    STATUS_IO,          /* the operating system refused or failed: exit code 74, "see to the disk" */
    STATUS_LIMIT,       /* what was given is beyond a named maximum: exit code 2 */
    STATUS_TIMEOUT,     /* a wait reached its limit; the message says who was waited for */
    STATUS_PEER,        /* another process failed, left or contradicts us */
    STATUS_NUMERIC,     /* a number is not finite, left its range, or is not what it should be:
                           exit code 3, "starting again would not help" */
    STATUS_INTERRUPTED, /* asked to stop; state is saved: exit code 75, "resume me" */
    STATUS_INTERNAL,    /* a library refused what should have worked */
};

enum { ERROR_MESSAGE_BYTES = 1024 };

struct error {
    enum status status;
    char message[ERROR_MESSAGE_BYTES]; /* lower case, no full stop; truncated at the end if longer;
                                          control characters are shown as "?" */
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))
#define ARRAY_LENGTH(array) ((int64_t)(sizeof(array) / sizeof((array)[0])))

/* Fills `error` (may be NULL) and returns `status`. */
enum status error_set(struct error *error, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Puts "what: " in front of the message already in `error` (may be NULL); returns its argument. */
enum status error_context(struct error *error, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* What the system said, out of a library's words: HDF5 puts it between much else, as "error message =
 * 'No space left on device'". Other words stay whole. Borrows. */
const char *error_system_words(const char *words, int *length);

/* Process exit code: 0, 2 for bad input, 3 for bad numbers, 74 for storage, 75 for interrupted, else
 * 1. */
int status_exit_code(enum status status);
const char *status_name(enum status status);

/* Sets the error and returns from the calling function. */
#define FAIL(error, status, ...) return error_set((error), (status), __VA_ARGS__)

/* Forwards a failure to the caller. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const enum status try_status = (call);                                                     \
        if (try_status != STATUS_OK) {                                                             \
            return try_status;                                                                     \
        }                                                                                          \
    } while (0)

/* Called once by invariant_fail() before the process aborts (an MPI job sets one that ends all
 * ranks). */
typedef void (*panic_hook)(const char *message);
void panic_hook_set(panic_hook hook);

__attribute__((noreturn)) void invariant_fail(const char *file, int line, const char *condition);

#define INVARIANT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            invariant_fail(__FILE__, __LINE__, #condition);                                        \
        }                                                                                          \
    } while (0)

#endif
