/* simulate: runs simulated clusters, one a seed, and says of each whether all that must hold did
 * (verdict.h). Each runs in a process of its own, so that a crash is a verdict too. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/mutant.h"
#include "tests/simulation/trouble.h"
#include "tests/simulation/verdict.h"

enum { RUN_HOURS = 2, REAL_SECONDS_MAX = 60 };

struct wishes {
    int64_t first, last;
    enum mutant mutant;
    int64_t kind; /* of trouble; TROUBLE_KINDS: any */
    bool traces;
    bool twice; /* each seed two times, with the same trace */
    bool finds; /* succeed at the first seed that fails, fail if there is none */
};

/* Of one run; shared with the process that ran it. */
struct outcome {
    char text[VERDICT_TEXT_BYTES]; /* empty: all is well */
    uint64_t digest;
    struct reference reference;
    int64_t points, starts, jobs, redone;
    int64_t messages; /* lost */
    int64_t troubles[TROUBLE_KINDS];
    double seconds; /* simulated */
    bool finished;
};

static struct cluster_shape shape_choose(void)
{
    static const char *const modes[] = {"auto", "static", "dynamic"};
    struct cluster_shape shape = {.nodes = 1 + machine_chance(MACHINE_CHANCE_PLAN, 3),
                                  .steps = 8,
                                  .slots = 8,
                                  .checkpoint_every = 3,
                                  .evaluate_every = 4};
    shape.pipeline = 1 + machine_chance(MACHINE_CHANCE_PLAN, 2);
    shape.workers = cluster_workers(&shape);
    shape.audit_every = 3 * machine_chance(MACHINE_CHANCE_PLAN, 2);
    shape.stage = machine_chance(MACHINE_CHANCE_PLAN, 4);
    const int64_t mode_count =
        shape.stage > 1 ? 2 : ARRAY_LENGTH(modes); /* from there no dynamic ones */
    shape.lease_mode = modes[machine_chance(MACHINE_CHANCE_PLAN, mode_count)];
    shape.checkpoint_every = machine_chance(MACHINE_CHANCE_PLAN, 5);
    shape.resizes = machine_chance(MACHINE_CHANCE_PLAN, 3) == 0;
    return shape;
}

static void run(uint64_t seed, const struct wishes *wishes, const struct reference *reference,
                struct outcome *outcome)
{
    enum { TROUBLES = 5 };
    machine_open(seed, wishes->traces);
    disk_open();
    const struct cluster_shape shape = shape_choose();
    cluster_open(&shape);
    verdict_open(reference);
    trouble_open(reference == NULL ? 0 : 1 + machine_chance(MACHINE_CHANCE_PLAN, TROUBLES),
                 wishes->kind);
    machine_note("%" PRId64 " nodes, %" PRId64 " workers, pipelines of %" PRId64 ", stage %" PRId64
                 ", leases %s, audits every %" PRId64 " steps",
                 shape.nodes, shape.workers, shape.pipeline, shape.stage, shape.lease_mode,
                 shape.audit_every);
    cluster_begin();
    const enum machine_end end = machine_run(RUN_HOURS * 3600 * MACHINE_SECOND);
    if (end != MACHINE_END_DONE) {
        verdict_fault(end == MACHINE_END_LATE ? "limits: the run goes on after %d h"
                                              : "limits: all wait for good, after less than %d h",
                      RUN_HOURS);
    }
    (void)snprintf(outcome->text, sizeof outcome->text, "%s", verdict_text());
    verdict_reference(&outcome->reference);
    outcome->digest = machine_digest();
    outcome->points = machine_points();
    outcome->starts = cluster_end().starts;
    outcome->jobs = cluster_end().jobs;
    outcome->redone = verdict_redone();
    outcome->seconds = (double)machine_now_ns() * 1e-9;
    outcome->messages = trouble_total();
    for (int64_t i = 0; i < TROUBLE_KINDS; i++) {
        outcome->troubles[i] = trouble_done((enum trouble_kind)i);
        outcome->messages -= outcome->troubles[i];
    }
    outcome->finished = true;
}

/* In a process of its own, which says nothing but its trace. */
static void run_apart(uint64_t seed, const struct wishes *wishes, const struct reference *reference,
                      struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        (void)alarm(REAL_SECONDS_MAX);
        if (!wishes->traces) {
            const int nothing = open("/dev/null", O_WRONLY);
            (void)dup2(nothing, STDOUT_FILENO);
            (void)dup2(nothing, STDERR_FILENO);
        }
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        run(seed, wishes, reference, outcome);
        _exit(0);
    }
    int state = 0;
    (void)waitpid(child, &state, 0);
    if (!outcome->finished) {
        (void)snprintf(outcome->text, sizeof outcome->text,
                       WIFSIGNALED(state) ? "crash: signal %d" : "crash: exit code %d",
                       WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state));
    }
}

struct tally {
    int64_t runs, failures, points, starts, jobs, redone, messages;
    int64_t troubles[TROUBLE_KINDS];
    double seconds;
};

