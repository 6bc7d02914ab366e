/* See trouble.h. */
#include "tests/simulation/trouble.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/disk.h"

enum {
    TROUBLES_MAX = 16,
    RECORDS_MAX = 6,    /* lost */
    WAITED_MAX = 20000, /* points, for one that may not come again */
};

/* Done at the `turn`-th time that the run comes to a point. */
enum { POINT_ANY = -1, POINT_OF_RESTART = -2 };
struct trouble {
    enum trouble_kind kind;
    int64_t point; /* enum fault_point; or any; or any since a job that is not the first began */
    int64_t turn;
    bool done;
};

static struct troubles {
    struct trouble list[TROUBLES_MAX];
    int64_t count;
    int64_t begun_points; /* of the machine, when the trouble before was done */
    bool ended;
    bool excuse, touched_disk, touched_journal;
    int64_t done[TROUBLE_KINDS];
    int64_t loss_odds, delay_odds; /* one record in so many; 0: none */
    int64_t lost;
} troubles;

const char *trouble_name(enum trouble_kind kind)
{
    static const char *const names[TROUBLE_KINDS] = {
        "worker",     "coordinator", "mpirun", "supervisor", "node", "power",
        "standstill", "link",        "stop",   "disk",       "flip"};
    return names[kind];
}

int64_t trouble_done(enum trouble_kind kind)
{
    return troubles.done[kind];
}

int64_t trouble_total(void)
{
    int64_t total = troubles.lost;
    for (int64_t i = 0; i < TROUBLE_KINDS; i++) {
        total += troubles.done[i];
    }
    return total;
}

bool trouble_excuse(void)
{
    const bool excuse = troubles.excuse;
    troubles.excuse = false;
    return excuse;
}

void trouble_excuse_add(void)
{
    troubles.excuse = true;
}

bool trouble_touched_disk(void)
{
    return troubles.touched_disk;
}

bool trouble_touched_journal(void)
{
    return troubles.touched_journal;
}

/* The one at hand, or another that lives. */
static struct process *worker_choose(struct process *here)
{
    if (here->rank > 0) {
        return here;
    }
    const struct cluster_job *const job = cluster_newest_job();
    if (job == NULL || job->ranks[0] == NULL) {
        return NULL;
    }
    return job->ranks[1 + machine_chance(MACHINE_CHANCE_PLAN, job->count - 1)];
}

static bool killed(struct process *process, enum trouble_kind kind)
{
    if (process == NULL || process->dead) {
        return false;
    }
    troubles.done[kind]++;
    process_kill(process, SIGKILL, trouble_linger_ns());
    return true;
}

static bool node_lose(void)
{
    troubles.excuse = true;
    troubles.done[TROUBLE_NODE]++;
    cluster_node_lost(machine_chance(MACHINE_CHANCE_PLAN, cluster_shape()->nodes));
    return true;
}

static bool standstill(struct process *here)
{
    enum { LONG_SECONDS = 25 };
    const bool is_long = machine_chance(MACHINE_CHANCE_PLAN, 2) == 0;
    const int64_t seconds = is_long ? LONG_SECONDS : 2;
    if (here->ranks == 0) {
        return false;
    }
    troubles.done[TROUBLE_STANDSTILL]++;
    process_stop(here, 1 + machine_chance(MACHINE_CHANCE_PLAN, seconds * MACHINE_SECOND));
    return true;
}

static bool link_cut(void)
{
    enum { LONG_SECONDS = 30 };
    const int64_t nodes = cluster_shape()->nodes;
    if (nodes < 2) {
        return true; /* there is none */
    }
    const int64_t a = machine_chance(MACHINE_CHANCE_PLAN, nodes);
    const int64_t b = (a + 1 + machine_chance(MACHINE_CHANCE_PLAN, nodes - 1)) % nodes;
    troubles.done[TROUBLE_LINK]++;
    cluster_link_cut(a, b, machine_chance(MACHINE_CHANCE_PLAN, LONG_SECONDS * MACHINE_SECOND));
    return true;
}

static bool stop_ask(void)
{
    struct process *const supervisor = cluster_supervisor();
    if (supervisor == NULL || supervisor->dead) {
        return false;
    }
    troubles.done[TROUBLE_STOP]++;
    machine_note("the supervisor is asked to stop");
    supervisor->stops++;
    const struct cluster_job *const job = cluster_newest_job();
    if (job != NULL && !job->launcher->dead && supervisor->stops == 1) {
        for (int64_t i = 0; i < job->count && job->ranks[i] != NULL; i++) {
            process_signal(job->ranks[i], SIGUSR1);
        }
    } else if (job != NULL && supervisor->stops > 1) {
        process_kill(job->launcher, SIGTERM, 0);
    }
    return true;
}

static bool disk_trouble(void)
{
    static const int reasons[] = {ENOSPC, EIO};
    troubles.touched_disk = true;
    troubles.touched_journal = true;
    troubles.done[TROUBLE_DISK]++;
    disk_fail(reasons[machine_chance(MACHINE_CHANCE_PLAN, 2)],
              machine_chance(MACHINE_CHANCE_PLAN, 3 * MACHINE_SECOND));
    machine_note("writes fail");
    return true;
}

/* In a checkpoint while nobody works with it: damage is looked for when one is opened. */
static bool flip(void)
{
    const struct cluster_job *const job = cluster_newest_job();
    if (job != NULL && job->ranks[0] != NULL && !job->ranks[0]->dead) {
        return false;
    }
    if (disk_flip("/sim/run/checkpoints")) {
        troubles.excuse = true; /* the run may have ended, and its memory with it */
        troubles.done[TROUBLE_FLIP]++;
        machine_note("a bit of a checkpoint flips");
    }
    return true;
}

