/* Stands in for shard/fabric_mpi.c: ranks meet, each brings a copy of its data, and when all have
 * come everybody works out its own result from everybody's. So sums are complete or not there, as
 * the library's are; a rank that died is waited for until the limit. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "shard/fabric.h"
#include "tests/simulation/calls.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/mutant.h"

enum { GROUPS_MAX = 64, MEETING_LATENCY_NS = 200000, DUTY_NS = 10000000, TEXT_BYTES = 64 };

/* One call that all ranks of a group make. */
struct meeting {
    void *data[CLUSTER_RANKS_MAX]; /* what each brought */
    size_t size_bytes[CLUSTER_RANKS_MAX];
    bool came[CLUSTER_RANKS_MAX];
    int64_t arrived, left;
    struct communicator *parts[CLUSTER_RANKS_MAX]; /* of a split, by the part's first rank */
    struct meeting *next;
};

/* A message that nobody has received yet. */
struct letter {
    int64_t from, to;
    int tag;
    int64_t count;
    struct letter *next;
    float values[];
};

/* A group as all its ranks together have it. */
struct communicator {
    int64_t count;
    struct letter *letters; /* in the order in which they were sent */
    struct process *ranks[CLUSTER_RANKS_MAX];
    struct meeting *meetings[CLUSTER_RANKS_MAX]; /* that each comes to next */
    struct meeting *first;
};

struct fabric_group {
    struct fabric *fabric;
    const char *name;
    struct communicator *communicator;
    int64_t rank;
};

struct fabric {
    double limit_seconds;
    struct fabric_duty duty;
    char host[TEXT_BYTES];
    struct cluster_job *job;
    struct fabric_group groups[GROUPS_MAX];
    int64_t group_count;
};

/* What a request under way is to do when all have come. */
struct pending {
    struct meeting *meeting;
    int64_t *own;  /* where a sum goes */
    int64_t first; /* of the result in what was brought, elements */
    int64_t count;
    struct letter *awaited; /* or the address of a message, whose values go to */
    float *values;          /* (count) */
};

static struct communicator *communicator_make(int64_t count)
{
    struct communicator *const made = memory_take(1, sizeof *made, "simulated group");
    made->count = count;
    made->first = memory_take(1, sizeof *made->first, "simulated meeting");
    for (int64_t i = 0; i < count; i++) {
        made->meetings[i] = made->first;
    }
    return made;
}

static struct fabric_group *group_add(struct fabric *fabric, struct communicator *communicator,
                                      int64_t rank, const char *name)
{
    INVARIANT(fabric->group_count < GROUPS_MAX);
    struct fabric_group *const group = &fabric->groups[fabric->group_count++];
    *group = (struct fabric_group){fabric, name, communicator, rank};
    return group;
}

enum status fabric_open(struct fabric **fabric, struct error *error)
{
    (void)error;
    struct process *const process = machine_process();
    struct fabric *const opened = memory_take(1, sizeof *opened, "simulated fabric");
    opened->limit_seconds = 60;
    opened->job = cluster_job(process->job);
    (void)snprintf(opened->host, sizeof opened->host, "node%" PRId64, process->node);
    if (opened->job->world == NULL) {
        opened->job->world = communicator_make(opened->job->count);
        memcpy(opened->job->world->ranks, opened->job->ranks, sizeof opened->job->ranks);
    }
    (void)group_add(opened, opened->job->world, process->rank, "world");
    *fabric = opened;
    struct error late;
    return fabric_barrier(fabric_world(opened), error == NULL ? &late : error);
}

void fabric_close(struct fabric *fabric)
{
    if (fabric != NULL) {
        struct error ignored;
        (void)!fabric_barrier(fabric_world(fabric), &ignored);
        memory_release(fabric);
    }
}

void fabric_abort(struct fabric *fabric, int exit_code)
{
    machine_note("a rank ends the job with code %d", exit_code);
    fabric->job->aborted = true;
    fabric->job->abort_code = exit_code;
    process_exit(exit_code);
}

void fabric_limit_set(struct fabric *fabric, double limit_seconds)
{
    fabric->limit_seconds = limit_seconds;
}

void fabric_duty_set(struct fabric *fabric, struct fabric_duty duty)
{
    fabric->duty = duty;
}

enum status fabric_poll(struct fabric_group *group, struct error *error)
{
    const struct fabric_duty *const duty = &group->fabric->duty;
    machine_point("fabric poll");
    return duty->call == NULL ? STATUS_OK : duty->call(duty->context, error);
}

const char *fabric_host(const struct fabric *fabric)
{
    return fabric->host;
}

