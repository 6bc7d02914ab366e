/* RUN/control.json: how an operator reaches the job that works on a run. It holds a key, so only
 * the run's owner can read it (mode 0600); it is new for every start and removed at the end. */
#ifndef SHARDLM_LAUNCH_CONTROL_FILE_H
#define SHARDLM_LAUNCH_CONTROL_FILE_H

#include "base/json.h"
#include "coordinator/channel.h"

MUST_CHECK enum status control_file_write(const char *run, const struct channel_address *operators,
                                          struct error *error);
void control_file_remove(const char *run); /* accepts NULL */
/* STATUS_INPUT if no job works on the run or `run` is none, STATUS_FORMAT if the file is not one of
 * ours. */
MUST_CHECK enum status control_file_read(const char *run, struct channel_address *operators,
                                         struct error *error);

/* An operator's connection to a run's job. */
struct control_link {
    const char *run; /* borrowed */
    struct channel_client *client;
};
MUST_CHECK enum status control_link_open(struct control_link *link, const char *run,
                                         struct error *error);
void control_link_close(struct control_link *link); /* accepts a zeroed link */
/* Asks and reads the answer (coordinator/control.h); caller releases *answer with json_decref.
 * `value`: the number of workers that is asked for, else 0. STATUS_PEER if the job does not answer
 * within CONTROL_LINK_SECONDS. */
enum { CONTROL_LINK_SECONDS = 5 };
MUST_CHECK enum status control_link_ask(struct control_link *link, enum message_kind kind,
                                        int64_t value, json_t **answer, struct error *error);

#endif
