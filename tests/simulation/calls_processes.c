/* The system's calls on threads, time and processes; see calls.h. A mutex or condition is its
 * address: what stands in it is ours. */
#include "tests/simulation/calls.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/simulation/machine.h"

static int64_t time_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * MACHINE_SECOND + (int64_t)time->tv_nsec;
}

/* The first bytes of a mutex: is it held? */
static int *mutex_held(pthread_mutex_t *mutex)
{
    return (int *)(void *)mutex;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*main)(void *), void *argument)
{
    (void)attributes;
    *thread = (pthread_t)machine_thread(main, argument);
    machine_point("pthread_create");
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    (void)result;
    machine_join((int64_t)thread);
    return 0;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    (void)attributes;
    memset(mutex, 0, sizeof *mutex);
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    (void)mutex;
    return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    machine_point("lock");
    while (*mutex_held(mutex) != 0) {
        (void)machine_wait(mutex, MACHINE_NEVER);
    }
    *mutex_held(mutex) = 1;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    *mutex_held(mutex) = 0;
    machine_wake(mutex);
    machine_point("unlock");
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    (void)condition;
    (void)attributes;
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *condition)
{
    (void)condition;
    return 0;
}

static int condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t end_ns)
{
    *mutex_held(mutex) = 0;
    machine_wake(mutex);
    const bool woken = machine_wait(condition, end_ns);
    (void)__wrap_pthread_mutex_lock(mutex);
    return woken ? 0 : ETIMEDOUT;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    return condition_wait(condition, mutex, MACHINE_NEVER);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *end)
{
    return condition_wait(condition, mutex, time_ns(end));
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    return __wrap_pthread_cond_broadcast(condition); /* one may wake for nothing */
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    machine_wake(condition);
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (machine_process() == NULL) {
        return __real_clock_gettime(clock, now);
    }
    *now = (struct timespec){.tv_sec = (time_t)(machine_now_ns() / MACHINE_SECOND),
                             .tv_nsec = (long)(machine_now_ns() % MACHINE_SECOND)};
    return 0;
}

time_t __wrap_time(time_t *now)
{
    if (machine_process() == NULL) {
        return __real_time(now);
    }
    return (time_t)(machine_now_ns() / MACHINE_SECOND);
}

/* Who polls and sleeps oversleeps, at times by far: a busy machine. */
int __wrap_nanosleep(const struct timespec *duration, struct timespec *left)
{
    if (machine_process() == NULL) {
        return __real_nanosleep(duration, left);
    }
    enum { OVERSLEPT_NS = 20000000 };
    const int64_t asked_ns = time_ns(duration);
    machine_point("nanosleep");
    machine_sleep(asked_ns + machine_chance(MACHINE_CHANCE_TURN, OVERSLEPT_NS));
    return 0;
}

int __wrap_sched_yield(void)
{
    machine_point("sched_yield");
    return 0;
}

/* A futex of shared memory: known by its address, which is the same in all processes here. */
long __wrap_syscall(long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    const void *const place = va_arg(arguments, const void *);
    const int operation = va_arg(arguments, int);
    const int value = va_arg(arguments, int);
    const struct timespec *const limit = va_arg(arguments, const struct timespec *);
    va_end(arguments);
    if (number != SYS_futex || machine_process() == NULL) {
        errno = ENOSYS;
        return -1;
    }
    machine_point("futex");
    if (operation == FUTEX_WAKE) {
        machine_wake(place);
        return 0;
    }
    int now;
    memcpy(&now, place, sizeof now);
    if (now == value) {
        (void)machine_wait(place, machine_now_ns() + time_ns(limit));
    }
    return 0;
}

pid_t __wrap_getpid(void)
{
    return machine_process() == NULL ? __real_getpid() : (pid_t)machine_process()->number;
}

int __wrap_kill(pid_t number, int signal)
{
    if (machine_process() == NULL) {
        return __real_kill(number, signal);
    }
    struct process *const process = machine_find(number);
    if (process == NULL || process->dead || process->node != machine_process()->node) {
        errno = ESRCH;
        return -1;
    }
    if (signal != 0) {
        process_signal(process, signal);
    }
    return 0;
}

char *__wrap_getenv(const char *name)
{
    const struct process *const process = machine_process();
    static char texts[2][MACHINE_NAME_BYTES]; /* read before the turn is given away */
    if (process == NULL) {
        return __real_getenv(name);
    }
    const bool is_rank = process->ranks > 0;
    if (is_rank && strcmp(name, "OMPI_COMM_WORLD_RANK") == 0) {
        (void)snprintf(texts[0], sizeof texts[0], "%lld", (long long)process->rank);
        return texts[0];
    }
    if (is_rank && strcmp(name, "OMPI_COMM_WORLD_SIZE") == 0) {
        (void)snprintf(texts[1], sizeof texts[1], "%lld", (long long)process->ranks);
        return texts[1];
    }
    return NULL;
}

int __wrap_unsetenv(const char *name)
{
    return machine_process() == NULL ? __real_unsetenv(name) : 0;
}

ssize_t __wrap_getrandom(void *data, size_t size_bytes, unsigned flags)
{
    if (machine_process() == NULL) {
        return __real_getrandom(data, size_bytes, flags);
    }
    for (size_t i = 0; i < size_bytes; i++) {
        ((unsigned char *)data)[i] =
            (unsigned char)machine_chance(MACHINE_CHANCE_TURN, UCHAR_MAX + 1);
    }
    return (ssize_t)size_bytes;
}

/* A process begins with fresh memory. Here all share one, so a handler that notes its signal is
 * told "none" first. */
int __wrap_sigaction(int signal, const struct sigaction *action, struct sigaction *former)
{
    if (machine_process() == NULL) {
        return __real_sigaction(signal, action, former);
    }
    INVARIANT(signal < MACHINE_SIGNALS_MAX && former == NULL);
    machine_process()->handlers[signal] = action->sa_handler;
    if (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
        action->sa_handler(0);
    }
    return 0;
}

int __wrap_prctl(int option, ...)
{
    if (option == PR_SET_PDEATHSIG && machine_process() != NULL) {
        machine_process()->follows = true;
    }
    return 0;
}

void __wrap__exit(int code)
{
    if (machine_process() == NULL) {
        __real__exit(code);
    }
    process_exit(code);
}

struct process_memory __wrap_process_memory(void)
{
    return (struct process_memory){.peak_bytes = 1 << 20};
}

void __wrap_log_line(enum log_level level, const char *format, ...)
{
    char line[MACHINE_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    machine_note("log %d: %s", (int)level, line);
}

/* The named points of step and checkpoint are points like any others, by their names. */
void __wrap_fault_reach(const struct fault *fault, enum fault_point point, int64_t step)
{
    (void)fault;
    (void)step;
    machine_point(fault_point_name(point));
}

/* Measuring a core takes no time here and says nothing. */
static struct kernels kernels_real;

static void matmul_pass(int64_t m, int64_t n, int64_t k, float alpha, struct kernels_matrix a,
                        struct kernels_matrix b, float beta, float *c, int64_t ldc)
{
    enum { MEASURED = 512, MEASURED_NS = 1000000 };
    if (m == MEASURED && n == MEASURED) {
        machine_sleep(MEASURED_NS);
        return;
    }
    kernels_real.matmul(m, n, k, alpha, a, b, beta, c, ldc);
}

enum status __wrap_kernels_open(struct kernels *kernels, enum kernels_level level,
                                struct error *error)
{
    TRY(__real_kernels_open(kernels, level, error));
    kernels_real = *kernels;
    kernels->matmul = matmul_pass;
    return STATUS_OK;
}
