/* See tensor_group.h. */
#include "shard/tensor_group.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

enum {
    PIECE_BYTES = 1 << 20,
    LINE_BYTES = 64,
    POLLS_A_PAUSE = 64, /* the other is about to come: stay awake for some milliseconds */
};

/* The counters are apart, so that one who polls does not slow down one who copies. */
struct tensor_place {
    _Alignas(LINE_BYTES) _Atomic int64_t given; /* meetings for which `data` was filled */
    _Alignas(LINE_BYTES) _Atomic int64_t taken; /* meetings in which the other's was read */
    _Alignas(LINE_BYTES) unsigned char data[PIECE_BYTES];
};

static struct tensor_place *place_of(const struct tensor_group *tensor, int64_t member)
{
    return (struct tensor_place *)(void *)tensor->window.data + member;
}

static enum status memory_share(struct tensor_group *tensor, struct error *error)
{
    const size_t place_bytes = sizeof(struct tensor_place);
    TRY(window_open(&tensor->window, tensor->group, (size_t)tensor->count * place_bytes,
                    "partial sums", error));
    const enum status reserved = window_reserve(
        &tensor->window, (size_t)tensor->member * place_bytes, place_bytes, "partial sums", error);
    return fabric_agree(tensor->group, reserved, error);
}

enum status tensor_group_init(struct tensor_group *tensor, const struct topology *topology,
                              double limit_seconds, struct error *error)
{
    *tensor =
        (struct tensor_group){.group = topology->tensor,
                              .member = topology->tensor_member,
                              .count = topology->tensor_count,
                              .first_worker = topology->worker_index - topology->tensor_member,
                              .limit_seconds = limit_seconds};
    if (tensor->count == 1) {
        return STATUS_OK;
    }
    int64_t nodes[] = {topology->node_index, -topology->node_index};
    TRY(fabric_least(tensor->group, nodes, ARRAY_LENGTH(nodes), error));
    if (nodes[0] == -nodes[1]) {
        return memory_share(tensor, error);
    }
    tensor->received = memory_take(PIECE_BYTES, 1, "partial sums of other workers");
    return STATUS_OK;
}

void tensor_group_deinit(struct tensor_group *tensor)
{
    window_close(&tensor->window);
    memory_release(tensor->received);
    *tensor = (struct tensor_group){0};
}

/* Waits until a member's counter has come to `value`. */
static enum status counter_wait(const struct tensor_group *tensor, _Atomic int64_t *counter,
                                int64_t value, int64_t member, struct error *error)
{
    const int64_t start_ns = clock_now_ns();
    for (int64_t polls = 0; atomic_load_explicit(counter, memory_order_acquire) < value; polls++) {
        if (polls % POLLS_A_PAUSE == POLLS_A_PAUSE - 1) { /* the other may wait for sums */
            TRY(fabric_poll(tensor->group, error));
        }
        clock_pause(polls / POLLS_A_PAUSE);
        if (clock_seconds_since(start_ns) > tensor->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT, "waited %.0f s for partial sums, from worker %lld",
                 clock_seconds_since(start_ns), (long long)(tensor->first_worker + member));
        }
    }
    return STATUS_OK;
}

/* Gives `sent` to the other and waits for what it gives. */
static enum status memory_meet(struct tensor_group *tensor, int64_t other, const void *sent,
                               size_t size_bytes, struct error *error)
{
    struct tensor_place *const own = place_of(tensor, tensor->member);
    const int64_t meeting = tensor->meetings + 1;
    if (tensor->meetings > 0) { /* who read the piece before is through with it */
        TRY(counter_wait(tensor, &place_of(tensor, tensor->last_met)->taken, tensor->meetings,
                         tensor->last_met, error));
    }
    memcpy(own->data, sent, size_bytes);
    atomic_store_explicit(&own->given, meeting, memory_order_release);
    tensor->meetings = meeting;
    tensor->last_met = other;
    return counter_wait(tensor, &place_of(tensor, other)->given, meeting, other, error);
}

static enum status message_meet(const struct tensor_group *tensor, int64_t other, const void *sent,
                                size_t size_bytes, struct error *error)
{
    char what[64];
    (void)snprintf(what, sizeof what, "partial sums, from worker %lld",
                   (long long)(tensor->first_worker + other));
    return fabric_swap(tensor->group, other, sent, tensor->received, size_bytes, what, error);
}

/* What the member of this round has where this one has `sent`, to be read before meeting_end; NULL
 * once anything has failed. */
static const void *meeting_begin(struct tensor_group *tensor, int64_t round, const void *sent,
                                 size_t size_bytes)
{
    const int64_t other = tensor->member ^ round;
    struct error error = {0};
    if (tensor->failure.status != STATUS_OK) {
        return NULL;
    }
    const bool shared = tensor->window.data != NULL;
    const enum status status = shared ? memory_meet(tensor, other, sent, size_bytes, &error)
                                      : message_meet(tensor, other, sent, size_bytes, &error);
    if (status != STATUS_OK) {
        tensor->failure = error;
        tensor->failure.status = status;
        return NULL;
    }
    return shared ? place_of(tensor, other)->data : tensor->received;
}

static void meeting_end(struct tensor_group *tensor)
{
    if (tensor->window.data != NULL) {
        atomic_store_explicit(&place_of(tensor, tensor->member)->taken, tensor->meetings,
                              memory_order_release);
    }
}

void tensor_group_sum(struct tensor_group *tensor, float *values, int64_t count)
{
    enum { PIECE_COUNT = PIECE_BYTES / sizeof(float) };
    for (int64_t round = 1; round < tensor->count; round *= 2) {
        for (int64_t first = 0; first < count; first += PIECE_COUNT) {
            const int64_t piece = count - first < PIECE_COUNT ? count - first : PIECE_COUNT;
            const float *const other =
                meeting_begin(tensor, round, values + first, (size_t)piece * sizeof *values);
            if (other == NULL) {
                return;
            }
            for (int64_t i = 0; i < piece; i++) { /* a + b has the bits of b + a */
                values[first + i] += other[i];
            }
            meeting_end(tensor);
        }
    }
}

void tensor_group_gather(struct tensor_group *tensor, void *all, size_t size_bytes)
{
    for (int64_t round = 1; round < tensor->count; round *= 2) {
        const int64_t first = tensor->member & ~(round - 1); /* whose data are here by now */
        const unsigned char *const own = (unsigned char *)all + (size_t)first * size_bytes;
        unsigned char *const others = (unsigned char *)all + (size_t)(first ^ round) * size_bytes;
        const size_t whole = (size_t)round * size_bytes;
        for (size_t done = 0; done < whole; done += PIECE_BYTES) {
            const size_t piece = whole - done < PIECE_BYTES ? whole - done : PIECE_BYTES;
            const void *const other = meeting_begin(tensor, round, own + done, piece);
            if (other == NULL) {
                return;
            }
            memcpy(others + done, other, piece);
            meeting_end(tensor);
        }
    }
}

enum status tensor_group_check(struct tensor_group *tensor, struct error *error)
{
    if (tensor->failure.status == STATUS_OK) {
        return STATUS_OK;
    }
    const enum status status = tensor->failure.status;
    *error = tensor->failure;
    tensor->failure = (struct error){0};
    return status;
}