/* False: it cannot be done just here. Where the process at hand dies it does not return. */
static bool trouble_do(struct trouble *trouble, struct process *here)
{
    const struct cluster_job *const job = cluster_newest_job();
    trouble->done = true; /* it may not come back */
    switch (trouble->kind) {
    case TROUBLE_WORKER:
        return killed(worker_choose(here), trouble->kind);
    case TROUBLE_COORDINATOR:
        return killed(job == NULL ? NULL : job->ranks[0], trouble->kind);
    case TROUBLE_LAUNCHER:
        return killed(job == NULL ? NULL : job->launcher, trouble->kind);
    case TROUBLE_SUPERVISOR:
        return killed(cluster_supervisor(), trouble->kind);
    case TROUBLE_NODE:
        return node_lose();
    case TROUBLE_POWER:
        troubles.excuse = true;
        troubles.touched_journal = true;
        troubles.done[TROUBLE_POWER]++;
        cluster_power_cut();
        return true;
    case TROUBLE_STANDSTILL:
        return standstill(here);
    case TROUBLE_LINK:
        return link_cut();
    case TROUBLE_STOP:
        return stop_ask();
    case TROUBLE_DISK:
        return disk_trouble();
    case TROUBLE_FLIP:
        return flip();
    case TROUBLE_KINDS:
        break;
    }
    return true;
}

static struct trouble *trouble_next(void)
{
    for (int64_t i = 0; i < troubles.count; i++) {
        if (!troubles.list[i].done) {
            return &troubles.list[i];
        }
    }
    return NULL;
}

static void point_watch(struct process *process, const char *what)
{
    struct trouble *const trouble = troubles.ended ? NULL : trouble_next();
    if (trouble == NULL || strcmp(process->name, "person") == 0) {
        return;
    }
    const struct cluster_job *const job = cluster_newest_job();
    const int64_t waited = machine_points() - troubles.begun_points;
    bool here = trouble->point == POINT_ANY && waited >= trouble->turn;
    if (trouble->point == POINT_OF_RESTART && job != NULL && job->number > 0) {
        here = machine_points() - job->begun_points >= trouble->turn;
    }
    if (trouble->point >= 0 &&
        strcmp(what, fault_point_name((enum fault_point)trouble->point)) == 0) {
        here = --trouble->turn <= 0;
    }
    if (!here && waited < WAITED_MAX) {
        return;
    }
    const int64_t begun = troubles.begun_points;
    troubles.begun_points = machine_points();
    if (!trouble_do(trouble, process)) {
        trouble->done = false;
        troubles.begun_points = begun;
    }
}

static enum trouble_kind kind_choose(void)
{
    /* deaths of single processes are what happens most */
    static const enum trouble_kind often[] = {
        TROUBLE_WORKER,      TROUBLE_WORKER,     TROUBLE_WORKER,     TROUBLE_COORDINATOR,
        TROUBLE_COORDINATOR, TROUBLE_LAUNCHER,   TROUBLE_SUPERVISOR, TROUBLE_NODE,
        TROUBLE_POWER,       TROUBLE_STANDSTILL, TROUBLE_LINK,       TROUBLE_STOP,
        TROUBLE_DISK,        TROUBLE_FLIP};
    return often[machine_chance(MACHINE_CHANCE_PLAN, ARRAY_LENGTH(often))];
}

void trouble_open(int64_t count, int64_t kind)
{
    enum { POINTS = 10000, RESTART_POINTS = 2500, TURNS = 12, ODDS = 300 };
    INVARIANT(count <= TROUBLES_MAX);
    troubles = (struct troubles){.count = count};
    for (int64_t i = 0; i < count; i++) {
        struct trouble *const trouble = &troubles.list[i];
        trouble->kind = kind < TROUBLE_KINDS ? (enum trouble_kind)kind : kind_choose();
        const int64_t way = machine_chance(MACHINE_CHANCE_PLAN, 4);
        trouble->point = way < 2    ? machine_chance(MACHINE_CHANCE_PLAN, FAULT_POINT_COUNT)
                         : way == 2 ? POINT_ANY
                                    : POINT_OF_RESTART;
        const int64_t turns = way < 2 ? TURNS : way == 2 ? POINTS : RESTART_POINTS;
        trouble->turn = 1 + machine_chance(MACHINE_CHANCE_PLAN, turns);
    }
    if (count > 0) {
        troubles.loss_odds = machine_chance(MACHINE_CHANCE_PLAN, 4) == 0 ? ODDS : 0;
        troubles.delay_odds = machine_chance(MACHINE_CHANCE_PLAN, 2) == 0 ? ODDS / 10 : 0;
    }
    machine_watch(point_watch);
}

void trouble_end(void)
{
    troubles.ended = true;
}

static bool strikes(int64_t odds)
{
    return odds > 0 && !troubles.ended && machine_chance(MACHINE_CHANCE_NETWORK, odds) == 0;
}

bool trouble_loses(void)
{
    const bool lost = troubles.lost < RECORDS_MAX && strikes(troubles.loss_odds);
    troubles.lost += lost ? 1 : 0;
    return lost;
}

int64_t trouble_travel_ns(int64_t usual_ns)
{
    const int64_t most_ns = strikes(troubles.delay_odds) ? MACHINE_SECOND : usual_ns;
    return 1 + machine_chance(MACHINE_CHANCE_NETWORK, most_ns);
}

int64_t trouble_linger_ns(void)
{
    enum { OFTEN_NS = 20000000 };
    const int64_t odds = troubles.count == 0 ? 0 : machine_chance(MACHINE_CHANCE_PLAN, 8);
    return machine_chance(MACHINE_CHANCE_PLAN, odds == 7 ? 4 * MACHINE_SECOND : OFTEN_NS);
}
