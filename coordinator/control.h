/* What an operator has asked of a running job, and the answers: JSON objects. Requests change
 * nothing at once: the coordinator looks here at the next step boundary, so no bit depends on them.
 *
 * Every answer: {"refused" (why, if it is), "state": "running"|"paused"|"stopping",
 * "workers_asked" (0: as they are), "step", "last_step", "published_step",
 * "writing_step" (-1: none), "write_failed", "loss", "rate", "norm", "tokens_per_second",
 * "step_seconds", "seconds_left", "dropped", "workers": [{"host", "process", "phase", "step",
 * "slot", "slots", "slot_seconds", "wait_share", "silent_seconds"}]}; figures of a step are those
 * of the last one, means over some twenty where that steadies them. */
#ifndef SHARDLM_COORDINATOR_CONTROL_H
#define SHARDLM_COORDINATOR_CONTROL_H

#include "coordinator/channel.h"
#include "coordinator/member.h"
#include "coordinator/step_record.h"

struct control {
    bool paused;
    bool stopping;
    int64_t workers_asked;   /* the job ends, to be started again with so many; 0: no */
    bool checkpoint_asked;   /* until one is begun, or the state is on disk as it stands */
    struct step_record last; /* step 0: none yet */
    double step_seconds;     /* mean */
};

/* The rest of what an answer tells. */
struct control_view {
    int64_t step, last_step;
    int64_t saved_step, published_step;
    bool write_failed;
    const struct member *members;
    int64_t worker_count;
    int64_t team_size; /* the number of workers is a multiple of it; 0: 1 */
    int64_t workers_least,
        workers_most; /* what may be asked for; most 0: nobody would start it again */
};

/* Takes an operator's request and answers it; false if it was refused. */
bool control_take(struct control *control, const struct control_view *view,
                  struct channel_server *server, const struct message *request);
void control_step(struct control *control, const struct step_record *record);

#endif
