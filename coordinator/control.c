/* See control.h. */
#include "coordinator/control.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"

enum { REFUSAL_BYTES = 256 };

static const double mean_share = 0.05; /* of the newest step in the mean time of one */

void control_step(struct control *control, const struct step_record *record)
{
    const double former = control->step_seconds > 0 ? control->step_seconds : record->seconds;
    control->step_seconds = former + mean_share * (record->seconds - former);
    control->last = *record;
    control->last.fingerprint = NULL; /* was borrowed */
}

/* JSON knows no infinities. */
static double finite_or_zero(double value)
{
    return isfinite(value) ? value : 0.0;
}

static json_t *member_json(const struct member *member, double step_seconds)
{
    const double slots = (double)member->ready.values[MESSAGE_VALUE_SLOTS];
    const double compute = member->ready.reals[MESSAGE_REAL_COMPUTE];
    const double wait = step_seconds > 0 && slots > 0 ? 1.0 - compute / step_seconds : 0.0;
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:f, s:f, s:f}", "host", member->host,
                     "process", (json_int_t)member->process, "phase",
                     message_phase_name(member->phase), "step", (json_int_t)member->step, "slot",
                     (json_int_t)member->slot, "slots", (json_int_t)slots, "slot_seconds",
                     member_slot_seconds(member), "wait_share", wait > 0 ? wait : 0.0,
                     "silent_seconds", clock_seconds_since(member->heard_ns));
}

static json_t *answer_make(const struct control *control, const struct control_view *view,
                           int64_t dropped, const char *refused)
{
    const struct step_record *const last = &control->last;
    const bool writing = view->saved_step > view->published_step && !view->write_failed;
    json_t *const workers = json_array();
    for (int64_t i = 0; i < view->worker_count; i++) {
        INVARIANT(json_array_append_new(workers, member_json(&view->members[i], last->seconds)) ==
                  0);
    }
    return json_pack(
        "{s:s*, s:I, s:s, s:I, s:I, s:I, s:I, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:o}",
        "refused", refused[0] != '\0' ? refused : NULL, "workers_asked",
        (json_int_t)control->workers_asked, "state",
        control->stopping || control->workers_asked > 0 ? "stopping"
                                                        : (control->paused ? "paused" : "running"),
        "step", (json_int_t)view->step, "last_step", (json_int_t)view->last_step, "published_step",
        (json_int_t)view->published_step, "writing_step",
        writing ? (json_int_t)view->saved_step : (json_int_t)-1, "write_failed",
        view->write_failed ? 1 : 0, "loss", finite_or_zero(last->loss), "rate",
        finite_or_zero(last->rate), "norm", finite_or_zero(last->norm), "tokens_per_second",
        last->seconds > 0 ? (double)last->tokens / last->seconds : 0.0, "step_seconds",
        control->step_seconds, "seconds_left",
        control->step_seconds * (double)(view->last_step - view->step), "dropped",
        (json_int_t)dropped, "workers", workers);
}

/* Why a job cannot go on with `wanted` workers; empty: it can. */
static void workers_refuse(const struct control_view *view, int64_t wanted, char *why,
                           size_t size_bytes)
{
    why[0] = '\0';
    if (view->workers_most == 0) {
        (void)snprintf(why, size_bytes,
                       "the job was not started by shardlm train or resume, so nobody would start "
                       "it again with other workers: stop it and start it so");
    } else if (wanted < view->workers_least || wanted > view->workers_most) {
        (void)snprintf(why, size_bytes,
                       "%" PRId64 " workers cannot be: this run takes from %" PRId64 " to %" PRId64,
                       wanted, view->workers_least, view->workers_most);
    } else if (view->team_size > 1 && wanted % view->team_size != 0) {
        (void)snprintf(why, size_bytes,
                       "%" PRId64 " workers cannot be: %" PRId64
                       " of them compute a slot together (shard.tensor, shard.pipeline)",
                       wanted, view->team_size);
    }
}

bool control_take(struct control *control, const struct control_view *view,
                  struct channel_server *server, const struct message *request)
{
    char refused[REFUSAL_BYTES] = "";
    switch ((int)request->kind) {
    case MESSAGE_KIND_CHECKPOINT:
        control->checkpoint_asked =
            control->checkpoint_asked || view->saved_step != view->step || view->write_failed;
        break;
    case MESSAGE_KIND_PAUSE:
        control->paused = true;
        break;
    case MESSAGE_KIND_RESUME:
        control->paused = false;
        break;
    case MESSAGE_KIND_STOP:
        control->stopping = true;
        break;
    case MESSAGE_KIND_WORKERS:
        workers_refuse(view, request->values[0], refused, sizeof refused);
        if (refused[0] == '\0') {
            control->workers_asked =
                request->values[0] == view->worker_count ? 0 : request->values[0];
        }
        break;
    default: /* STATUS */
        break;
    }
    json_t *const answer = answer_make(control, view, channel_server_dropped(server), refused);
    char *const text = json_line(answer);
    channel_server_answer(server, request, text);
    memory_release(text);
    return refused[0] == '\0';
}
