/* bench/network: what the data plane makes of the wire between two or more ranks, by the calls that
 * a step makes: the time of a small message there and back, halved, and the bytes a second of a
 * scattered sum of 64-bit integers and of a gather of floats.
 *
 *     mpirun -n 2 --mca btl tcp,self build/bench_network     (loopback; with --host: a real
 * network)
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "shard/fabric.h"

enum { ELEMENTS = 1 << 22, MESSAGES = 2000, ROUNDS = 5 };

static enum status message_seconds(struct fabric_group *world, double *seconds, struct error *error)
{
    int64_t sent = 0;
    int64_t received;
    const int64_t rank = fabric_rank(world);
    int64_t best_ns = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        TRY(fabric_barrier(world, error));
        const int64_t start_ns = clock_now_ns();
        for (int i = 0; i < MESSAGES && rank < 2; i++) {
            TRY(fabric_swap(world, 1 - rank, &sent, &received, sizeof sent, "message", error));
        }
        const int64_t taken_ns = clock_now_ns() - start_ns;
        best_ns = taken_ns < best_ns ? taken_ns : best_ns;
    }
    *seconds = (double)best_ns * 1e-9 / MESSAGES;
    return STATUS_OK;
}

/* The best of several rounds of the sum and of the gather. */
static enum status bulk_seconds(struct fabric_group *world, double *sum, double *gather,
                                struct error *error)
{
    const int64_t ranks = fabric_count(world);
    int64_t *const values = memory_take(ELEMENTS, sizeof *values, "benchmark");
    float *const floats = memory_take(ELEMENTS, sizeof *floats, "benchmark");
    int64_t *const firsts = memory_take((size_t)ranks + 1, sizeof *firsts, "benchmark");
    for (int64_t r = 0; r <= ranks; r++) {
        firsts[r] = ELEMENTS * r / ranks;
    }
    enum status status = STATUS_OK;
    *sum = *gather = 1e9;
    for (int round = 0; round < ROUNDS && status == STATUS_OK; round++) {
        struct fabric_request request = {0};
        status = fabric_barrier(world, error);
        int64_t start_ns = clock_now_ns();
        if (status == STATUS_OK) {
            status = fabric_sum_scatter_begin(world, values, firsts, &request, error);
        }
        if (status == STATUS_OK) {
            status = fabric_wait(&request, "sum", error);
        }
        const double sum_seconds = clock_seconds_since(start_ns);
        start_ns = clock_now_ns();
        if (status == STATUS_OK) {
            status = fabric_gather_ranges(world, floats, firsts, error);
        }
        const double gather_seconds = clock_seconds_since(start_ns);
        *sum = sum_seconds < *sum ? sum_seconds : *sum;
        *gather = gather_seconds < *gather ? gather_seconds : *gather;
    }
    memory_release(values);
    memory_release(floats);
    memory_release(firsts);
    return status;
}

static enum status measure(struct fabric *fabric, struct error *error)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t ranks = fabric_count(world);
    if (ranks < 2) {
        FAIL(error, STATUS_INPUT, "start it with mpirun -n 2 or more");
    }
    double message;
    double sum;
    double gather;
    TRY(message_seconds(world, &message, error));
    TRY(bulk_seconds(world, &sum, &gather, error));
    const double moved = (double)ELEMENTS * (double)(ranks - 1) / (double)ranks;
    if (fabric_rank(world) == 0) {
        (void)printf("%d ranks: %.1f us a message, sums of 64-bit integers %.2f GB/s, gathers of "
                     "floats %.2f GB/s sent by each rank\n",
                     (int)ranks, message * 1e6, 8.0 * moved / sum * 1e-9,
                     4.0 * moved / gather * 1e-9);
    }
    return STATUS_OK;
}

int main(void)
{
    struct fabric *fabric;
    struct error error = {0};
    if (fabric_open(&fabric, &error) != STATUS_OK) {
        (void)fprintf(stderr, "bench_network: %s\n", error.message);
        return 1;
    }
    if (measure(fabric, &error) != STATUS_OK) {
        (void)fprintf(stderr, "bench_network: %s\n", error.message);
        fabric_abort(fabric, 1);
    }
    fabric_close(fabric);
    return 0;
}
