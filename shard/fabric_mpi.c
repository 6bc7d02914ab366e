/* See fabric.h. Every collective is begun without blocking and then polled, so that each wait has a
 * limit and an idle rank gives its core away: with more workers than cores a spinning wait would
 * starve those who compute. */
#include <assert.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "shard/fabric.h"

enum { GROUP_COUNT_MAX = 64, AGREE_MESSAGE_BYTES = ERROR_MESSAGE_BYTES, PATIENCE_SECONDS = 600 };

struct fabric_group {
    struct fabric *fabric;
    const char *name;
    MPI_Comm communicator;
    int rank;
    int count;
};

struct fabric {
    double limit_seconds;
    struct fabric_duty duty;
    char host[FABRIC_HOST_BYTES];
    char library[FABRIC_HOST_BYTES];
    struct fabric_group groups[GROUP_COUNT_MAX]; /* the first is the world */
    int64_t group_count;
};

static_assert(sizeof(MPI_Request) <= FABRIC_REQUEST_BYTES, "a request handle fits");

static enum status mpi_check(int code, const struct fabric_group *group, const char *what,
                             struct error *error)
{
    if (code == MPI_SUCCESS) {
        return STATUS_OK;
    }
    char reason[MPI_MAX_ERROR_STRING];
    int length = 0;
    (void)MPI_Error_string(code, reason, &length);
    FAIL(error, STATUS_PEER, "%s failed in group \"%s\" (rank %d of %d): %s", what, group->name,
         group->rank, group->count, reason);
}

/* MPI counts are int; more than that in one call is a bug of the caller, which cuts its work into
 * groups. */
static int mpi_count(int64_t count)
{
    INVARIANT(count >= 0 && count <= INT32_MAX);
    return (int)count;
}

static struct fabric_group *group_add(struct fabric *fabric, MPI_Comm communicator,
                                      const char *name)
{
    INVARIANT(fabric->group_count < GROUP_COUNT_MAX);
    struct fabric_group *const group = &fabric->groups[fabric->group_count++];
    *group = (struct fabric_group){.fabric = fabric, .name = name, .communicator = communicator};
    (void)MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN);
    (void)MPI_Comm_rank(communicator, &group->rank);
    (void)MPI_Comm_size(communicator, &group->count);
    return group;
}

static void patience_end(int signal_number)
{
    static const char text[] = "shardlm: waited 600 s for the other processes of the job to enter "
                               "or leave MPI: one of them stands still\n";
    (void)signal_number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(status_exit_code(STATUS_TIMEOUT));
}

/* MPI's own start and end wait for all ranks and know no limit. */
static void patience_begin(void)
{
    (void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = patience_end}, NULL);
    (void)alarm(PATIENCE_SECONDS);
}

enum status fabric_open(struct fabric **fabric, struct error *error)
{
    int provided = 0;
    patience_begin();
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        FAIL(error, STATUS_PEER, "could not join the MPI job");
    }
    (void)alarm(0);
    struct fabric *const opened = memory_take(1, sizeof *opened, "fabric");
    opened->limit_seconds = PATIENCE_SECONDS;
    if (gethostname(opened->host, sizeof opened->host - 1) != 0) {
        (void)snprintf(opened->host, sizeof opened->host, "unknown");
    }
    char library[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    (void)MPI_Get_library_version(library, &length);
    library[strcspn(library, ",")] = '\0';
    (void)snprintf(opened->library, sizeof opened->library, "%.60s", library);
    (void)group_add(opened, MPI_COMM_WORLD, "all ranks");
    *fabric = opened;
    return STATUS_OK;
}

void fabric_close(struct fabric *fabric)
{
    if (fabric == NULL) {
        return;
    }
    patience_begin();
    for (int64_t i = fabric->group_count - 1; i > 0; i--) {
        (void)MPI_Comm_free(&fabric->groups[i].communicator);
    }
    (void)MPI_Finalize();
    (void)alarm(0);
    memory_release(fabric);
}

void fabric_abort(struct fabric *fabric, int exit_code)
{
    (void)fabric;
    (void)MPI_Abort(MPI_COMM_WORLD, exit_code);
    _exit(exit_code);
}

void fabric_limit_set(struct fabric *fabric, double limit_seconds)
{
    fabric->limit_seconds = limit_seconds;
}

void fabric_duty_set(struct fabric *fabric, struct fabric_duty duty)
{
    fabric->duty = duty;
}

