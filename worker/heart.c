/* See heart.h. */
#include "worker/heart.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"

struct heart {
    struct channel_client *channel;
    int64_t worker;
    double interval_seconds;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t leave;
    bool leaving;
    _Atomic int32_t phase;
    _Atomic int64_t step;
    _Atomic int64_t slot;
};

static void heart_beat(struct heart *heart)
{
    struct message beat =
        message_make(MESSAGE_KIND_HEARTBEAT, heart->worker, atomic_load(&heart->step));
    beat.phase = atomic_load(&heart->phase);
    beat.slot = atomic_load(&heart->slot);
    struct error error;
    if (channel_client_send(heart->channel, &beat, &error) != STATUS_OK) {
        log_line(LOG_LEVEL_WARN, "heartbeat not sent: %s", error.message);
    }
}

static void *heart_main(void *context)
{
    struct heart *const heart = context;
    (void)pthread_mutex_lock(&heart->lock);
    while (!heart->leaving) {
        heart_beat(heart);
        struct timespec next;
        (void)clock_gettime(CLOCK_MONOTONIC, &next);
        const int64_t nanoseconds =
            (int64_t)(heart->interval_seconds * 1e9) + (int64_t)next.tv_nsec;
        next.tv_sec += (time_t)(nanoseconds / 1000000000);
        next.tv_nsec = (long)(nanoseconds % 1000000000);
        (void)pthread_cond_timedwait(&heart->leave, &heart->lock, &next);
    }
    (void)pthread_mutex_unlock(&heart->lock);
    return NULL;
}

enum status heart_open(struct heart **heart, const struct channel_address *address, int64_t worker,
                       double interval_seconds, struct error *error)
{
    struct heart *const opened = memory_take(1, sizeof *opened, "heartbeat");
    opened->worker = worker;
    opened->interval_seconds = interval_seconds;
    const enum status status =
        channel_client_open(&opened->channel, address, worker, "heart", error);
    if (status != STATUS_OK) {
        memory_release(opened);
        return status;
    }
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&opened->lock, NULL);
    (void)pthread_cond_init(&opened->leave, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (pthread_create(&opened->thread, NULL, heart_main, opened) != 0) {
        channel_client_close(opened->channel);
        memory_release(opened);
        FAIL(error, STATUS_INTERNAL, "could not start the heartbeat's thread");
    }
    *heart = opened;
    return STATUS_OK;
}

void heart_close(struct heart *heart)
{
    if (heart == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&heart->lock);
    heart->leaving = true;
    (void)pthread_cond_signal(&heart->leave);
    (void)pthread_mutex_unlock(&heart->lock);
    (void)pthread_join(heart->thread, NULL);
    channel_client_close(heart->channel);
    (void)pthread_cond_destroy(&heart->leave);
    (void)pthread_mutex_destroy(&heart->lock);
    memory_release(heart);
}

void heart_phase(struct heart *heart, enum message_phase phase, int64_t step, int64_t slot)
{
    atomic_store(&heart->phase, (int32_t)phase);
    atomic_store(&heart->step, step);
    atomic_store(&heart->slot, slot);
}
