/* See machine.h. Coroutines are ucontext's; a dead process's are never resumed, and others get
 * their stacks. */
#include "tests/simulation/machine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "tests/simulation/disk.h"

enum {
    STACK_BYTES = 8 << 20,
    THREADS_MAX = 1 << 12,
    PROCESSES_MAX = 1 << 10,
    TURN_ODDS = 4, /* one point in so many takes the turn away */
    POINT_NS = 500,
};

enum thread_state { THREAD_RUNNABLE, THREAD_WAITING, THREAD_ENDED };

struct thread {
    ucontext_t context;
    void *stack;
    struct process *process;
    void *(*main)(void *);
    void *argument;
    enum thread_state state;
    const void *key;
    int64_t end_ns;
    bool woken;
};

struct call {
    int64_t due_ns;
    int64_t order; /* of two that are due together the first one goes first */
    void (*call)(void *context);
    void *context;
};

static struct machine {
    uint64_t chances[MACHINE_CHANCE_COUNT];
    int64_t now_ns;
    int64_t points;
    uint64_t digest;
    bool traces;
    void (*watch)(struct process *process, const char *what);
    ucontext_t scheduler;
    struct thread *current;
    struct thread *threads[THREADS_MAX]; /* those not ended */
    int64_t thread_count;
    void *stacks[THREADS_MAX]; /* free ones */
    int64_t stack_count;
    struct process *processes[PROCESSES_MAX];
    int64_t process_count;
    struct call *calls;
    size_t call_capacity;
    int64_t call_count, call_order;
} machine;

/* splitmix64 */
static uint64_t scramble(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void machine_open(uint64_t seed, bool traces)
{
    machine = (struct machine){.traces = traces, .now_ns = MACHINE_SECOND};
    for (int64_t i = 0; i < MACHINE_CHANCE_COUNT; i++) {
        machine.chances[i] = scramble(seed * MACHINE_CHANCE_COUNT + (uint64_t)i + 1);
    }
}

int64_t machine_now_ns(void)
{
    return machine.now_ns;
}

int64_t machine_chance(enum machine_chance chance, int64_t below)
{
    machine.chances[chance] += UINT64_C(0x9e3779b97f4a7c15);
    return below < 2 ? 0 : (int64_t)(scramble(machine.chances[chance]) % (uint64_t)below);
}

struct process *machine_process(void)
{
    return machine.current == NULL ? NULL : machine.current->process;
}

struct process *machine_find(int64_t number)
{
    return number >= 0 && number < machine.process_count ? machine.processes[number] : NULL;
}

int64_t machine_process_count(void)
{
    return machine.process_count;
}

int64_t machine_points(void)
{
    return machine.points;
}

void machine_watch(void (*watch)(struct process *process, const char *what))
{
    machine.watch = watch;
}

static void digest_mix(uint64_t value)
{
    machine.digest = scramble(machine.digest ^ value) + UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t machine_digest(void)
{
    return machine.digest;
}

void machine_note(const char *format, ...)
{
    char line[MACHINE_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    digest_mix(hash_bytes(line, strlen(line), (uint64_t)machine.now_ns));
    if (machine.traces) {
        const struct process *const process = machine_process();
        (void)fprintf(stdout, "%12.6f %-16s %s\n", (double)machine.now_ns * 1e-9,
                      process == NULL ? "-" : process->name, line);
    }
}

/* Hands the turn back; returns when it is this thread's again. */
static void turn_give(void)
{
    struct thread *const own = machine.current;
    INVARIANT(swapcontext(&own->context, &machine.scheduler) == 0);
}

void machine_point(const char *what)
{
    struct thread *const own = machine.current;
    if (own == NULL) {
        return;
    }
    machine.points++;
    machine.now_ns += 1 + machine_chance(MACHINE_CHANCE_TURN, POINT_NS);
    digest_mix(hash_bytes(what, strlen(what), (uint64_t)own->process->number));
    if (machine.watch != NULL) {
        machine.watch(own->process, what);
    }
    const bool stops = own->process->dead || own->process->stopped_ns > machine.now_ns;
    if (stops || machine_chance(MACHINE_CHANCE_TURN, TURN_ODDS) == 0) {
        turn_give();
    }
}

bool machine_wait(const void *key, int64_t end_ns)
{
    struct thread *const own = machine.current;
    own->state = THREAD_WAITING;
    own->key = key;
    own->end_ns = end_ns;
    own->woken = false;
    turn_give();
    return own->woken;
}

void machine_wake(const void *key)
{
    for (int64_t i = 0; i < machine.thread_count; i++) {
        struct thread *const thread = machine.threads[i];
        if (thread->state == THREAD_WAITING && thread->key == key) {
            thread->state = THREAD_RUNNABLE;
            thread->woken = true;
        }
    }
}

void machine_sleep(int64_t duration_ns)
{
    (void)machine_wait(NULL, machine.now_ns + (duration_ns > 0 ? duration_ns : 1));
}

void machine_later(int64_t delay_ns, void (*call)(void *context), void *context)
{
    void *calls = machine.calls;
    memory_reserve(&calls, &machine.call_capacity, (size_t)machine.call_count + 1,
                   sizeof *machine.calls, "calls to come");
    machine.calls = calls;
    machine.calls[machine.call_count++] =
        (struct call){machine.now_ns + delay_ns, machine.call_order++, call, context};
}

static struct process *thread_process(int64_t thread)
{
    return machine.threads[thread]->process;
}

/* Stacks of threads that are not on the processor just now. */
static void threads_sweep(void)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < machine.thread_count; i++) {
        struct thread *const thread = machine.threads[i];
        if (thread->state == THREAD_ENDED || thread_process(i)->dead) {
            machine.stacks[machine.stack_count++] = thread->stack;
            thread->state = THREAD_ENDED;
        } else {
            machine.threads[kept++] = thread;
        }
    }
    machine.thread_count = kept;
}

static void thread_begin(void)
{
    struct thread *const own = machine.current;
    (void)own->main(own->argument);
    own->state = THREAD_ENDED;
    machine_wake(own);
    turn_give();
    INVARIANT(false);
}

static struct thread *thread_start(struct process *process, void *(*main)(void *), void *argument)
{
    INVARIANT(machine.thread_count < THREADS_MAX);
    struct thread *const thread = memory_take(1, sizeof *thread, "simulated thread");
    thread->process = process;
    thread->main = main;
    thread->argument = argument;
    thread->stack = machine.stack_count > 0
                        ? machine.stacks[--machine.stack_count]
                        : mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    INVARIANT(thread->stack != MAP_FAILED && getcontext(&thread->context) == 0);
    thread->context.uc_stack.ss_sp = thread->stack;
    thread->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&thread->context, thread_begin, 0);
    machine.threads[machine.thread_count++] = thread;
    return thread;
}