static void tally_add(struct tally *tally, const struct outcome *outcome)
{
    tally->runs++;
    tally->failures += outcome->text[0] == '\0' ? 0 : 1;
    tally->points += outcome->points;
    tally->starts += outcome->starts;
    tally->jobs += outcome->jobs;
    tally->redone += outcome->redone;
    tally->messages += outcome->messages;
    tally->seconds += outcome->seconds;
    for (int64_t i = 0; i < TROUBLE_KINDS; i++) {
        tally->troubles[i] += outcome->troubles[i];
    }
}

static void tally_print(const struct tally *tally)
{
    (void)printf("%" PRId64 " runs, %" PRId64 " failed; %" PRId64
                 " starts of the supervisor, %" PRId64 " jobs, %" PRId64
                 " steps done again, %.1f simulated hours, %" PRId64 " points\n",
                 tally->runs, tally->failures, tally->starts, tally->jobs, tally->redone,
                 tally->seconds / 3600, tally->points);
    (void)printf("troubles:");
    for (int64_t i = 0; i < TROUBLE_KINDS; i++) {
        (void)printf(" %s %" PRId64 ",", trouble_name((enum trouble_kind)i), tally->troubles[i]);
    }
    (void)printf(" records lost %" PRId64 "\n", tally->messages);
}

static struct outcome *outcome_make(void)
{
    struct outcome *const outcome =
        mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    INVARIANT(outcome != MAP_FAILED);
    return outcome;
}

static void seed_run(uint64_t seed, const struct wishes *wishes, const struct reference *reference,
                     struct outcome *outcome)
{
    run_apart(seed, wishes, reference, outcome);
    if (wishes->twice && outcome->text[0] == '\0') {
        const uint64_t digest = outcome->digest;
        run_apart(seed, wishes, reference, outcome);
        if (outcome->digest != digest) {
            (void)snprintf(outcome->text, sizeof outcome->text,
                           "two runs of this seed are not the same");
        }
    }
}

static int seeds_run(const struct wishes *wishes)
{
    struct outcome *const outcome = outcome_make();
    mutant_choose(MUTANT_NONE);
    const struct wishes calm = {.kind = TROUBLE_KINDS};
    run_apart(0, &calm, NULL, outcome);
    if (outcome->text[0] != '\0') {
        (void)printf("an undisturbed run failed: %s\n", outcome->text);
        return 1;
    }
    const struct reference reference = outcome->reference;
    mutant_choose(wishes->mutant);
    struct tally tally = {0};
    for (int64_t seed = wishes->first; seed <= wishes->last; seed++) {
        seed_run((uint64_t)seed, wishes, &reference, outcome);
        tally_add(&tally, outcome);
        if (outcome->text[0] != '\0') {
            (void)printf("seed %" PRId64 ": %s\n", seed, outcome->text);
        }
        if (wishes->finds && tally.failures > 0) {
            break;
        }
    }
    tally_print(&tally);
    return (tally.failures > 0) == wishes->finds ? 0 : 1;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: simulate [--seed N | --seeds A..B] [--mutant NAME] [--trouble KIND]\n"
                  "                [--trace] [--twice] [--find]\n"
                  "--twice runs each seed two times and compares; --find succeeds if a seed fails\n"
                  "mutants:\n");
    for (int i = 0; i < MUTANT_COUNT; i++) {
        (void)fprintf(stderr, "  %-14s %s\n", mutant_name((enum mutant)i),
                      mutant_help((enum mutant)i));
    }
    (void)fprintf(stderr, "kinds of trouble:");
    for (int i = 0; i < TROUBLE_KINDS; i++) {
        (void)fprintf(stderr, " %s", trouble_name((enum trouble_kind)i));
    }
    (void)fprintf(stderr, "\n");
    return 2;
}

/* Takes --NAME VALUE; false if there is no such option or value. */
static bool wish_take(struct wishes *wishes, const char *name, const char *value)
{
    if (strcmp(name, "--seed") == 0) {
        wishes->last = sscanf(value, "%" SCNd64, &wishes->first) == 1 ? wishes->first : -1;
        return wishes->last >= 0;
    }
    if (strcmp(name, "--seeds") == 0) {
        return sscanf(value, "%" SCNd64 "..%" SCNd64, &wishes->first, &wishes->last) == 2;
    }
    if (strcmp(name, "--mutant") == 0) {
        int mutant = 0;
        while (mutant < MUTANT_COUNT && strcmp(value, mutant_name((enum mutant)mutant)) != 0) {
            mutant++;
        }
        wishes->mutant = (enum mutant)mutant;
        return mutant < MUTANT_COUNT;
    }
    if (strcmp(name, "--trouble") == 0) {
        wishes->kind = 0;
        while (wishes->kind < TROUBLE_KINDS &&
               strcmp(value, trouble_name((enum trouble_kind)wishes->kind)) != 0) {
            wishes->kind++;
        }
        return wishes->kind < TROUBLE_KINDS;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct wishes wishes = {.first = 1, .last = 200, .kind = TROUBLE_KINDS};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            wishes.traces = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            wishes.twice = true;
        } else if (strcmp(argv[i], "--find") == 0) {
            wishes.finds = true;
        } else if (i + 1 >= argc || !wish_take(&wishes, argv[i], argv[i + 1])) {
            return usage();
        } else {
            i++;
        }
    }
    return seeds_run(&wishes);
}