const char *fabric_library(const struct fabric *fabric)
{
    (void)fabric;
    return "simulation";
}

struct fabric_group *fabric_world(struct fabric *fabric)
{
    return &fabric->groups[0];
}

int64_t fabric_rank(const struct fabric_group *group)
{
    return group->rank;
}

int64_t fabric_count(const struct fabric_group *group)
{
    return group->communicator->count;
}

/* Comes with a copy of `data`. */
static struct meeting *meeting_come(struct fabric_group *group, const void *data, size_t size_bytes)
{
    machine_point("fabric");
    struct communicator *const communicator = group->communicator;
    struct meeting *const meeting = communicator->meetings[group->rank];
    if (meeting->next == NULL) {
        meeting->next = memory_take(1, sizeof *meeting, "simulated meeting");
    }
    communicator->meetings[group->rank] = meeting->next;
    meeting->data[group->rank] = memory_take(size_bytes, 1, "simulated meeting");
    memcpy(meeting->data[group->rank], size_bytes == 0 ? meeting->data[group->rank] : data,
           size_bytes);
    meeting->size_bytes[group->rank] = size_bytes;
    meeting->came[group->rank] = true;
    meeting->arrived++;
    if (meeting->arrived == communicator->count) {
        machine_wake(meeting);
    }
    return meeting;
}

/* When the last link to another rank of the group is whole. */
static int64_t links_end_ns(const struct fabric_group *group)
{
    int64_t end_ns = 0;
    for (int64_t i = 0; i < group->communicator->count; i++) {
        const int64_t own = cluster_link_end_ns(group->communicator->ranks[group->rank]->node,
                                                group->communicator->ranks[i]->node);
        end_ns = own > end_ns ? own : end_ns;
    }
    return end_ns;
}

static bool meeting_complete(const struct fabric_group *group, const struct meeting *meeting)
{
    return meeting->arrived == group->communicator->count &&
           links_end_ns(group) <= machine_now_ns();
}

static enum status meeting_wait(struct fabric_group *group, const struct meeting *meeting,
                                const char *what, struct error *error)
{
    const int64_t start_ns = machine_now_ns();
    const int64_t end_ns = start_ns + (int64_t)(group->fabric->limit_seconds * 1e9);
    for (;;) {
        TRY(fabric_poll(group, error));
        if (meeting_complete(group, meeting)) { /* from here to the wait nobody else gets on */
            break;
        }
        const int64_t link_ns = links_end_ns(group);
        int64_t until_ns = link_ns > machine_now_ns() && link_ns < end_ns ? link_ns : end_ns;
        if (group->fabric->duty.call != NULL && until_ns > machine_now_ns() + DUTY_NS) {
            until_ns = machine_now_ns() + DUTY_NS;
        }
        (void)machine_wait(meeting, until_ns);
        if (machine_now_ns() >= end_ns && !meeting_complete(group, meeting)) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for the other %" PRId64 " ranks of group \"%s\" in %s",
                 (double)(machine_now_ns() - start_ns) * 1e-9, group->communicator->count - 1,
                 group->name, what);
        }
    }
    machine_sleep(machine_chance(MACHINE_CHANCE_TURN, MEETING_LATENCY_NS));
    machine_point("fabric done");
    return STATUS_OK;
}

/* The last one to leave clears away. */
static void meeting_leave(const struct fabric_group *group, struct meeting *meeting)
{
    if (++meeting->left == group->communicator->count) {
        for (int64_t i = 0; i < group->communicator->count; i++) {
            memory_release(meeting->data[i]);
        }
        group->communicator->first = meeting->next;
        memory_release(meeting);
    }
}

static enum status meet(struct fabric_group *group, const void *data, size_t size_bytes,
                        const char *what, struct meeting **meeting, struct error *error)
{
    *meeting = meeting_come(group, data, size_bytes);
    return meeting_wait(group, *meeting, what, error);
}

/* The ranks with this one's colour, by order, then old rank. */
static struct communicator *part_make(const struct fabric_group *group,
                                      const struct meeting *meeting, int64_t colour)
{
    struct communicator *const part = communicator_make(0);
    for (int64_t i = 0; i < group->communicator->count; i++) {
        const int64_t *const theirs = meeting->data[i];
        if (theirs[0] != colour) {
            continue;
        }
        int64_t place = part->count++;
        for (; place > 0; place--) {
            const struct process *const before = part->ranks[place - 1];
            int64_t other = 0;
            while (group->communicator->ranks[other] != before) {
                other++;
            }
            if (((const int64_t *)meeting->data[other])[1] <= theirs[1]) {
                break;
            }
            part->ranks[place] = part->ranks[place - 1];
        }
        part->ranks[place] = group->communicator->ranks[i];
    }
    for (int64_t i = 0; i < part->count; i++) {
        part->meetings[i] = part->first;
    }
    return part;
}

