/* See audit.h. Words of one writer each are united over nodes by adding, like the totals. */
#include "worker/audit.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "worker/slot.h"

enum { TEAM_BYTES = 48 };

int64_t audit_slot(const struct trainer *trainer, int64_t step)
{
    const int64_t every = trainer->numerics->audit_steps;
    return every > 0 && step % every == 0 ? step / every % data_source_slots(trainer->source) : -1;
}

/* One digest from those of a group's members. Collective over it; nothing if there is none. */
static enum status digests_join(struct fabric_group *group, struct digest *digest,
                                struct error *error)
{
    if (group == NULL) {
        return STATUS_OK;
    }
    const size_t count = (size_t)fabric_count(group);
    struct digest *const all = memory_take(count, sizeof *all, "digests of a team");
    const enum status status = fabric_gather_all(group, digest, all, sizeof *all, error);
    *digest = digest_bytes(all, count * sizeof *all);
    memory_release(all);
    return status;
}

/* The digest of the slot that the team computed last, from what each member formed of its gradient.
 * Collective over the team. */
static enum status team_digest(const struct trainer *trainer, struct digest *digest,
                               struct error *error)
{
    *digest = trainer->slot_digest;
    TRY(digests_join(trainer->topology->tensor, digest, error));
    return digests_join(trainer->topology->pipeline, digest, error);
}

/* Notes a team's digest as the first (NODE_AUDIT_FIRST_LOW) or the second gradient, by its first
 * worker. Collective over the team. */
static enum status team_note(const struct trainer *trainer, enum node_audit place,
                             struct error *error)
{
    struct digest digest;
    TRY(team_digest(trainer, &digest, error));
    if (topology_leads_team(trainer->topology)) {
        _Atomic int64_t *const words = trainer->node->header->audit + place;
        atomic_store(&words[0], (int64_t)digest.low);
        atomic_store(&words[1], (int64_t)digest.high);
        atomic_store(&words[2], trainer->topology->worker_index + 1);
    }
    return STATUS_OK;
}

static enum status node_wait(const struct trainer *trainer, struct error *error)
{
    return window_barrier_wait(&trainer->node->header->barrier, trainer->topology->local_count,
                               trainer->limit_seconds, "audit of a slot", error);
}

/* Makes what was noted so far known to all workers. Collective. */
static enum status audit_unite(struct trainer *trainer, struct error *error)
{
    struct node_header *const header = trainer->node->header;
    TRY(weight_gate_rest(trainer->gate, error));
    TRY(node_wait(trainer, error));
    if (trainer->topology->local_index == 0) {
        for (int64_t i = 0; i < NODE_AUDIT_COUNT; i++) {
            header->job_audit[i] = atomic_load(&header->audit[i]);
        }
        if (trainer->topology->node_count > 1) {
            TRY(fabric_sum(trainer->topology->slice, header->job_audit, NODE_AUDIT_COUNT, error));
        }
    }
    return node_wait(trainer, error);
}

static struct digest digest_at(const struct trainer *trainer, enum node_audit place)
{
    const int64_t *const words = trainer->node->header->job_audit + place;
    return (struct digest){.low = (uint64_t)words[0], .high = (uint64_t)words[1]};
}

/* Every team computes the slot again. Collective. */
static enum status votes_take(struct trainer *trainer, int64_t step, int64_t slot,
                              struct error *error)
{
    _Atomic int64_t *const words = trainer->node->header->audit;
    struct digest own;
    TRY(slot_repeat(trainer, step, slot, error));
    TRY(team_digest(trainer, &own, error));
    const bool votes = topology_leads_team(trainer->topology);
    if (votes && digest_equal(own, digest_at(trainer, NODE_AUDIT_FIRST_LOW))) {
        atomic_fetch_add(&words[NODE_AUDIT_FIRST_VOTES], 1);
    }
    if (votes && digest_equal(own, digest_at(trainer, NODE_AUDIT_SECOND_LOW))) {
        atomic_fetch_add(&words[NODE_AUDIT_SECOND_VOTES], 1);
    }
    return audit_unite(trainer, error);
}

/* "3", or "2 to 3": the team's workers. */
static void team_text(const struct trainer *trainer, int64_t first, char text[TEAM_BYTES])
{
    const int64_t size = topology_team_size(trainer->topology);
    if (size == 1) {
        (void)snprintf(text, TEAM_BYTES, "%" PRId64, first);
    } else {
        (void)snprintf(text, TEAM_BYTES, "%" PRId64 " to %" PRId64, first, first + size - 1);
    }
}

/* A team's own second computation agrees with it even if it is broken: of two, neither is believed
 * more. */
static enum status difference_tell(const struct trainer *trainer, int64_t step, int64_t slot,
                                   struct error *error)
{
    const int64_t *const words = trainer->node->header->job_audit;
    const int64_t for_first = words[NODE_AUDIT_FIRST_VOTES];
    const int64_t for_second = words[NODE_AUDIT_SECOND_VOTES];
    const bool alone = topology_team_size(trainer->topology) == 1;
    char first[TEAM_BYTES];
    char second[TEAM_BYTES];
    team_text(trainer, words[NODE_AUDIT_FIRST_WORKER] - 1, first);
    team_text(trainer, words[NODE_AUDIT_SECOND_WORKER] - 1, second);
    if (for_first == for_second) {
        FAIL(error, STATUS_NUMERIC,
             "audit of step %" PRId64 ": workers %s and %s computed different gradients of slot "
             "%" PRId64 ", and %" PRId64 " of all agree with each: one of the two is broken; "
             "weights are those of step %" PRId64,
             step, first, second, slot, for_first, step - 1);
    }
    const bool first_wrong = for_first < for_second;
    FAIL(error, STATUS_PEER,
         "audit of step %" PRId64 ": worker%s %s computed another gradient of slot %" PRId64
         " than worker%s %s; of %" PRId64 " %s, %" PRId64 " agree with it and %" PRId64
         " with the other; weights are those of step %" PRId64,
         step, alone ? "" : "s", first_wrong ? first : second, slot, alone ? "" : "s",
         first_wrong ? second : first, trainer->topology->team_count, alone ? "workers" : "teams",
         first_wrong ? for_first : for_second, first_wrong ? for_second : for_first, step - 1);
}

enum status audit_run(struct trainer *trainer, int64_t step, int64_t *slot, struct error *error)
{
    const struct topology *const topology = trainer->topology;
    *slot = audit_slot(trainer, step);
    if (*slot < 0) {
        return STATUS_OK;
    }
    if (trainer->digest_step == step) { /* it was this team's */
        TRY(team_note(trainer, NODE_AUDIT_FIRST_LOW, error));
    }
    TRY(audit_unite(trainer, error));
    const int64_t first = trainer->node->header->job_audit[NODE_AUDIT_FIRST_WORKER] - 1;
    const int64_t second_team = (first / topology_team_size(topology) + 1) % topology->team_count;
    if (topology->team_index == second_team) {
        TRY(slot_repeat(trainer, step, *slot, error));
        TRY(team_note(trainer, NODE_AUDIT_SECOND_LOW, error));
    }
    TRY(audit_unite(trainer, error));
    if (digest_equal(digest_at(trainer, NODE_AUDIT_FIRST_LOW),
                     digest_at(trainer, NODE_AUDIT_SECOND_LOW))) {
        return STATUS_OK;
    }
    TRY(votes_take(trainer, step, *slot, error));
    return difference_tell(trainer, step, *slot, error);
}
