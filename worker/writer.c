/* See writer.h. */
#include "worker/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"

enum writer_task { WRITER_TASK_NONE, WRITER_TASK_PARTS, WRITER_TASK_PUBLISH, WRITER_TASK_LEAVE };

struct writer {
    struct writer_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum writer_task task; /* NONE: idle */
    char partial[PATH_BYTES];
    struct checkpoint_meta meta;
    struct writer_report report;
};

static enum status parts_write(struct writer *writer, struct error *error)
{
    const struct writer_options *const options = &writer->options;
    for (int64_t group = 0; group < options->table->group_count; group++) {
        if (!snapshot_writes(options->snapshot, group)) {
            continue;
        }
        fault_reach(options->fault, FAULT_POINT_SAVE_PART, writer->meta.step);
        const float *arrays[CHECKPOINT_ARRAY_COUNT];
        snapshot_arrays(options->snapshot, group, arrays);
        TRY(checkpoint_part_write(writer->partial, options->table, group, arrays, error));
    }
    fault_reach(options->fault, FAULT_POINT_SAVE_WRITTEN, writer->meta.step);
    return STATUS_OK;
}

static enum status publish(struct writer *writer, struct error *error)
{
    const struct writer_options *const options = &writer->options;
    const int64_t step = writer->meta.step;
    char published[PATH_BYTES];
    fault_reach(options->fault, FAULT_POINT_PUBLISH_BEGIN, step);
    TRY(checkpoint_publish(writer->partial, options->root, options->table, &writer->meta,
                           options->config_text, options->tokenizer_folder, published, error));
    fault_reach(options->fault, FAULT_POINT_PUBLISH_DONE, step);
    /* The checkpoint stands; what cannot be cleared away is tried again after the next. */
    struct error later;
    if (catalog_retain(options->root, &options->retention, step, -1, &later) != STATUS_OK) {
        log_line(LOG_LEVEL_ERROR, "older checkpoints are not cleared away: %s", later.message);
    }
    fault_reach(options->fault, FAULT_POINT_PUBLISH_CLEANED, step);
    return STATUS_OK;
}

static void result_note(struct writer *writer, enum writer_task task, enum status status,
                        const struct error *error)
{
    if (status != STATUS_OK) {
        writer->report.failed_step = writer->meta.step;
        (void)snprintf(writer->report.message, sizeof writer->report.message, "%s", error->message);
    } else if (task == WRITER_TASK_PARTS) {
        writer->report.written_step = writer->meta.step;
    } else {
        writer->report.published_step = writer->meta.step;
    }
}

static void *writer_main(void *context)
{
    struct writer *const writer = context;
    (void)pthread_mutex_lock(&writer->lock);
    while (writer->task != WRITER_TASK_LEAVE) {
        const enum writer_task task = writer->task;
        if (task == WRITER_TASK_NONE) {
            (void)pthread_cond_wait(&writer->changed, &writer->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&writer->lock);
        struct error error;
        const enum status status =
            task == WRITER_TASK_PARTS ? parts_write(writer, &error) : publish(writer, &error);
        (void)pthread_mutex_lock(&writer->lock);
        result_note(writer, task, status, &error);
        writer->task = writer->task == WRITER_TASK_LEAVE ? WRITER_TASK_LEAVE : WRITER_TASK_NONE;
        (void)pthread_cond_broadcast(&writer->changed);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return NULL;
}

enum status writer_open(struct writer **writer, const struct writer_options *options,
                        struct error *error)
{
    struct writer *const opened = memory_take(1, sizeof *opened, "checkpoint writer");
    opened->options = *options;
    opened->report = (struct writer_report){-1, -1, -1, "", false};
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&opened->lock, NULL);
    (void)pthread_cond_init(&opened->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (pthread_create(&opened->thread, NULL, writer_main, opened) != 0) {
        memory_release(opened);
        FAIL(error, STATUS_INTERNAL, "could not start the checkpoint writer's thread");
    }
    *writer = opened;
    return STATUS_OK;
}

static void task_set(struct writer *writer, enum writer_task task)
{
    (void)pthread_mutex_lock(&writer->lock);
    INVARIANT(writer->task == WRITER_TASK_NONE || task == WRITER_TASK_LEAVE);
    writer->task = task;
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->lock);
}

void writer_close(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    task_set(writer, WRITER_TASK_LEAVE);
    (void)pthread_join(writer->thread, NULL);
    (void)pthread_cond_destroy(&writer->changed);
    (void)pthread_mutex_destroy(&writer->lock);
    memory_release(writer);
}

void writer_begin(struct writer *writer, const char *partial, const struct checkpoint_meta *meta)
{
    (void)snprintf(writer->partial, sizeof writer->partial, "%s", partial);
    writer->meta = *meta;
    task_set(writer, WRITER_TASK_PARTS);
}

void writer_publish(struct writer *writer)
{
    task_set(writer, WRITER_TASK_PUBLISH);
}

void writer_refuse(struct writer *writer, int64_t step, const char *message)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->report.failed_step = step;
    (void)snprintf(writer->report.message, sizeof writer->report.message, "%s", message);
    (void)pthread_mutex_unlock(&writer->lock);
}

struct writer_report writer_report(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    struct writer_report report = writer->report;
    report.busy = writer->task != WRITER_TASK_NONE;
    (void)pthread_mutex_unlock(&writer->lock);
    return report;
}

enum status writer_wait(struct writer *writer, double limit_seconds, struct error *error)
{
    struct timespec limit;
    (void)clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += (time_t)limit_seconds + 1;
    int waited = 0;
    (void)pthread_mutex_lock(&writer->lock);
    while (writer->task != WRITER_TASK_NONE && waited == 0) {
        waited = pthread_cond_timedwait(&writer->changed, &writer->lock, &limit);
    }
    const bool idle = writer->task == WRITER_TASK_NONE;
    const int64_t step = writer->meta.step;
    (void)pthread_mutex_unlock(&writer->lock);
    if (!idle) {
        FAIL(error, STATUS_TIMEOUT, "waited %.0f s for the checkpoint of step %lld to be written",
             limit_seconds, (long long)step);
    }
    return STATUS_OK;
}