/* A thread's address is its number. */
int64_t machine_thread(void *(*main)(void *), void *argument)
{
    return (int64_t)(intptr_t)thread_start(machine_process(), main, argument);
}

void machine_join(int64_t number)
{
    struct thread *const thread = (struct thread *)(intptr_t)number;
    while (thread->state != THREAD_ENDED) {
        (void)machine_wait(thread, MACHINE_NEVER);
    }
}

static void *process_begin(void *context)
{
    struct process *const process = context;
    process_exit(process->main(process));
}

struct process *process_start(const char *name, int64_t node, int (*main)(struct process *),
                              void *context)
{
    INVARIANT(machine.process_count < PROCESSES_MAX);
    struct process *const process = memory_take(1, sizeof *process, "simulated process");
    *process = (struct process){.number = machine.process_count,
                                .parent = -1,
                                .node = node,
                                .main = main,
                                .context = context};
    (void)snprintf(process->name, sizeof process->name, "%s", name);
    machine.processes[machine.process_count++] = process;
    machine_note("starts %s as %lld on node %lld", name, (long long)process->number,
                 (long long)node);
    (void)thread_start(process, process_begin, process);
    return process;
}

static void process_release(void *context)
{
    struct process *const process = context;
    disk_release(process);
    process->ended = true;
    machine_wake(process);
}

static void process_follow(void *context)
{
    process_kill(context, SIGKILL, 0);
}

void process_kill(struct process *process, int signal, int64_t linger_ns)
{
    if (process->dead) {
        return;
    }
    process->dead = true;
    process->signal = signal;
    machine_note("%s (%lld) dies by signal %d", process->name, (long long)process->number, signal);
    machine_later(linger_ns, process_release, process);
    for (int64_t i = 0; i < machine.process_count; i++) {
        struct process *const child = machine.processes[i];
        if (child->follows && child->parent == process->number) {
            machine_later(1 + machine_chance(MACHINE_CHANCE_TURN, MACHINE_SECOND / 100),
                          process_follow, child);
        }
    }
    if (machine_process() == process) {
        turn_give();
    }
}