const char *fabric_host(const struct fabric *fabric)
{
    return fabric->host;
}

const char *fabric_library(const struct fabric *fabric)
{
    return fabric->library;
}

struct fabric_group *fabric_world(struct fabric *fabric)
{
    return &fabric->groups[0];
}

int64_t fabric_rank(const struct fabric_group *group)
{
    return group->rank;
}

int64_t fabric_count(const struct fabric_group *group)
{
    return group->count;
}

static enum status duty_do(const struct fabric *fabric, struct error *error)
{
    return fabric->duty.call == NULL ? STATUS_OK : fabric->duty.call(fabric->duty.context, error);
}

enum status fabric_poll(struct fabric_group *group, struct error *error)
{
    int found; /* nothing is asked for: looking lets messages move */
    TRY(mpi_check(
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, group->communicator, &found, MPI_STATUS_IGNORE),
        group, "poll", error));
    return duty_do(group->fabric, error);
}

/* Polls until the request is done, up to the limit. */
static enum status request_wait(const struct fabric_group *group, MPI_Request *request,
                                const char *what, struct error *error)
{
    const int64_t start_ns = clock_now_ns();
    for (int64_t polls = 0;; polls++) {
        int done = 0;
        TRY(mpi_check(MPI_Test(request, &done, MPI_STATUS_IGNORE), group, what, error));
        if (done) {
            return STATUS_OK;
        }
        TRY(duty_do(group->fabric, error));
        clock_pause(polls);
        if (clock_seconds_since(start_ns) > group->fabric->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for the other %d ranks of group \"%s\" in %s (rank %d, host %s)",
                 clock_seconds_since(start_ns), group->count - 1, group->name, what, group->rank,
                 group->fabric->host);
        }
    }
}

enum status fabric_split(struct fabric_group *group, int64_t colour, int64_t order,
                         const char *name, struct fabric_group **part, struct error *error)
{
    MPI_Comm communicator = MPI_COMM_NULL;
    const int key = colour < 0 ? MPI_UNDEFINED : mpi_count(colour);
    TRY(mpi_check(MPI_Comm_split(group->communicator, key, mpi_count(order), &communicator), group,
                  "split", error));
    *part = communicator == MPI_COMM_NULL ? NULL : group_add(group->fabric, communicator, name);
    return STATUS_OK;
}

enum status fabric_split_hosts(struct fabric_group *group, const char *name,
                               struct fabric_group **part, struct error *error)
{
    MPI_Comm communicator = MPI_COMM_NULL;
    TRY(mpi_check(MPI_Comm_split_type(group->communicator, MPI_COMM_TYPE_SHARED, group->rank,
                                      MPI_INFO_NULL, &communicator),
                  group, "split by host", error));
    *part = group_add(group->fabric, communicator, name);
    return STATUS_OK;
}

enum status fabric_agree(struct fabric_group *group, enum status status, struct error *error)
{
    struct error dropped;
    struct error *const place = error == NULL ? &dropped : error;
    int64_t lowest = status == STATUS_OK ? group->count : group->rank;
    TRY(fabric_least(group, &lowest, 1, place));
    if (lowest == group->count) {
        return STATUS_OK;
    }
    struct error shared = {0};
    if (lowest == group->rank) {
        shared = *place;
        shared.status = status;
    }
    TRY(fabric_broadcast(group, lowest, &shared, sizeof shared, place));
    shared.message[AGREE_MESSAGE_BYTES - 1] = '\0';
    *place = shared;
    return shared.status;
}

enum status fabric_barrier(struct fabric_group *group, struct error *error)
{
    MPI_Request request;
    TRY(mpi_check(MPI_Ibarrier(group->communicator, &request), group, "barrier", error));
    return request_wait(group, &request, "barrier", error);
}

enum status fabric_broadcast(struct fabric_group *group, int64_t root, void *data,
                             size_t size_bytes, struct error *error)
{
    MPI_Request request;
    TRY(mpi_check(MPI_Ibcast(data, mpi_count((int64_t)size_bytes), MPI_BYTE, mpi_count(root),
                             group->communicator, &request),
                  group, "broadcast", error));
    return request_wait(group, &request, "broadcast", error);
}

enum status fabric_gather_all(struct fabric_group *group, const void *data, void *all,
                              size_t size_bytes, struct error *error)
{
    MPI_Request request;
    const int bytes = mpi_count((int64_t)size_bytes);
    TRY(mpi_check(
        MPI_Iallgather(data, bytes, MPI_BYTE, all, bytes, MPI_BYTE, group->communicator, &request),
        group, "gather", error));
    return request_wait(group, &request, "gather", error);
}

