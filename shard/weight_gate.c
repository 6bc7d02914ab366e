/* See weight_gate.h. */
#include "shard/weight_gate.h"

#include "base/clock.h"
#include "base/memory.h"

/* node_group.weights: a state, and above it how many workers of the node have a claim. */
enum weight_state { STATE_ABSENT, STATE_COMING, STATE_HERE, STATE_GOING, STATE_COUNT };

static int64_t owner_count(const struct weight_gate *gate)
{
    return gate->partition->node_count * gate->partition->driver_count;
}

/* Which worker is which driver of which node. */
static enum status owners_find(struct weight_gate *gate, struct error *error)
{
    const struct topology *const topology = gate->topology;
    const int64_t own[2] = {topology->node_index, topology->local_index};
    int64_t *const all =
        memory_take((size_t)topology->worker_count, sizeof own, "owners of weights");
    const enum status status = fabric_gather_all(topology->workers, own, all, sizeof own, error);
    for (int64_t worker = 0; status == STATUS_OK && worker < topology->worker_count; worker++) {
        const int64_t node = all[2 * worker];
        const int64_t driver = all[2 * worker + 1];
        if (driver < topology->driver_count) {
            gate->owners[node * topology->driver_count + driver] = worker;
        }
    }
    memory_release(all);
    return status;
}

enum status weight_gate_init(struct weight_gate *gate, const struct topology *topology,
                             const struct partition *partition, struct node_state *node,
                             double limit_seconds, struct error *error)
{
    static const char what[] = "gathers of weights";
    *gate = (struct weight_gate){
        .topology = topology,
        .partition = partition,
        .node = node,
        .limit_seconds = limit_seconds,
    };
    const size_t owners = (size_t)owner_count(gate);
    gate->owners = memory_take(owners, sizeof *gate->owners, what);
    gate->firsts = memory_take((size_t)topology->node_count + 1, sizeof *gate->firsts, what);
    gate->claims = memory_take((size_t)partition->table->group_count, sizeof *gate->claims, what);
    for (int64_t i = 0; i < WEIGHT_GATE_FETCHES; i++) {
        struct weight_fetch *const fetch = &gate->fetches[i];
        fetch->questions = memory_take(owners, sizeof *fetch->questions, what);
        fetch->pieces = memory_take(owners, sizeof *fetch->pieces, what);
    }
    return owners_find(gate, error);
}

void weight_gate_deinit(struct weight_gate *gate)
{
    for (int64_t i = 0; i < WEIGHT_GATE_FETCHES; i++) {
        memory_release(gate->fetches[i].questions);
        memory_release(gate->fetches[i].pieces);
    }
    memory_release(gate->owners);
    memory_release(gate->firsts);
    memory_release(gate->claims);
    *gate = (struct weight_gate){0};
}

static _Atomic int64_t *word_of(const struct weight_gate *gate, int64_t group)
{
    return &gate->node->groups[group].weights;
}

/* One claim more; *first if the group is to be fetched for it. */
static enum status claim_add(const struct weight_gate *gate, int64_t group, bool *first,
                             struct error *error)
{
    const int64_t start_ns = clock_now_ns();
    int64_t seen = atomic_load(word_of(gate, group));
    for (int64_t polls = 0;;) {
        *first = seen == STATE_ABSENT;
        if (seen % STATE_COUNT != STATE_GOING) {
            const int64_t more = seen + STATE_COUNT + (*first ? STATE_COMING : 0);
            if (atomic_compare_exchange_weak(word_of(gate, group), &seen, more)) {
                return STATUS_OK;
            }
            continue;
        }
        clock_pause(polls++);
        seen = atomic_load(word_of(gate, group));
        if (clock_seconds_since(start_ns) > gate->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for a worker of this node that gives back the weights of group "
                 "\"%s\"",
                 clock_seconds_since(start_ns), gate->partition->table->groups[group].name);
        }
    }
}

/* Asks the owners on other nodes for their pieces. */
static enum status fetch_begin(struct weight_gate *gate, int64_t group, struct error *error)
{
    const struct partition *const partition = gate->partition;
    const struct topology *const topology = gate->topology;
    struct weight_fetch *fetch = gate->fetches;
    while (fetch->active) {
        fetch++;
        INVARIANT(fetch < gate->fetches + WEIGHT_GATE_FETCHES);
    }
    fetch->active = true;
    fetch->group = group;
    fetch->complete = 0;
    for (int64_t driver = 0; driver < partition->driver_count; driver++) {
        TRY(node_state_take(gate->node, partition, NODE_ARRAY_WEIGHTS, group, driver, error));
        partition_pieces(partition, group, driver, gate->firsts);
        for (int64_t node = 0; node < partition->node_count; node++) {
            const int64_t count = gate->firsts[node + 1] - gate->firsts[node];
            const int64_t place = node * partition->driver_count + driver;
            if (node != partition->node && count > 0) {
                TRY(fabric_receive_begin(topology->weights, gate->owners[place], (int)group,
                                         gate->node->weights + gate->firsts[node], count,
                                         &fetch->pieces[place], error));
                TRY(fabric_send_begin(topology->questions, gate->owners[place], (int)group, NULL, 0,
                                      &fetch->questions[place], error));
            }
        }
    }
    return STATUS_OK;
}

