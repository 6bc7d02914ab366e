/* See head_record.h. */
#include "coordinator/head_record.h"

#include "base/error.h"

static struct head_record head_gather(const struct message *ready, enum message_real loss,
                                      enum message_value count, enum message_value correct)
{
    const int64_t n = ready->values[count];
    return (struct head_record){.loss = ready->reals[loss],
                                .accuracy = n > 0 ? (double)ready->values[correct] / (double)n : 0,
                                .count = n};
}

struct head_records heads_gather(const struct message *ready)
{
    return (struct head_records){
        .pairs = head_gather(ready, MESSAGE_REAL_PAIR_LOSS, MESSAGE_VALUE_PAIRS,
                             MESSAGE_VALUE_PAIRS_CORRECT),
        .spans = head_gather(ready, MESSAGE_REAL_SPAN_LOSS, MESSAGE_VALUE_SPANS,
                             MESSAGE_VALUE_SPANS_CORRECT),
    };
}

static void head_note(json_t *line, const struct head_record *head, const char *loss,
                      const char *accuracy, const char *count)
{
    if (head->count > 0) {
        json_t *const fields = json_pack("{s:f, s:f, s:I}", loss, head->loss, accuracy,
                                         head->accuracy, count, (json_int_t)head->count);
        INVARIANT(fields != NULL && json_object_update(line, fields) == 0);
        json_decref(fields);
    }
}

void heads_note(json_t *line, const struct head_records *heads)
{
    head_note(line, &heads->pairs, "pair_loss", "pair_accuracy", "pairs");
    head_note(line, &heads->spans, "span_loss", "span_accuracy", "spans");
}
