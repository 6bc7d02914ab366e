/* bench step: how fast training steps are, under the same job as `train`, with nothing written. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/print.h"
#include "launch/run_folder.h"
#include "launch/supervise.h"

enum { BENCH_STEPS_MAX = 1000, WORKERS_MAX = 65536 };

/* Documents of mixed length do not fill every step alike. */
struct bench_step {
    double seconds;
    double tokens;
    double flops;
};

struct bench {
    const struct command_line *line;
    struct config config;
    struct bench_step steps[BENCH_STEPS_MAX];
    int64_t count;
    double memory_bytes;
    double worker_bytes;
    double node_bytes;
    double peak_flops;
    double exact_share; /* mean */
};

/* The first step warms up: pages, caches, BLAS buffers. */
static void step_note(void *context, const struct step_record *record)
{
    struct bench *const bench = context;
    bench->memory_bytes = record->memory_bytes;
    bench->worker_bytes = record->worker_bytes;
    bench->node_bytes = record->node_bytes;
    if (record->step == 1 || bench->count == BENCH_STEPS_MAX) {
        return;
    }
    bench->steps[bench->count++] = (struct bench_step){
        .seconds = record->seconds, .tokens = (double)record->tokens, .flops = record->flops};
    bench->peak_flops = record->peak_flops;
    bench->exact_share += record->exact_share;
}

static enum status bench_prepare(void *context, struct job_options *options, struct error *error)
{
    struct bench *const bench = context;
    const char *sets[COMMAND_LINE_REPEATS_MAX];
    const int64_t count = command_line_texts(bench->line, "set", sets);
    TRY(config_read(bench->line->arguments[0], sets, count, &bench->config, error));
    TRY(run_config_resolve(&bench->config, error));
    int64_t steps;
    TRY(command_line_integer(bench->line, "steps", 2, BENCH_STEPS_MAX, 6, &steps, error));
    *options = (struct job_options){
        .config = &bench->config,
        .last_step = steps,
        .listener = {.step = step_note, .context = bench},
    };
    return STATUS_OK;
}

/* The most tokens a second first. */
static int step_compare(const void *a, const void *b)
{
    const struct bench_step *const first = a;
    const struct bench_step *const second = b;
    const double difference = first->tokens / first->seconds - second->tokens / second->seconds;
    return difference > 0 ? -1 : difference < 0 ? 1 : 0;
}

static void bench_print(struct bench *bench)
{
    qsort(bench->steps, (size_t)bench->count, sizeof *bench->steps, step_compare);
    const struct bench_step *const best = &bench->steps[0];
    const struct bench_step *const median = &bench->steps[bench->count / 2];
    const struct model_options *const model = &bench->config.model;
    json_t *const line = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "L",
        (json_int_t)model->layers, "H", (json_int_t)model->hidden, "V",
        (json_int_t)model->vocabulary, "T", (json_int_t)bench->config.data.sequence_tokens,
        "tokens", (json_int_t)best->tokens, "workers", (json_int_t)(job_world() - 1), "tok_s",
        best->tokens / best->seconds, "tok_s_med", median->tokens / median->seconds, "gfs",
        best->flops / best->seconds * 1e-9, "gfs_med", median->flops / median->seconds * 1e-9,
        "peak_gfs", bench->peak_flops * 1e-9, "peak_mb", bench->memory_bytes * 1e-6, "worker_mb",
        bench->worker_bytes * 1e-6, "node_mb", bench->node_bytes * 1e-6, "exact_share",
        bench->exact_share / (double)bench->count);
    print_json(line);
}

static enum status bench_as_rank(struct bench *bench, struct error *error)
{
    struct coordinator_result result = {0};
    const enum status status = job_run(bench_prepare, bench, &result, error);
    if (status == STATUS_OK && bench->count > 0) {
        bench_print(bench);
    }
    return status;
}

static enum status bench_step_run(const struct command_line *line, struct error *error)
{
    struct bench *const bench = memory_take(1, sizeof *bench, "step benchmark");
    bench->line = line;
    enum status status;
    if (job_is_child()) {
        status = bench_as_rank(bench, error);
    } else {
        int64_t workers;
        struct job_options checked;
        status = bench_prepare(bench, &checked, error);
        if (status == STATUS_OK) {
            status = command_line_integer(line, "workers", 1, WORKERS_MAX, 0, &workers, error);
        }
        if (status == STATUS_OK) {
            const struct supervision once = {
                .line = line, .workers = workers, .hostfile = command_line_text(line, "hostfile")};
            status = supervise(&once, error);
        }
    }
    memory_release(bench);
    return status;
}

static const struct command_option bench_step_options[] = {
    {.name = "workers", .argument = "N", .help = "workers to start; one for each core by default"},
    {.name = "steps", .argument = "N", .help = "steps to run, the first not counted; 6 by default"},
    {.name = "set",
     .argument = "KEY=VALUE",
     .help = "change a key of the configuration",
     .repeats = true},
    {.name = "hostfile", .argument = "FILE", .help = "mpirun's list of hosts"},
};

const struct command command_bench_step = {
    .name = "bench step",
    .arguments = "CONFIG",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "measure training steps",
    .detail = "Prints one JSON line: tok_s (best step), tok_s_med (median), gfs (useful GFLOP/s of "
              "the best step), peak_gfs (matrix products of all workers), peak_mb (resident memory "
              "of all workers, shared memory counted once), worker_mb (private memory of the "
              "largest worker), node_mb (shared memory of the largest node), exact_share (of the "
              "workers' time that went into exact sums). With data.corpus: synthetic and "
              "model.vocabulary: N no files are needed.",
    .options = bench_step_options,
    .option_count = ARRAY_LENGTH(bench_step_options),
    .run = bench_step_run,
};