static enum status fetch_poll(struct weight_gate *gate, struct weight_fetch *fetch,
                              struct error *error)
{
    while (fetch->active) {
        if (fetch->complete == owner_count(gate)) {
            fetch->active = false;
            atomic_fetch_add(word_of(gate, fetch->group), STATE_HERE - STATE_COMING);
            break;
        }
        bool asked;
        bool here;
        TRY(fabric_test(&fetch->questions[fetch->complete], &asked, error));
        TRY(fabric_test(&fetch->pieces[fetch->complete], &here, error));
        if (!asked || !here) {
            break;
        }
        fetch->complete++;
    }
    return STATUS_OK;
}

/* Sends what this worker owns to those who have asked. */
static enum status questions_answer(struct weight_gate *gate, struct error *error)
{
    for (int64_t i = 0; i < WEIGHT_GATE_ANSWERS; i++) {
        bool done;
        TRY(fabric_test(&gate->answers[i], &done, error));
        if (!done) {
            continue;
        }
        int64_t from;
        int group;
        bool found;
        TRY(fabric_signal_take(gate->topology->questions, &from, &group, &found, error));
        if (!found) {
            break;
        }
        const struct partition_range owned = gate->partition->owned[group];
        TRY(fabric_send_begin(gate->topology->weights, from, group,
                              gate->node->weights + owned.first, owned.count, &gate->answers[i],
                              error));
    }
    return STATUS_OK;
}

enum status weight_gate_poll(struct weight_gate *gate, struct error *error)
{
    if (gate->partition == NULL) {
        return STATUS_OK;
    }
    TRY(questions_answer(gate, error));
    for (int64_t i = 0; i < WEIGHT_GATE_FETCHES; i++) {
        TRY(fetch_poll(gate, &gate->fetches[i], error));
    }
    return STATUS_OK;
}

/* The worker whose piece this one waits for; -1: another of the node fetches the group. */
static int64_t awaited_find(const struct weight_gate *gate, int64_t group)
{
    for (int64_t i = 0; i < WEIGHT_GATE_FETCHES; i++) {
        const struct weight_fetch *const fetch = &gate->fetches[i];
        if (fetch->active && fetch->group == group) {
            return gate->owners[fetch->complete];
        }
    }
    return -1;
}

static enum status group_wait(struct weight_gate *gate, int64_t group, struct error *error)
{
    const char *const name = gate->partition->table->groups[group].name;
    const int64_t start_ns = clock_now_ns();
    for (int64_t polls = 0; atomic_load(word_of(gate, group)) % STATE_COUNT != STATE_HERE;
         polls++) {
        TRY(fabric_poll(gate->topology->workers, error));
        TRY(weight_gate_poll(gate, error));
        clock_pause(polls);
        const double seconds = clock_seconds_since(start_ns);
        const int64_t awaited = seconds > gate->limit_seconds ? awaited_find(gate, group) : -1;
        if (awaited >= 0) {
            FAIL(error, STATUS_TIMEOUT, "waited %.0f s for worker %lld's weights of group \"%s\"",
                 seconds, (long long)awaited, name);
        }
        if (seconds > gate->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for the weights of group \"%s\", which another worker of this "
                 "node gathers",
                 seconds, name);
        }
    }
    return STATUS_OK;
}

static enum status group_claim(struct weight_gate *gate, int64_t group, struct error *error)
{
    bool first;
    TRY(claim_add(gate, group, &first, error));
    gate->claims[group] = WEIGHT_CLAIM_AHEAD;
    if (first) {
        TRY(fetch_begin(gate, group, error));
    }
    return weight_gate_poll(gate, error);
}

static enum status group_drop(struct weight_gate *gate, int64_t group, struct error *error)
{
    int64_t seen = atomic_load(word_of(gate, group));
    int64_t less;
    do {
        less = seen - STATE_COUNT;
        less = less == STATE_HERE ? STATE_GOING : less;
    } while (!atomic_compare_exchange_weak(word_of(gate, group), &seen, less));
    for (int64_t driver = 0; less == STATE_GOING && driver < gate->partition->driver_count;
         driver++) {
        TRY(node_state_vacate(gate->node, gate->partition, NODE_ARRAY_WEIGHTS, group, driver,
                              error));
    }
    if (less == STATE_GOING) {
        atomic_store(word_of(gate, group), STATE_ABSENT);
    }
    return STATUS_OK;
}

void weight_gate_ahead(struct weight_gate *gate, int64_t group)
{
    if (gate->status == STATUS_OK && gate->claims[group] == WEIGHT_CLAIM_NONE) {
        gate->status = group_claim(gate, group, &gate->error);
    }
}

void weight_gate_hold(struct weight_gate *gate, int64_t group)
{
    weight_gate_ahead(gate, group);
    if (gate->status == STATUS_OK) {
        gate->claims[group] = WEIGHT_CLAIM_HELD;
        gate->status = group_wait(gate, group, &gate->error);
    }
}

void weight_gate_drop(struct weight_gate *gate, int64_t group)
{
    if (gate->status == STATUS_OK) {
        gate->claims[group] = WEIGHT_CLAIM_NONE;
        gate->status = group_drop(gate, group, &gate->error);
    }
}

enum status weight_gate_check(const struct weight_gate *gate, struct error *error)
{
    if (gate->status != STATUS_OK) {
        *error = gate->error;
    }
    return gate->status;
}

enum status weight_gate_rest(struct weight_gate *gate, struct error *error)
{
    return gate->partition == NULL ? STATUS_OK : fabric_barrier(gate->topology->workers, error);
}