void process_exit(int code)
{
    struct process *const process = machine_process();
    INVARIANT(process != NULL);
    process->dead = true;
    process->code = code;
    machine_note("%s (%lld) ends with exit code %d%s%s", process->name, (long long)process->number,
                 code, process->text[0] == '\0' ? "" : ": ", process->text);
    machine_later(0, process_release, process);
    turn_give();
    INVARIANT(false);
}

void process_signal(struct process *process, int signal)
{
    if (process->dead) {
        return;
    }
    machine_note("signal %d to %s (%lld)", signal, process->name, (long long)process->number);
    void (*const handler)(int) = process->handlers[signal];
    if (handler == SIG_DFL) {
        process_kill(process, signal, 0);
    } else if (handler != SIG_IGN) {
        handler(signal);
    }
}

void process_stop(struct process *process, int64_t duration_ns)
{
    machine_note("%s (%lld) is stopped for %.1f s", process->name, (long long)process->number,
                 (double)duration_ns * 1e-9);
    process->stopped_ns = machine.now_ns + duration_ns;
}

static bool calls_make(void)
{
    int64_t first = -1;
    for (int64_t i = 0; i < machine.call_count; i++) {
        const struct call *const call = &machine.calls[i];
        if (call->due_ns <= machine.now_ns &&
            (first < 0 || call->due_ns < machine.calls[first].due_ns ||
             (call->due_ns == machine.calls[first].due_ns &&
              call->order < machine.calls[first].order))) {
            first = i;
        }
    }
    if (first < 0) {
        return false;
    }
    const struct call call = machine.calls[first];
    machine.calls[first] = machine.calls[--machine.call_count];
    call.call(call.context);
    return true;
}

/* Those who can go on now. */
static int64_t runnable_count(void)
{
    int64_t count = 0;
    for (int64_t i = 0; i < machine.thread_count; i++) {
        struct thread *const thread = machine.threads[i];
        if (thread->state == THREAD_WAITING && thread->end_ns <= machine.now_ns) {
            thread->state = THREAD_RUNNABLE;
        }
        count += thread->state == THREAD_RUNNABLE && thread_process(i)->stopped_ns <= machine.now_ns
                     ? 1
                     : 0;
    }
    return count;
}

static struct thread *runnable_take(int64_t turn)
{
    for (int64_t i = 0; i < machine.thread_count; i++) {
        struct thread *const thread = machine.threads[i];
        if (thread->state == THREAD_RUNNABLE && thread_process(i)->stopped_ns <= machine.now_ns &&
            turn-- == 0) {
            return thread;
        }
    }
    INVARIANT(false);
    return NULL;
}

/* When something happens next, if nobody can go on. */
static int64_t next_ns(void)
{
    int64_t next = MACHINE_NEVER;
    for (int64_t i = 0; i < machine.thread_count; i++) {
        const struct thread *const thread = machine.threads[i];
        const int64_t stopped_ns = thread->process->stopped_ns;
        const int64_t own = thread->state == THREAD_RUNNABLE ? stopped_ns : thread->end_ns;
        next = own < next ? own : next;
    }
    for (int64_t i = 0; i < machine.call_count; i++) {
        next = machine.calls[i].due_ns < next ? machine.calls[i].due_ns : next;
    }
    return next;
}

enum machine_end machine_run(int64_t limit_ns)
{
    while (machine.now_ns < limit_ns) {
        while (calls_make()) {
        }
        threads_sweep();
        const int64_t count = runnable_count();
        if (count > 0) {
            machine.current = runnable_take(machine_chance(MACHINE_CHANCE_TURN, count));
            INVARIANT(swapcontext(&machine.scheduler, &machine.current->context) == 0);
            machine.current = NULL;
            continue;
        }
        const int64_t next = next_ns();
        if (next == MACHINE_NEVER) {
            return machine.thread_count == 0 ? MACHINE_END_DONE : MACHINE_END_DEADLOCK;
        }
        machine.now_ns = next > machine.now_ns ? next : machine.now_ns;
    }
    return MACHINE_END_LATE;
}