enum status fabric_split(struct fabric_group *group, int64_t colour, int64_t order,
                         const char *name, struct fabric_group **part, struct error *error)
{
    struct meeting *meeting;
    const int64_t own[] = {colour, order};
    TRY(meet(group, own, sizeof own, "split", &meeting, error));
    *part = NULL;
    if (colour >= 0) {
        int64_t first = 0; /* the part is made once, by whoever comes first */
        while (((const int64_t *)meeting->data[first])[0] != colour) {
            first++;
        }
        if (meeting->parts[first] == NULL) {
            meeting->parts[first] = part_make(group, meeting, colour);
        }
        int64_t rank = 0;
        while (meeting->parts[first]->ranks[rank] != machine_process()) {
            rank++;
        }
        *part = group_add(group->fabric, meeting->parts[first], rank, name);
    }
    meeting_leave(group, meeting);
    return STATUS_OK;
}

enum status fabric_split_hosts(struct fabric_group *group, const char *name,
                               struct fabric_group **part, struct error *error)
{
    return fabric_split(group, machine_process()->node, group->rank, name, part, error);
}

enum status fabric_agree(struct fabric_group *group, enum status status, struct error *error)
{
    struct error own = {.status = status};
    if (status != STATUS_OK && error != NULL) {
        own = *error;
        own.status = status;
    }
    struct meeting *meeting;
    TRY(meet(group, &own, sizeof own, "agreement", &meeting, error));
    struct error agreed = {.status = STATUS_OK};
    for (int64_t i = group->communicator->count - 1; i >= 0; i--) {
        const struct error *const theirs = meeting->data[i];
        agreed = theirs->status != STATUS_OK ? *theirs : agreed;
    }
    meeting_leave(group, meeting);
    if (agreed.status != STATUS_OK && error != NULL) {
        *error = agreed;
    }
    return agreed.status;
}

enum status fabric_barrier(struct fabric_group *group, struct error *error)
{
    if (mutant_is(MUTANT_UPDATE_EARLY) && strcmp(group->name, "slice") == 0) {
        return STATUS_OK;
    }
    struct meeting *meeting;
    TRY(meet(group, NULL, 0, "barrier", &meeting, error));
    meeting_leave(group, meeting);
    return STATUS_OK;
}

enum status fabric_broadcast(struct fabric_group *group, int64_t root, void *data,
                             size_t size_bytes, struct error *error)
{
    struct meeting *meeting;
    const bool is_root = group->rank == root;
    TRY(meet(group, data, is_root ? size_bytes : 0, "broadcast", &meeting, error));
    if (!is_root) {
        memcpy(data, meeting->data[root], size_bytes);
    }
    meeting_leave(group, meeting);
    return STATUS_OK;
}

enum status fabric_gather_all(struct fabric_group *group, const void *data, void *all,
                              size_t size_bytes, struct error *error)
{
    struct meeting *meeting;
    TRY(meet(group, data, size_bytes, "gather", &meeting, error));
    for (int64_t i = 0; i < group->communicator->count; i++) {
        memcpy((unsigned char *)all + (size_t)i * size_bytes, meeting->data[i], size_bytes);
    }
    meeting_leave(group, meeting);
    return STATUS_OK;
}

static void values_sum(const struct fabric_group *group, const struct meeting *meeting,
                       int64_t first, int64_t *out, int64_t count)
{
    memset(out, 0, (size_t)count * sizeof *out);
    for (int64_t r = 0; r < group->communicator->count; r++) {
        const int64_t *const theirs = (const int64_t *)meeting->data[r] + first;
        for (int64_t i = 0; i < count; i++) {
            out[i] = (int64_t)((uint64_t)out[i] + (uint64_t)theirs[i]);
        }
    }
}

enum status fabric_sum(struct fabric_group *group, int64_t *values, int64_t count,
                       struct error *error)
{
    struct meeting *meeting;
    TRY(meet(group, values, (size_t)count * sizeof *values, "sum", &meeting, error));
    values_sum(group, meeting, 0, values, count);
    meeting_leave(group, meeting);
    return STATUS_OK;
}

