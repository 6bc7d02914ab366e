/* See audit.h. Words of one writer each are united over nodes by adding, like the totals. */
#include "worker/audit.h"

#include <inttypes.h>
#include <string.h>

#include "worker/slot.h"

int64_t audit_slot(const struct trainer *trainer, int64_t step)
{
    const int64_t every = trainer->numerics->audit_steps;
    return every > 0 && step % every == 0 ? step / every % data_source_slots(trainer->source) : -1;
}

void audit_note(struct trainer *trainer, enum node_audit place, struct digest digest)
{
    _Atomic int64_t *const words = trainer->node->header->audit + place;
    atomic_store(&words[0], (int64_t)digest.low);
    atomic_store(&words[1], (int64_t)digest.high);
    atomic_store(&words[2], trainer->topology->worker_index + 1);
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
    TRY(slot_digest(trainer, step, slot, &own, error));
    const bool votes = trainer->topology->tensor_member == 0;
    if (votes && digest_equal(own, digest_at(trainer, NODE_AUDIT_FIRST_LOW))) {
        atomic_fetch_add(&words[NODE_AUDIT_FIRST_VOTES], 1);
    }
    if (votes && digest_equal(own, digest_at(trainer, NODE_AUDIT_SECOND_LOW))) {
        atomic_fetch_add(&words[NODE_AUDIT_SECOND_VOTES], 1);
    }
    return audit_unite(trainer, error);
}

/* A worker's own second computation agrees with it even if it is broken: of two, neither is
 * believed more. */
static enum status difference_tell(const struct trainer *trainer, int64_t step, int64_t slot,
                                   struct error *error)
{
    const int64_t *const words = trainer->node->header->job_audit;
    const int64_t first = words[NODE_AUDIT_FIRST_WORKER] - 1;
    const int64_t second = words[NODE_AUDIT_SECOND_WORKER] - 1;
    const int64_t for_first = words[NODE_AUDIT_FIRST_VOTES];
    const int64_t for_second = words[NODE_AUDIT_SECOND_VOTES];
    if (for_first == for_second) {
        FAIL(
            error, STATUS_NUMERIC,
            "audit of step %" PRId64 ": workers %" PRId64 " and %" PRId64
            " computed different gradients of slot %" PRId64 ", and %" PRId64
            " of all agree with each: one of the two is broken; weights are those of step %" PRId64,
            step, first, second, slot, for_first, step - 1);
    }
    const bool first_wrong = for_first < for_second;
    FAIL(error, STATUS_PEER,
         "audit of step %" PRId64 ": worker %" PRId64 " computed another gradient of slot %" PRId64
         " than worker %" PRId64 "; of %" PRId64 " workers, %" PRId64 " agree with it and %" PRId64
         " with the other; weights are those of step %" PRId64,
         step, first_wrong ? first : second, slot, first_wrong ? second : first,
         trainer->topology->team_count, first_wrong ? for_first : for_second,
         first_wrong ? for_second : for_first, step - 1);
}

enum status audit_run(struct trainer *trainer, int64_t step, int64_t *slot, struct error *error)
{
    *slot = audit_slot(trainer, step);
    if (*slot < 0) {
        return STATUS_OK;
    }
    TRY(audit_unite(trainer, error));
    const int64_t first = trainer->node->header->job_audit[NODE_AUDIT_FIRST_WORKER] - 1;
    const int64_t first_team = first / trainer->topology->tensor_count;
    if (trainer->topology->team_index == (first_team + 1) % trainer->topology->team_count) {
        struct digest digest;
        TRY(slot_digest(trainer, step, *slot, &digest, error));
        if (trainer->topology->tensor_member == 0) {
            audit_note(trainer, NODE_AUDIT_SECOND_LOW, digest);
        }
    } else {
        TRY(slot_attend(trainer, true, false, error));
    }
    TRY(audit_unite(trainer, error));
    if (digest_equal(digest_at(trainer, NODE_AUDIT_FIRST_LOW),
                     digest_at(trainer, NODE_AUDIT_SECOND_LOW))) {
        return STATUS_OK;
    }
    TRY(votes_take(trainer, step, *slot, error));
    return difference_tell(trainer, step, *slot, error);
}
