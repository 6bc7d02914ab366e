/* See roster.h. */
#include "coordinator/roster.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"

enum {
    PAUSE_MS = 1000, /* a poll that took so long did not run meanwhile */
    LINE_BYTES = 1024
};

void roster_init(struct roster *roster, int64_t count, double silence_seconds, double wait_seconds)
{
    *roster = (struct roster){
        .count = count, .silence_seconds = silence_seconds, .wait_seconds = wait_seconds};
    roster->members = memory_take((size_t)count, sizeof *roster->members, "members");
    for (int64_t i = 0; i < count; i++) {
        roster->members[i].heard_ns = clock_now_ns();
        roster->members[i].moved_ns = roster->members[i].heard_ns;
        roster->members[i].written_step = -1;
    }
}

void roster_deinit(struct roster *roster)
{
    memory_release(roster->members);
    *roster = (struct roster){0};
}

bool roster_ready(const struct roster *roster)
{
    for (int64_t i = 0; i < roster->count; i++) {
        if (roster->members[i].state != MEMBER_STATE_READY) {
            return false;
        }
    }
    return true;
}

void roster_forgive(struct roster *roster, int64_t pause_ns)
{
    if (pause_ns < (int64_t)PAUSE_MS * 1000000) {
        return;
    }
    for (int64_t i = 0; i < roster->count; i++) {
        roster->members[i].heard_ns += pause_ns;
        roster->members[i].moved_ns += pause_ns;
    }
}

bool roster_written(const struct roster *roster, int64_t step)
{
    for (int64_t i = 0; i < roster->count; i++) {
        if (roster->members[i].written_step < step) {
            return false;
        }
    }
    return true;
}

/* Names every worker: the one at fault, and what the others are waiting in. */
static enum status hang_report(const struct roster *roster, int64_t fault, const char *what,
                               double seconds, struct error *error)
{
    const int64_t now_ns = clock_now_ns();
    for (int64_t i = 0; i < roster->count; i++) {
        char line[LINE_BYTES];
        member_text(&roster->members[i], i, now_ns, line, sizeof line);
        log_line(LOG_LEVEL_ERROR, "%s", line);
    }
    char line[LINE_BYTES / 2];
    member_text(&roster->members[fault], fault, now_ns, line, sizeof line);
    FAIL(error, STATUS_TIMEOUT, "%s for %.0f s: %s", what, seconds, line);
}

enum status roster_check_silence(const struct roster *roster, struct error *error)
{
    const int64_t now_ns = clock_now_ns();
    const double silence = roster->silence_seconds;
    /* The other waits are as long: their messages, which say more, come first. */
    const double standstill = roster->wait_seconds + silence;
    for (int64_t i = 0; i < roster->count; i++) {
        const struct member *const member = &roster->members[i];
        if ((double)(now_ns - member->heard_ns) * 1e-9 > silence) {
            return hang_report(roster, i, "no sign of life", silence, error);
        }
        if (member->state == MEMBER_STATE_BUSY &&
            (double)(now_ns - member->moved_ns) * 1e-9 > standstill) {
            return hang_report(roster, i, "alive but no progress", standstill, error);
        }
    }
    return STATUS_OK;
}

enum status roster_check_deaths(const struct roster *roster, const char *host, struct error *error)
{
    for (int64_t i = 0; i < roster->count; i++) {
        const struct member *const member = &roster->members[i];
        if (member->state != MEMBER_STATE_ABSENT && strcmp(member->host, host) == 0 &&
            process_gone(member->process)) {
            char line[LINE_BYTES / 2];
            member_text(member, i, clock_now_ns(), line, sizeof line);
            FAIL(error, STATUS_PEER, "a worker died: %s", line);
        }
    }
    return STATUS_OK;
}

double roster_slowness(const struct roster *roster, int64_t team_size)
{
    double shortest = 0;
    double longest = 0;
    for (int64_t first = 0; first < roster->count; first += team_size) {
        double seconds = 0;
        for (int64_t i = first; i < first + team_size; i++) {
            seconds = fmax(seconds, member_slot_seconds(&roster->members[i]));
        }
        if (seconds > 0) {
            shortest = shortest == 0 || seconds < shortest ? seconds : shortest;
            longest = seconds > longest ? seconds : longest;
        }
    }
    return shortest > 0 ? longest / shortest : 1.0;
}

static double roster_memory(const struct roster *roster)
{
    double sum = 0;
    for (int64_t i = 0; i < roster->count; i++) {
        const int64_t *const values = roster->members[i].ready.values;
        sum += (double)(values[MESSAGE_VALUE_PRIVATE] + values[MESSAGE_VALUE_SHARED]);
    }
    return sum;
}

void roster_total(const struct roster *roster, struct step_record *record)
{
    double compute = 0;
    double exact = 0;
    for (int64_t i = 0; i < roster->count; i++) {
        const struct member *const member = &roster->members[i];
        record->flops += member->ready.reals[MESSAGE_REAL_FLOPS];
        record->peak_flops += member->peak_flops;
        compute += member->ready.reals[MESSAGE_REAL_COMPUTE];
        record->worker_bytes =
            fmax(record->worker_bytes, (double)member->ready.values[MESSAGE_VALUE_PRIVATE]);
        record->node_bytes =
            fmax(record->node_bytes, (double)member->ready.values[MESSAGE_VALUE_SHARED]);
        exact += member->ready.reals[MESSAGE_REAL_EXACT];
    }
    const double workers_seconds = record->seconds * (double)roster->count;
    record->wait_share = 1.0 - compute / workers_seconds;
    record->exact_share = exact / workers_seconds;
    record->memory_bytes = roster_memory(roster);
}