enum status fabric_least(struct fabric_group *group, int64_t *values, int64_t count,
                         struct error *error)
{
    struct meeting *meeting;
    TRY(meet(group, values, (size_t)count * sizeof *values, "minimum", &meeting, error));
    for (int64_t r = 0; r < group->communicator->count; r++) {
        const int64_t *const theirs = meeting->data[r];
        for (int64_t i = 0; i < count; i++) {
            values[i] = theirs[i] < values[i] ? theirs[i] : values[i];
        }
    }
    meeting_leave(group, meeting);
    return STATUS_OK;
}

static void ranges_put(const struct fabric_group *group, const struct meeting *meeting,
                       float *values, const int64_t *firsts)
{
    for (int64_t r = 0; r < group->communicator->count; r++) {
        memcpy(values + firsts[r], meeting->data[r], meeting->size_bytes[r]);
        machine_point("part of a gather");
    }
}

enum status fabric_gather_ranges(struct fabric_group *group, float *values, const int64_t *firsts,
                                 struct error *error)
{
    struct meeting *meeting;
    const int64_t own = firsts[group->rank];
    TRY(meet(group, values + own, (size_t)(firsts[group->rank + 1] - own) * sizeof *values,
             "gather of weights", &meeting, error));
    ranges_put(group, meeting, values, firsts);
    meeting_leave(group, meeting);
    return STATUS_OK;
}

enum status fabric_collect_ranges(struct fabric_group *group, int64_t root, const float *own,
                                  float *all, const int64_t *firsts, struct error *error)
{
    struct meeting *meeting;
    const int64_t count = firsts[group->rank + 1] - firsts[group->rank];
    TRY(meet(group, own, (size_t)count * sizeof *own, "collection of state", &meeting, error));
    for (int64_t r = 0; group->rank == root && r < group->communicator->count; r++) {
        memcpy(all + (firsts[r] - firsts[0]), meeting->data[r], meeting->size_bytes[r]);
    }
    meeting_leave(group, meeting);
    return STATUS_OK;
}

static void request_begin(struct fabric_group *group, const void *data, size_t size_bytes,
                          const struct pending *wanted, struct fabric_request *request)
{
    struct pending *const kept = memory_take(1, sizeof *kept, "simulated request");
    *kept = *wanted;
    kept->meeting = meeting_come(group, data, size_bytes);
    memcpy(request->opaque, &kept, sizeof kept);
    request->group = group;
    request->active = true;
}

enum status fabric_sum_begin(struct fabric_group *group, int64_t *values, int64_t count,
                             struct fabric_request *request, struct error *error)
{
    (void)error;
    request_begin(group, values, (size_t)count * sizeof *values,
                  &(struct pending){.own = values, .count = count}, request);
    return STATUS_OK;
}

enum status fabric_sum_scatter_begin(struct fabric_group *group, int64_t *values,
                                     const int64_t *firsts, struct fabric_request *request,
                                     struct error *error)
{
    (void)error;
    const int64_t first = firsts[group->rank];
    const struct pending wanted = {.own = values + (first - firsts[0]),
                                   .first = first - firsts[0],
                                   .count = firsts[group->rank + 1] - first};
    const int64_t count = firsts[group->communicator->count] - firsts[0];
    request_begin(group, values, (size_t)count * sizeof *values, &wanted, request);
    return STATUS_OK;
}

static struct pending *request_kept(const struct fabric_request *request)
{
    struct pending *kept;
    memcpy(&kept, request->opaque, sizeof kept);
    return kept;
}

static void request_finish(struct fabric_request *request)
{
    struct pending *const kept = request_kept(request);
    values_sum(request->group, kept->meeting, kept->first, kept->own, kept->count);
    meeting_leave(request->group, kept->meeting);
    memory_release(kept);
    request->active = false;
}

/* The oldest message to this rank, `from` -1: of anybody, `tag` -1: of any tag; cut out, or NULL.
 */
static struct letter *letter_take(const struct fabric_group *group, int64_t from, int tag)
{
    const struct communicator *const communicator = group->communicator;
    const int64_t own = communicator->ranks[group->rank]->node;
    struct letter **place = &group->communicator->letters;
    for (; *place != NULL; place = &(*place)->next) {
        struct letter *const letter = *place;
        const int64_t there = communicator->ranks[letter->from]->node;
        if (letter->to == group->rank && (from < 0 || letter->from == from) &&
            (tag < 0 || letter->tag == tag) &&
            cluster_link_end_ns(own, there) <= machine_now_ns()) {
            *place = letter->next;
            return letter;
        }
    }
    return NULL;
}

