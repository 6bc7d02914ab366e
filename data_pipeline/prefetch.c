/* See prefetch.h. Requests are numbered; request i uses entry i % entry_count. Numbers of
 * requests asked and taken change on the owner's thread only, under the mutex; the helper thread
 * reads them and moves `filled`. */
#include "data_pipeline/prefetch.h"

#include <pthread.h>
#include <time.h>

#include "base/memory.h"

struct prefetch_entry {
    int64_t step;
    int64_t slot;
    bool held_out;
    enum status status;
    struct error error;
    struct batch batch;
};

struct prefetch {
    const struct data_source *source;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct prefetch_entry *entries; /* (entry_count) those under way and those that are held */
    int64_t entry_count;
    int64_t asked;  /* taken <= filled <= asked <= taken + PREFETCH_DEPTH */
    int64_t filled; /* requests done, with or without success */
    int64_t taken;
    bool filling; /* the helper thread works on request `filled` */
    bool ending;
};

static void prefetch_fill(const struct prefetch *prefetch, struct prefetch_entry *entry)
{
    entry->status = entry->held_out ? data_source_fill_held_out(prefetch->source, entry->slot,
                                                                &entry->batch, &entry->error)
                                    : data_source_fill(prefetch->source, entry->step, entry->slot,
                                                       &entry->batch, &entry->error);
}

static void *prefetch_thread(void *context)
{
    struct prefetch *const prefetch = context;
    (void)pthread_mutex_lock(&prefetch->mutex);
    while (!prefetch->ending) {
        if (prefetch->filled == prefetch->asked) {
            (void)pthread_cond_wait(&prefetch->changed, &prefetch->mutex);
            continue;
        }
        struct prefetch_entry *const entry =
            &prefetch->entries[prefetch->filled % prefetch->entry_count];
        prefetch->filling = true;
        (void)pthread_mutex_unlock(&prefetch->mutex);
        prefetch_fill(prefetch, entry);
        (void)pthread_mutex_lock(&prefetch->mutex);
        prefetch->filling = false;
        prefetch->filled++;
        (void)pthread_cond_broadcast(&prefetch->changed);
    }
    (void)pthread_mutex_unlock(&prefetch->mutex);
    return NULL;
}

static void prefetch_release(struct prefetch *prefetch)
{
    for (int64_t i = 0; i < prefetch->entry_count; i++) {
        batch_deinit(&prefetch->entries[i].batch);
    }
    (void)pthread_cond_destroy(&prefetch->changed);
    (void)pthread_mutex_destroy(&prefetch->mutex);
    memory_release(prefetch->entries);
    memory_release(prefetch);
}

enum status prefetch_open(struct prefetch **prefetch, const struct data_source *source,
                          int64_t held, struct error *error)
{
    struct prefetch *const made = memory_take(1, sizeof *made, "prefetch");
    made->source = source;
    made->entry_count = PREFETCH_DEPTH + held;
    made->entries = memory_take((size_t)made->entry_count, sizeof *made->entries, "prefetch");
    const struct batch_limits limits = data_source_limits(source);
    for (int64_t i = 0; i < made->entry_count; i++) {
        batch_init(&made->entries[i].batch, &limits);
    }
    pthread_condattr_t attributes;
    INVARIANT(pthread_condattr_init(&attributes) == 0);
    INVARIANT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    INVARIANT(pthread_cond_init(&made->changed, &attributes) == 0);
    (void)pthread_condattr_destroy(&attributes);
    INVARIANT(pthread_mutex_init(&made->mutex, NULL) == 0);
    if (pthread_create(&made->thread, NULL, prefetch_thread, made) != 0) {
        prefetch_release(made);
        FAIL(error, STATUS_IO, "could not start the prefetch thread");
    }
    *prefetch = made;
    return STATUS_OK;
}

void prefetch_close(struct prefetch *prefetch)
{
    if (prefetch == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&prefetch->mutex);
    prefetch->ending = true;
    (void)pthread_cond_broadcast(&prefetch->changed);
    (void)pthread_mutex_unlock(&prefetch->mutex);
    (void)pthread_join(prefetch->thread, NULL);
    prefetch_release(prefetch);
}

bool prefetch_full(const struct prefetch *prefetch)
{
    return prefetch->asked - prefetch->taken >= PREFETCH_DEPTH;
}

void prefetch_ask(struct prefetch *prefetch, int64_t step, int64_t slot, bool held_out)
{
    INVARIANT(!prefetch_full(prefetch));
    (void)pthread_mutex_lock(&prefetch->mutex);
    struct prefetch_entry *const entry =
        &prefetch->entries[prefetch->asked % prefetch->entry_count];
    entry->step = step;
    entry->slot = slot;
    entry->held_out = held_out;
    prefetch->asked++;
    (void)pthread_cond_broadcast(&prefetch->changed);
    (void)pthread_mutex_unlock(&prefetch->mutex);
}

static struct timespec deadline_after(int64_t timeout_ms)
{
    struct timespec time;
    INVARIANT(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    time.tv_sec += (time_t)(timeout_ms / 1000);
    time.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (time.tv_nsec >= 1000000000L) {
        time.tv_nsec -= 1000000000L;
        time.tv_sec++;
    }
    return time;
}

/* Waits until request `taken` is done; false after the limit. */
static bool prefetch_wait(struct prefetch *prefetch, int64_t timeout_ms)
{
    const struct timespec deadline = deadline_after(timeout_ms);
    int result = 0;
    (void)pthread_mutex_lock(&prefetch->mutex);
    while (prefetch->filled == prefetch->taken && result == 0) {
        result = pthread_cond_timedwait(&prefetch->changed, &prefetch->mutex, &deadline);
    }
    const bool done = prefetch->filled > prefetch->taken;
    (void)pthread_mutex_unlock(&prefetch->mutex);
    return done;
}

enum status prefetch_take(struct prefetch *prefetch, int64_t timeout_ms, int64_t *step,
                          int64_t *slot, const struct batch **batch, struct error *error)
{
    INVARIANT(prefetch->taken < prefetch->asked);
    struct prefetch_entry *const entry =
        &prefetch->entries[prefetch->taken % prefetch->entry_count];
    if (!prefetch_wait(prefetch, timeout_ms)) {
        FAIL(error, STATUS_TIMEOUT,
             "the batch of step %lld, %sslot %lld was not ready after %lld ms",
             (long long)entry->step, entry->held_out ? "held-out " : "", (long long)entry->slot,
             (long long)timeout_ms);
    }
    (void)pthread_mutex_lock(&prefetch->mutex);
    prefetch->taken++;
    (void)pthread_mutex_unlock(&prefetch->mutex);
    *step = entry->step;
    *slot = entry->slot;
    *batch = &entry->batch;
    if (entry->status != STATUS_OK) {
        FAIL(error, entry->status, "%s", entry->error.message);
    }
    return STATUS_OK;
}

void prefetch_drop(struct prefetch *prefetch)
{
    (void)pthread_mutex_lock(&prefetch->mutex);
    /* A fill under way ends first, then counts as dropped; nothing behind it begins. */
    prefetch->asked = prefetch->filled + (prefetch->filling ? 1 : 0);
    while (prefetch->filling) {
        (void)pthread_cond_wait(&prefetch->changed, &prefetch->mutex);
    }
    prefetch->filled = prefetch->asked;
    prefetch->taken = prefetch->asked;
    (void)pthread_mutex_unlock(&prefetch->mutex);
}
