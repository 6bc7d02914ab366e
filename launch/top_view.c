/* See top_view.h. */
#include "launch/top_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "launch/run_journal.h"

enum { BAR_COLUMNS = 24, WAIT_COLUMNS = 12, SPARK_COLUMNS = 60, SPARK_LEVELS = 8 };

static int64_t integer_of(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static void loss_add(struct top_view *view, double loss)
{
    if (view->loss_count == TOP_LOSSES_MAX) {
        memmove(view->losses, view->losses + 1, (TOP_LOSSES_MAX - 1) * sizeof *view->losses);
        view->loss_count--;
    }
    view->losses[view->loss_count++] = loss;
}

void top_view_take(void *context, const json_t *line)
{
    struct top_view *const view = context;
    const int64_t step = run_journal_step(line);
    if (step >= 0) {
        /* After a kill, steps are done again: the curve goes back to where they begin. */
        const int64_t again = view->step - step + 1;
        view->loss_count -= again > view->loss_count ? view->loss_count : again > 0 ? again : 0;
        view->step = step;
        view->tokens_per_second = real_of(line, "tokens_per_second");
        loss_add(view, real_of(line, "loss"));
        return;
    }
    const char *const event = text_of(line, "event");
    if (strcmp(event, "checkpoint") != 0 && strcmp(event, "evaluation") != 0 && event[0] != '\0') {
        (void)snprintf(view->event, sizeof view->event, "%s at step %" PRId64 "%s%s", event,
                       integer_of(line, "step"), text_of(line, "text")[0] == '\0' ? "" : ": ",
                       text_of(line, "text"));
    }
}

void top_view_spark(const double *values, int64_t count, int64_t columns, bool blocks,
                    struct text *out)
{
    static const char *const unicode[SPARK_LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[SPARK_LEVELS] = {"_", ".", ",", "-", "~", "=", "^", "#"};
    double least = 0;
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        least = i == 0 || values[i] < least ? values[i] : least;
        most = i == 0 || values[i] > most ? values[i] : most;
    }
    const int64_t shown = count < columns ? count : columns;
    for (int64_t column = 0; column < shown; column++) {
        const int64_t first = column * count / shown;
        const int64_t end = (column + 1) * count / shown;
        double sum = 0;
        for (int64_t i = first; i < end; i++) {
            sum += values[i];
        }
        const double mean = sum / (double)(end - first);
        const double share = most > least ? (mean - least) / (most - least) : 0;
        const int64_t level = (int64_t)(share * (SPARK_LEVELS - 1) + 0.5);
        text_add(out, "%s", blocks ? unicode[level] : plain[level]);
    }
}

static void bar_add(struct text *out, double share, int columns)
{
    const int full = (int)(share * columns + 0.5);
    text_add(out, "[");
    for (int i = 0; i < columns; i++) {
        text_add(out, i < full ? "#" : ".");
    }
    text_add(out, "]");
}

static void workers_add(const json_t *workers, struct text *out)
{
    text_add(out, "\n%6s  %-16s %-9s %8s %6s %6s %9s  %s\n", "worker", "host", "phase", "step",
             "slot", "slots", "s a slot", "waits");
    size_t index;
    json_t *worker;
    json_array_foreach(workers, index, worker)
    {
        char slot[24] = "-";
        if (integer_of(worker, "slot") >= 0) {
            (void)snprintf(slot, sizeof slot, "%" PRId64, integer_of(worker, "slot"));
        }
        text_add(out, "%6zu  %-16.16s %-9s %8" PRId64 " %6s %6" PRId64 " %9.3f  ", index,
                 text_of(worker, "host"), text_of(worker, "phase"), integer_of(worker, "step"),
                 slot, integer_of(worker, "slots"), real_of(worker, "slot_seconds"));
        bar_add(out, real_of(worker, "wait_share"), WAIT_COLUMNS);
        text_add(out, " %3.0f %%", 100.0 * real_of(worker, "wait_share"));
        if (real_of(worker, "silent_seconds") > 3) {
            text_add(out, "  silent for %.0f s", real_of(worker, "silent_seconds"));
        }
        text_add(out, "\n");
    }
}

static void losses_add(const struct top_view *view, struct text *out)
{
    if (view->loss_count == 0) {
        return;
    }
    text_add(out, "loss %.4f  ", view->losses[view->loss_count - 1]);
    top_view_spark(view->losses, view->loss_count, SPARK_COLUMNS, view->blocks, out);
    text_add(out, "  last %" PRId64 " steps\n", view->loss_count);
}

static void job_add(const json_t *answer, struct text *out)
{
    const int64_t step = integer_of(answer, "step");
    const int64_t last = integer_of(answer, "last_step");
    const double share = last > 0 ? (double)step / (double)last : 0;
    char left[CLOCK_TEXT_BYTES];
    clock_duration_text(real_of(answer, "seconds_left"), left);
    bar_add(out, share, BAR_COLUMNS);
    text_add(out, " %3.0f %%  step %" PRId64 "/%" PRId64 "  %s left\n", 100.0 * share, step, last,
             left);
    text_add(out, "%.0f tokens/s  %.3f s a step  rate %.2e  norm %.2f",
             real_of(answer, "tokens_per_second"), real_of(answer, "step_seconds"),
             real_of(answer, "rate"), real_of(answer, "norm"));
    if (integer_of(answer, "published_step") >= 0) {
        text_add(out, "  checkpoint %" PRId64, integer_of(answer, "published_step"));
    }
    if (integer_of(answer, "writing_step") >= 0) {
        text_add(out, "  writing %" PRId64, integer_of(answer, "writing_step"));
    }
    text_add(out, "%s\n",
             json_is_true(json_object_get(answer, "write_failed"))
                 ? "  THE LAST CHECKPOINT WAS NOT WRITTEN"
                 : "");
}

void top_view_text(const struct top_view *view, const json_t *answer, struct text *out)
{
    text_add(out, "%s: %s\n", view->run,
             answer == NULL ? "no job works on it" : text_of(answer, "state"));
    if (answer != NULL) {
        job_add(answer, out);
    } else {
        text_add(out, "step %" PRId64 "\n", view->step);
    }
    losses_add(view, out);
    if (view->event[0] != '\0') {
        text_add(out, "last event: %s\n", view->event);
    }
    if (answer != NULL) {
        workers_add(json_object_get(answer, "workers"), out);
    }
}

json_t *top_view_json(const struct top_view *view, const json_t *answer)
{
    json_t *const object =
        answer != NULL ? json_copy((json_t *)(uintptr_t)answer)
                       : json_pack("{s:s, s:I}", "state", "ended", "step", (json_int_t)view->step);
    json_t *const losses = json_array();
    for (int64_t i = 0; i < view->loss_count; i++) {
        INVARIANT(json_array_append_new(losses, json_real(view->losses[i])) == 0);
    }
    INVARIANT(json_object_set_new(object, "losses", losses) == 0);
    INVARIANT(json_object_set_new(object, "event", json_string(view->event)) == 0);
    return object;
}
