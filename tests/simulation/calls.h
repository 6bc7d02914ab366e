/* The calls that the linker sends to the simulation (--wrap, CMakeLists.txt) and, as __real_…, what
 * they are without it. */
#ifndef SHARDLM_TESTS_SIMULATION_CALLS_H
#define SHARDLM_TESTS_SIMULATION_CALLS_H

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/process.h"
#include "kernels/kernels.h"
#include "launch/mpi_job.h"
#include "shard/fabric.h"

/* name, result, parameters */
#define CALLS(X)                                                                                   \
    X(close, int, (int descriptor))                                                                \
    X(read, ssize_t, (int descriptor, void *data, size_t size_bytes))                              \
    X(write, ssize_t, (int descriptor, const void *data, size_t size_bytes))                       \
    X(fsync, int, (int descriptor))                                                                \
    X(fdatasync, int, (int descriptor))                                                            \
    X(rename, int, (const char *from, const char *to))                                             \
    X(unlink, int, (const char *path))                                                             \
    X(rmdir, int, (const char *path))                                                              \
    X(mkdir, int, (const char *path, mode_t mode))                                                 \
    X(stat, int, (const char *path, struct stat *facts))                                           \
    X(lstat, int, (const char *path, struct stat *facts))                                          \
    X(fstat, int, (int descriptor, struct stat *facts))                                            \
    X(opendir, DIR *, (const char *path))                                                          \
    X(readdir, struct dirent *, (DIR * folder))                                                    \
    X(closedir, int, (DIR * folder))                                                               \
    X(ftruncate, int, (int descriptor, off_t size_bytes))                                          \
    X(posix_fallocate, int, (int descriptor, off_t first, off_t size_bytes))                       \
    X(fallocate, int, (int descriptor, int mode, off_t first, off_t size_bytes))                   \
    X(flock, int, (int descriptor, int operation))                                                 \
    X(mmap, void *,                                                                                \
      (void *address, size_t size_bytes, int protection, int flags, int descriptor, off_t offset)) \
    X(munmap, int, (void *address, size_t size_bytes))                                             \
    X(linkat, int, (int from_folder, const char *from, int to_folder, const char *to, int flags))  \
    X(pthread_create, int,                                                                         \
      (pthread_t * thread, const pthread_attr_t *attributes, void *(*main)(void *),                \
       void *argument))                                                                            \
    X(pthread_join, int, (pthread_t thread, void **result))                                        \
    X(pthread_mutex_init, int, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes))   \
    X(pthread_mutex_destroy, int, (pthread_mutex_t * mutex))                                       \
    X(pthread_mutex_lock, int, (pthread_mutex_t * mutex))                                          \
    X(pthread_mutex_unlock, int, (pthread_mutex_t * mutex))                                        \
    X(pthread_cond_init, int, (pthread_cond_t * condition, const pthread_condattr_t *attributes))  \
    X(pthread_cond_destroy, int, (pthread_cond_t * condition))                                     \
    X(pthread_cond_wait, int, (pthread_cond_t * condition, pthread_mutex_t * mutex))               \
    X(pthread_cond_timedwait, int,                                                                 \
      (pthread_cond_t * condition, pthread_mutex_t * mutex, const struct timespec *end))           \
    X(pthread_cond_signal, int, (pthread_cond_t * condition))                                      \
    X(pthread_cond_broadcast, int, (pthread_cond_t * condition))                                   \
    X(clock_gettime, int, (clockid_t clock, struct timespec * now))                                \
    X(nanosleep, int, (const struct timespec *duration, struct timespec *left))                    \
    X(sched_yield, int, (void))                                                                    \
    X(time, time_t, (time_t * now))                                                                \
    X(getpid, pid_t, (void))                                                                       \
    X(kill, int, (pid_t number, int signal))                                                       \
    X(getenv, char *, (const char *name))                                                          \
    X(unsetenv, int, (const char *name))                                                           \
    X(getrandom, ssize_t, (void *data, size_t size_bytes, unsigned flags))                         \
    X(sigaction, int, (int signal, const struct sigaction *action, struct sigaction *former))      \
    X(process_memory, struct process_memory, (void))                                               \
    X(kernels_open, enum status,                                                                   \
      (struct kernels * kernels, enum kernels_level level, struct error * error))                  \
    X(log_line, void, (enum log_level level, const char *format, ...))                             \
    X(fault_reach, void, (const struct fault *fault, enum fault_point point, int64_t step))        \
    X(address_choose, enum status,                                                                 \
      (struct fabric_group * world, const char *own_host, char *address, struct error *error))     \
    X(mpi_job_stops, int64_t, (void))                                                              \
    X(mpi_job_signals, void, (void))                                                               \
    X(mpi_job_run, enum status, (const struct mpi_job *wanted, int *code, struct error *error))

#define X(name, result, parameters)                                                                \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;
CALLS(X)
#undef X

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
__attribute__((noreturn)) void __real__exit(int code);
__attribute__((noreturn)) void __wrap__exit(int code);

#endif
