/* coordinator/message: records off the wire; what passes has texts that end and an index in range.
 * And the answers that an operator's shell reads. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/message.h"
#include "launch/top_view.h"
#include "tests/fuzz/fuzz.h"

enum { WORKERS = 3 };

static void record_use(const uint8_t *data, size_t size)
{
    struct message message;
    if (!message_valid(data, size, WORKERS)) {
        return;
    }
    memcpy(&message, data, sizeof message);
    const bool bounded = strlen(message.text) < sizeof message.text &&
                         strlen(message.fingerprint) < sizeof message.fingerprint &&
                         message.worker >= 0 && message.worker < WORKERS && message.step >= 0;
    if (!bounded || (message_from_worker(&message) && message_from_operator(&message)) ||
        message_phase_name(message.phase) == NULL) {
        abort();
    }
}

static void answer_use(const uint8_t *data, size_t size)
{
    json_t *answer;
    struct error error;
    if (json_read_text("answer", (const char *)data, size, &answer, &error) != STATUS_OK) {
        return;
    }
    struct top_view view = {.run = "run"};
    struct text text = {0};
    top_view_take(&view, answer);
    top_view_text(&view, json_is_object(answer) ? answer : NULL, &text);
    text_deinit(&text);
    json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    record_use(data, size);
    answer_use(data, size);
    return 0;
}
