/* What a job says of itself: lines of the journal, which go to the clients that follow it too, and
 * sentences for the caller's listener. */
#ifndef SHARDLM_COORDINATOR_CHRONICLE_H
#define SHARDLM_COORDINATOR_CHRONICLE_H

#include "coordinator/coordinator.h"
#include "coordinator/journal.h"

enum { CHRONICLE_TEXT_BYTES = 1024 };

struct chronicle {
    struct journal journal;
    struct channel_server *server;             /* borrowed */
    const struct coordinator_options *options; /* borrowed */
    char failure[CHRONICLE_TEXT_BYTES]; /* the last write that failed, in words; empty: none */
};

MUST_CHECK enum status chronicle_open(struct chronicle *chronicle, struct channel_server *server,
                                      const struct coordinator_options *options,
                                      struct error *error);
void chronicle_close(struct chronicle *chronicle);

/* A line; releases `fields`. A journal that cannot be written must not stop the training: it is
 * said, loudly, each time, and noted in `failure`. */
void chronicle_note(struct chronicle *chronicle, json_t *fields);
void chronicle_event(struct chronicle *chronicle, int64_t step, const char *event,
                     const char *text);
void chronicle_tell(struct chronicle *chronicle, const char *text); /* the listener only */
void chronicle_fail(struct chronicle *chronicle, const char *text);

/* The job's first line and its last ones. */
void chronicle_begin(struct chronicle *chronicle);
void chronicle_end(struct chronicle *chronicle, const struct coordinator_result *result,
                   enum status status, const struct error *error);

#endif