static enum status reduce_all(struct fabric_group *group, int64_t *values, int64_t count, MPI_Op op,
                              const char *what, struct error *error)
{
    MPI_Request request;
    TRY(mpi_check(MPI_Iallreduce(MPI_IN_PLACE, values, mpi_count(count), MPI_INT64_T, op,
                                 group->communicator, &request),
                  group, what, error));
    return request_wait(group, &request, what, error);
}

enum status fabric_sum(struct fabric_group *group, int64_t *values, int64_t count,
                       struct error *error)
{
    return reduce_all(group, values, count, MPI_SUM, "sum", error);
}

enum status fabric_least(struct fabric_group *group, int64_t *values, int64_t count,
                         struct error *error)
{
    return reduce_all(group, values, count, MPI_MIN, "minimum", error);
}

/* Counts and displacements as MPI wants them; both arrays in one block that the caller releases. */
static int *ranges_as_int(const struct fabric_group *group, const int64_t *firsts)
{
    int *const counts = memory_take(2 * (size_t)group->count, sizeof *counts, "range counts");
    for (int i = 0; i < group->count; i++) {
        counts[i] = mpi_count(firsts[i + 1] - firsts[i]);
        counts[group->count + i] = mpi_count(firsts[i] - firsts[0]);
    }
    return counts;
}

enum status fabric_collect_ranges(struct fabric_group *group, int64_t root, const float *own,
                                  float *all, const int64_t *firsts, struct error *error)
{
    int *const counts = ranges_as_int(group, firsts);
    MPI_Request request;
    enum status status = mpi_check(MPI_Igatherv(own, counts[group->rank], MPI_FLOAT, all, counts,
                                                counts + group->count, MPI_FLOAT, mpi_count(root),
                                                group->communicator, &request),
                                   group, "collection of state", error);
    if (status == STATUS_OK) {
        status = request_wait(group, &request, "collection of state", error);
    }
    memory_release(counts);
    return status;
}

enum status fabric_swap(struct fabric_group *group, int64_t other, const void *sent, void *received,
                        size_t size_bytes, const char *what, struct error *error)
{
    enum { TAG = 0 };
    const int bytes = mpi_count((int64_t)size_bytes);
    const int rank = mpi_count(other);
    MPI_Request requests[2];
    TRY(mpi_check(
        MPI_Irecv(received, bytes, MPI_BYTE, rank, TAG, group->communicator, &requests[0]), group,
        what, error));
    TRY(mpi_check(MPI_Isend(sent, bytes, MPI_BYTE, rank, TAG, group->communicator, &requests[1]),
                  group, what, error));
    TRY(request_wait(group, &requests[0], what, error));
    return request_wait(group, &requests[1], what, error);
}

static void request_store(struct fabric_request *request, struct fabric_group *group,
                          MPI_Request handle)
{
    memcpy(request->opaque, &handle, sizeof handle);
    request->group = group;
    request->active = true;
}

enum status fabric_sum_begin(struct fabric_group *group, int64_t *values, int64_t count,
                             struct fabric_request *request, struct error *error)
{
    MPI_Request handle;
    TRY(mpi_check(MPI_Iallreduce(MPI_IN_PLACE, values, mpi_count(count), MPI_INT64_T, MPI_SUM,
                                 group->communicator, &handle),
                  group, "sum of gradients", error));
    request_store(request, group, handle);
    return STATUS_OK;
}

enum status fabric_sum_scatter_begin(struct fabric_group *group, int64_t *values,
                                     const int64_t *firsts, struct fabric_request *request,
                                     struct error *error)
{
    const int ranks = group->count;
    const int64_t count = firsts[group->rank + 1] - firsts[group->rank];
    int *const sent = memory_take(4 * (size_t)ranks, sizeof *sent, "counts of pieces");
    int *const sent_at = sent + ranks;
    int *const received = sent_at + ranks;
    int *const received_at = received + ranks;
    for (int i = 0; i < ranks; i++) {
        const bool other = i != group->rank;
        sent[i] = other ? mpi_count(firsts[i + 1] - firsts[i]) : 0;
        sent_at[i] = mpi_count(firsts[i] - firsts[0]);
        received[i] = other ? mpi_count(count) : 0;
        received_at[i] = mpi_count((i - (i > group->rank)) * count);
    }
    int64_t *const pieces =
        memory_take((size_t)((ranks - 1) * count), sizeof *pieces, "pieces of sums");
    MPI_Request handle;
    const int code = MPI_Ialltoallv(values, sent, sent_at, MPI_INT64_T, pieces, received,
                                    received_at, MPI_INT64_T, group->communicator, &handle);
    const enum status status = mpi_check(code, group, "sum of gradients", error);
    if (status != STATUS_OK) {
        memory_release(sent);
        memory_release(pieces);
        return status;
    }
    request_store(request, group, handle);
    request->counts = sent;
    request->pieces = pieces;
    request->sums = values + sent_at[group->rank];
    request->sum_count = count;
    return STATUS_OK;
}

