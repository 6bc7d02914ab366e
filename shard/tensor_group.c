/* See tensor_group.h. */
#include "shard/tensor_group.h"

#include <stdio.h>

#include "base/memory.h"

void tensor_group_init(struct tensor_group *tensor, const struct topology *topology,
                       size_t most_bytes)
{
    *tensor =
        (struct tensor_group){.group = topology->tensor,
                              .member = topology->tensor_member,
                              .count = topology->tensor_count,
                              .first_worker = topology->worker_index - topology->tensor_member};
    if (tensor->count > 1) {
        tensor->received = memory_take(most_bytes, 1, "partial sums of other workers");
        tensor->received_bytes = most_bytes;
    }
}

void tensor_group_deinit(struct tensor_group *tensor)
{
    memory_release(tensor->received);
    *tensor = (struct tensor_group){0};
}

/* Sends to and receives from the member of this round; false once anything has failed. */
static bool round_swap(struct tensor_group *tensor, int64_t round, const void *sent, void *received,
                       size_t size_bytes)
{
    if (tensor->failure.status == STATUS_OK) {
        const int64_t other = tensor->member ^ round;
        struct error error = {0};
        char what[64];
        (void)snprintf(what, sizeof what, "partial sums, from worker %lld",
                       (long long)(tensor->first_worker + other));
        const enum status status =
            fabric_swap(tensor->group, other, sent, received, size_bytes, what, &error);
        if (status != STATUS_OK) {
            tensor->failure = error;
            tensor->failure.status = status;
        }
    }
    return tensor->failure.status == STATUS_OK;
}

void tensor_group_sum(struct tensor_group *tensor, float *values, int64_t count)
{
    const size_t size_bytes = (size_t)count * sizeof *values;
    const float *const other = (const float *)(const void *)tensor->received;
    INVARIANT(size_bytes <= tensor->received_bytes);
    for (int64_t round = 1; round < tensor->count; round *= 2) {
        if (!round_swap(tensor, round, values, tensor->received, size_bytes)) {
            return;
        }
        for (int64_t i = 0; i < count; i++) { /* a + b has the bits of b + a */
            values[i] += other[i];
        }
    }
}

void tensor_group_gather(struct tensor_group *tensor, void *all, size_t size_bytes)
{
    unsigned char *const bytes = all;
    for (int64_t round = 1; round < tensor->count; round *= 2) {
        const size_t own = (size_t)(tensor->member & ~(round - 1)) * size_bytes;
        const size_t others = (size_t)((tensor->member & ~(round - 1)) ^ round) * size_bytes;
        if (!round_swap(tensor, round, bytes + own, bytes + others, (size_t)round * size_bytes)) {
            return;
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
