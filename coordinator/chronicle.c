/* See chronicle.h. */
#include "coordinator/chronicle.h"

#include <stdio.h>

#include "base/log.h"

enum status chronicle_open(struct chronicle *chronicle, struct channel_server *server,
                           const struct coordinator_options *options, struct error *error)
{
    *chronicle = (struct chronicle){.server = server, .options = options};
    return journal_open(&chronicle->journal, options->journal, error);
}

void chronicle_close(struct chronicle *chronicle)
{
    journal_close(&chronicle->journal);
}

void chronicle_fail(struct chronicle *chronicle, const char *text)
{
    (void)snprintf(chronicle->failure, sizeof chronicle->failure, "%s", text);
}

void chronicle_note(struct chronicle *chronicle, json_t *fields)
{
    struct error error;
    if (journal_add(&chronicle->journal, fields, &error) != STATUS_OK) {
        log_line(LOG_LEVEL_ERROR, "journal not written: %s", error.message);
        chronicle_fail(chronicle, error.message);
    }
    channel_server_publish(chronicle->server, chronicle->journal.line);
}

void chronicle_event(struct chronicle *chronicle, int64_t step, const char *event, const char *text)
{
    chronicle_note(chronicle, json_pack("{s:s, s:I, s:s}", "event", event, "step", (json_int_t)step,
                                        "text", text));
}

void chronicle_tell(struct chronicle *chronicle, const char *text)
{
    const struct coordinator_listener *const listener = &chronicle->options->listener;
    if (listener->event != NULL) {
        listener->event(listener->context, text);
    }
}

void chronicle_begin(struct chronicle *chronicle)
{
    const struct coordinator_options *const options = chronicle->options;
    const bool begins = options->first_step == 0 && !options->recalled;
    const bool adopts = begins && options->origin != NULL;
    chronicle_note(chronicle,
                   json_pack("{s:s, s:I, s:I, s:I, s:s, s:s*, s:s*}", "event",
                             options->first_step > 0 ? "resume" : "start", "step",
                             (json_int_t)options->first_step, "last_step",
                             (json_int_t)options->last_step, "workers",
                             (json_int_t)options->worker_count, "from",
                             options->recalled ? "memory"
                             : !begins         ? "checkpoint"
                             : adopts          ? "pretrained"
                                               : "seed",
                             "origin", adopts ? options->origin : NULL, "origin_fingerprint",
                             adopts ? options->origin_fingerprint : NULL));
}

void chronicle_end(struct chronicle *chronicle, const struct coordinator_result *result,
                   enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        chronicle_note(chronicle, json_pack("{s:s, s:I, s:s, s:s}", "event", "failure", "step",
                                            (json_int_t)result->step, "status", status_name(status),
                                            "text", error != NULL ? error->message : ""));
        return;
    }
    if (result->workers_next > 0) {
        chronicle_note(chronicle, json_pack("{s:s, s:I, s:I, s:I}", "event", "resize", "step",
                                            (json_int_t)result->step, "workers",
                                            (json_int_t)chronicle->options->worker_count,
                                            "workers_next", (json_int_t)result->workers_next));
    }
    chronicle_event(chronicle, result->step, "end",
                    result->stopped ? "stopped by request" : "all steps done");
}