enum status fabric_gather_ranges(struct fabric_group *group, float *values, const int64_t *firsts,
                                 struct error *error)
{
    int *const counts = ranges_as_int(group, firsts);
    MPI_Request request;
    enum status status =
        mpi_check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values + firsts[0], counts,
                                  counts + group->count, MPI_FLOAT, group->communicator, &request),
                  group, "gather of weights", error);
    if (status == STATUS_OK) {
        status = request_wait(group, &request, "gather of weights", error);
    }
    memory_release(counts);
    return status;
}

enum status fabric_send_begin(struct fabric_group *group, int64_t to, int tag, const float *values,
                              int64_t count, struct fabric_request *request, struct error *error)
{
    MPI_Request handle;
    INVARIANT(!request->active);
    TRY(mpi_check(MPI_Isend(values, mpi_count(count), MPI_FLOAT, mpi_count(to), tag,
                            group->communicator, &handle),
                  group, "send", error));
    request_store(request, group, handle);
    return STATUS_OK;
}

enum status fabric_receive_begin(struct fabric_group *group, int64_t from, int tag, float *values,
                                 int64_t count, struct fabric_request *request, struct error *error)
{
    MPI_Request handle;
    INVARIANT(!request->active);
    TRY(mpi_check(MPI_Irecv(values, mpi_count(count), MPI_FLOAT, mpi_count(from), tag,
                            group->communicator, &handle),
                  group, "receive", error));
    request_store(request, group, handle);
    return STATUS_OK;
}

enum status fabric_signal_take(struct fabric_group *group, int64_t *from, int *tag, bool *found,
                               struct error *error)
{
    MPI_Status sender;
    int came = 0;
    TRY(mpi_check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, group->communicator, &came, &sender),
                  group, "look for a signal", error));
    *found = came != 0;
    if (!*found) {
        return STATUS_OK;
    }
    *from = sender.MPI_SOURCE;
    *tag = sender.MPI_TAG;
    return mpi_check(MPI_Recv(NULL, 0, MPI_FLOAT, sender.MPI_SOURCE, sender.MPI_TAG,
                              group->communicator, MPI_STATUS_IGNORE),
                     group, "take a signal", error);
}

static void pieces_add(const struct fabric_request *request)
{
    const int64_t count = request->sum_count;
    for (int64_t r = 0; r < (count == 0 ? 0 : request->group->count - 1); r++) {
        for (int64_t i = 0; i < count; i++) {
            request->sums[i] += request->pieces[r * count + i];
        }
    }
}

static void request_finish(struct fabric_request *request)
{
    pieces_add(request);
    memory_release(request->counts);
    memory_release(request->pieces);
    *request = (struct fabric_request){0};
}

enum status fabric_test(struct fabric_request *request, bool *done, struct error *error)
{
    *done = true;
    if (!request->active) {
        return STATUS_OK;
    }
    MPI_Request handle;
    memcpy(&handle, request->opaque, sizeof handle);
    int complete = 0;
    TRY(mpi_check(MPI_Test(&handle, &complete, MPI_STATUS_IGNORE), request->group,
                  "sum or gather under way", error));
    memcpy(request->opaque, &handle, sizeof handle);
    *done = complete != 0;
    if (*done) {
        request_finish(request);
    }
    return STATUS_OK;
}

enum status fabric_wait(struct fabric_request *request, const char *what, struct error *error)
{
    if (!request->active) {
        return STATUS_OK;
    }
    MPI_Request handle;
    memcpy(&handle, request->opaque, sizeof handle);
    const enum status status = request_wait(request->group, &handle, what, error);
    memcpy(request->opaque, &handle, sizeof handle);
    if (status == STATUS_OK) {
        request_finish(request);
    }
    return status;
}
