/* The background writer of a worker: one thread that writes parts of a snapshot and, on worker 0,
 * publishes checkpoints, while the step loop computes. It is the only user of HDF5 in the process
 * once training runs. */
#ifndef SHARDLM_WORKER_WRITER_H
#define SHARDLM_WORKER_WRITER_H

#include "base/fault.h"
#include "checkpoints/catalog.h"
#include "checkpoints/snapshot.h"

struct writer;

/* What stays the same for all checkpoints of a run; everything is borrowed until close. */
struct writer_options {
    const struct snapshot *snapshot;
    const struct parameter_table *table;
    const char *root; /* RUN/checkpoints */
    const char *config_text;
    const char *tokenizer_folder; /* or NULL */
    struct checkpoint_options retention;
    const struct fault *fault; /* or NULL */
};

struct writer_report {
    int64_t written_step;              /* newest step whose parts are written here; -1: none */
    int64_t published_step;            /* -1: none */
    int64_t failed_step;               /* newest step that failed here; -1: none */
    char message[ERROR_MESSAGE_BYTES]; /* why */
    bool busy;                         /* something is being written just now */
};

MUST_CHECK enum status writer_open(struct writer **writer, const struct writer_options *options,
                                   struct error *error);
void writer_close(struct writer *writer); /* waits for what is under way; accepts NULL */
/* Begins to write this worker's groups of the snapshot of meta->step into `partial`. Not while
 * busy. */
void writer_begin(struct writer *writer, const char *partial, const struct checkpoint_meta *meta);
/* Begins to publish the checkpoint begun last, then removes what retention does not keep. */
void writer_publish(struct writer *writer);
/* Notes a failure that happened before writing could begin. */
void writer_refuse(struct writer *writer, int64_t step, const char *message);
struct writer_report writer_report(struct writer *writer);
/* STATUS_TIMEOUT after limit_seconds. */
MUST_CHECK enum status writer_wait(struct writer *writer, double limit_seconds,
                                   struct error *error);

#endif