static bool letter_receive(struct fabric_request *request)
{
    struct pending *const kept = request_kept(request);
    struct letter *const letter =
        letter_take(request->group, kept->awaited->from, kept->awaited->tag);
    if (letter == NULL) {
        return false;
    }
    INVARIANT(letter->count <= kept->count);
    memcpy(kept->values, letter->values, (size_t)letter->count * sizeof *letter->values);
    memory_release(letter);
    memory_release(kept->awaited);
    memory_release(kept);
    request->active = false;
    return true;
}

enum status fabric_test(struct fabric_request *request, bool *done, struct error *error)
{
    (void)error;
    machine_point("fabric test");
    *done = !request->active;
    if (!request->active || machine_chance(MACHINE_CHANCE_TURN, 2) != 0) {
        return STATUS_OK;
    }
    if (request_kept(request)->awaited != NULL) {
        *done = letter_receive(request);
    } else if (meeting_complete(request->group, request_kept(request)->meeting)) {
        request_finish(request);
        *done = true;
    }
    return STATUS_OK;
}

/* Waits for a message, doing the fabric's duty, until the limit. */
static enum status letter_wait(struct fabric_request *request, const char *what,
                               struct error *error)
{
    const struct fabric_group *const group = request->group;
    const int64_t start_ns = machine_now_ns();
    const int64_t end_ns = start_ns + (int64_t)(group->fabric->limit_seconds * 1e9);
    TRY(fabric_poll(request->group, error));
    while (!letter_receive(request)) {
        if (machine_now_ns() >= end_ns) {
            FAIL(error, STATUS_TIMEOUT, "waited %.0f s for a message of group \"%s\": %s",
                 (double)(machine_now_ns() - start_ns) * 1e-9, group->name, what);
        }
        const int64_t turn_ns = machine_now_ns() + DUTY_NS;
        (void)machine_wait(group->communicator, turn_ns < end_ns ? turn_ns : end_ns);
        TRY(fabric_poll(request->group, error));
    }
    return STATUS_OK;
}

enum status fabric_wait(struct fabric_request *request, const char *what, struct error *error)
{
    if (!request->active) {
        return STATUS_OK;
    }
    if (request_kept(request)->awaited != NULL) {
        return letter_wait(request, what, error);
    }
    TRY(meeting_wait(request->group, request_kept(request)->meeting, what, error));
    request_finish(request);
    return STATUS_OK;
}

/* The library has copied it when the call returns. */
enum status fabric_send_begin(struct fabric_group *group, int64_t to, int tag, const float *values,
                              int64_t count, struct fabric_request *request, struct error *error)
{
    (void)request;
    (void)error;
    machine_point("fabric send");
    const size_t size_bytes = (size_t)count * sizeof *values;
    struct letter *const letter = memory_take(sizeof *letter + size_bytes, 1, "simulated message");
    *letter = (struct letter){.from = group->rank, .to = to, .tag = tag, .count = count};
    memcpy(letter->values, count == 0 ? letter->values : values, size_bytes);
    struct letter **last = &group->communicator->letters;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = letter;
    machine_wake(group->communicator);
    return STATUS_OK;
}

enum status fabric_receive_begin(struct fabric_group *group, int64_t from, int tag, float *values,
                                 int64_t count, struct fabric_request *request, struct error *error)
{
    (void)error;
    struct pending *const kept = memory_take(1, sizeof *kept, "simulated request");
    *kept = (struct pending){.values = values, .count = count};
    kept->awaited = memory_take(1, sizeof *kept->awaited, "simulated request");
    kept->awaited->from = from;
    kept->awaited->tag = tag;
    memcpy(request->opaque, &kept, sizeof kept);
    request->group = group;
    request->active = true;
    return STATUS_OK;
}

enum status fabric_signal_take(struct fabric_group *group, int64_t *from, int *tag, bool *found,
                               struct error *error)
{
    (void)error;
    machine_point("fabric signal");
    struct letter *const letter = letter_take(group, -1, -1);
    *found = letter != NULL;
    if (*found) {
        INVARIANT(letter->count == 0);
        *from = letter->from;
        *tag = letter->tag;
        memory_release(letter);
    }
    return STATUS_OK;
}

/* Only networks that are divided among workers by tensors swap; none is simulated. */
enum status fabric_swap(struct fabric_group *group, int64_t other, const void *sent, void *received,
                        size_t size_bytes, const char *what, struct error *error)
{
    (void)sent;
    (void)received;
    FAIL(error, STATUS_INTERNAL,
         "group \"%s\": no swap of %zu bytes with rank %" PRId64 " in %s is simulated", group->name,
         size_bytes, other, what);
}
