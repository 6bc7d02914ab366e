/* See message.h. */
#include "coordinator/message.h"

#include <assert.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian");
static_assert(sizeof(struct message) == 16 + 6 * 8 + MESSAGE_VALUES * 8 + MESSAGE_REALS * 8 +
                                            MESSAGE_FINGERPRINT_BYTES + MESSAGE_TEXT_BYTES,
              "a record has no padding");

const char *message_phase_name(int32_t phase)
{
    static const char *const names[MESSAGE_PHASE_COUNT] = {
        "start", "idle", "data", "compute", "reduce", "update", "evaluate", "snapshot", "drain"};
    return phase >= 0 && phase < MESSAGE_PHASE_COUNT ? names[phase] : "unknown";
}

bool message_from_worker(const struct message *message)
{
    return message->kind >= MESSAGE_KIND_HELLO && message->kind <= MESSAGE_KIND_FAILED;
}

bool message_from_operator(const struct message *message)
{
    return message->kind >= MESSAGE_KIND_STATUS && message->kind <= MESSAGE_KIND_WORKERS;
}

struct message message_make(enum message_kind kind, int64_t worker, int64_t step)
{
    struct message message = {.magic = MESSAGE_MAGIC,
                              .version = MESSAGE_VERSION,
                              .kind = (uint16_t)kind,
                              .worker = (int32_t)worker,
                              .step = step,
                              .slot = -1,
                              .publish_step = -1};
    message.values[MESSAGE_VALUE_WRITTEN] = -1;
    message.values[MESSAGE_VALUE_PUBLISHED] = -1;
    message.values[MESSAGE_VALUE_WRITE_FAILED] = -1;
    return message;
}

bool message_valid(const void *data, size_t size_bytes, int64_t worker_count)
{
    struct message message;
    if (size_bytes != sizeof message) {
        return false;
    }
    memcpy(&message, data, sizeof message);
    return message.magic == MESSAGE_MAGIC && message.version == MESSAGE_VERSION &&
           message.kind >= MESSAGE_KIND_HELLO && message.kind < MESSAGE_KIND_COUNT &&
           message.worker >= 0 && message.worker < worker_count && message.step >= 0 &&
           message.phase >= 0 && message.phase < MESSAGE_PHASE_COUNT &&
           memchr(message.fingerprint, '\0', sizeof message.fingerprint) != NULL &&
           memchr(message.text, '\0', sizeof message.text) != NULL;
}
