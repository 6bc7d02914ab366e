/* The simulated machines: nodes, processes, their threads as coroutines, and time. Everything runs
 * on one thread of the host; which coroutine goes on, how long anything takes and when a process
 * dies follow from one seed. Time stands still while code computes and jumps to the next thing that
 * happens when nobody can go on.
 *
 * There is one machine in the program, because the C library's calls that it stands behind
 * (calls_*.c) have no argument that could name another. */
#ifndef SHARDLM_TESTS_SIMULATION_MACHINE_H
#define SHARDLM_TESTS_SIMULATION_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MACHINE_NODES_MAX = 4,
    MACHINE_SIGNALS_MAX = 32,
    MACHINE_DESCRIPTORS_MAX = 64,
    MACHINE_NAME_BYTES = 32,
    MACHINE_TEXT_BYTES = 512,
    MACHINE_WORDS_MAX = 24,
};
#define MACHINE_NEVER  INT64_MAX
#define MACHINE_SECOND INT64_C(1000000000)

/* Each kind of chance has its own sequence, so that a change in one leaves the others alone. */
enum machine_chance {
    MACHINE_CHANCE_TURN,    /* who goes on, how long things take */
    MACHINE_CHANCE_NETWORK, /* what becomes of messages */
    MACHINE_CHANCE_DISK,    /* what a power cut leaves */
    MACHINE_CHANCE_PLAN,    /* shape of the cluster, what goes wrong */
    MACHINE_CHANCE_COUNT,
};

struct open_file; /* disk.h */

/* A process of the cluster. It is never forgotten: its number stays its own. */
struct process {
    int64_t number;
    int64_t parent; /* dies by SIGKILL when this one dies, if it asked for it; -1: nobody */
    bool follows;   /* it asked */
    int64_t node;
    char name[MACHINE_NAME_BYTES];
    char text[MACHINE_TEXT_BYTES]; /* why it failed, as it would say on stderr */
    int (*main)(struct process *process);
    void *context;
    int64_t rank, ranks, job; /* of a rank of a job; ranks 0: none */
    const char *words[MACHINE_WORDS_MAX];
    int64_t word_count;
    void (*handlers[MACHINE_SIGNALS_MAX])(int);
    struct open_file *files[MACHINE_DESCRIPTORS_MAX];
    bool dead;          /* runs no more */
    bool ended;         /* and the system has taken back what it held */
    int code;           /* exit code */
    int signal;         /* or what killed it */
    int64_t stopped_ns; /* does not run before then (SIGSTOP) */
    int64_t stops;      /* signals that asked this process to stop its job */
};

void machine_open(uint64_t seed, bool traces);
int64_t machine_now_ns(void);
/* A whole number in [0, below); 0 if below < 2. */
int64_t machine_chance(enum machine_chance chance, int64_t below);
/* The process that runs; NULL: the machine itself does. */
struct process *machine_process(void);
struct process *machine_find(int64_t number); /* or NULL */
int64_t machine_process_count(void);

/* Here the process that runs may lose its turn, stop or die. `what` goes into the trace's digest.
 */
void machine_point(const char *what);
/* Called at every point, by the process that came there. */
void machine_watch(void (*watch)(struct process *process, const char *what));
int64_t machine_points(void);
/* Until somebody wakes `key`, or `end_ns`: then false. */
bool machine_wait(const void *key, int64_t end_ns);
void machine_wake(const void *key);
void machine_sleep(int64_t duration_ns);
/* Calls back in so long, outside of any process. */
void machine_later(int64_t delay_ns, void (*call)(void *context), void *context);

/* Starts a thread in the process that runs. It wakes the number's address when it ends. */
int64_t machine_thread(void *(*main)(void *), void *argument);
void machine_join(int64_t thread);

struct process *process_start(const char *name, int64_t node, int (*main)(struct process *),
                              void *context);
/* At once. What it holds (files, locks) goes `linger_ns` later. */
void process_kill(struct process *process, int signal, int64_t linger_ns);
__attribute__((noreturn)) void process_exit(int code);
/* To its handler, if it has one; else it dies. */
void process_signal(struct process *process, int signal);
void process_stop(struct process *process, int64_t duration_ns);

enum machine_end {
    MACHINE_END_DONE,     /* all processes have ended */
    MACHINE_END_DEADLOCK, /* some wait, for nothing that could come */
    MACHINE_END_LATE,     /* the limit has passed */
};
enum machine_end machine_run(int64_t limit_ns);

/* One line of the trace: into its digest, and out if traces are wanted. */
void machine_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t machine_digest(void);

#endif
