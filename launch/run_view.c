/* See run_view.h. */
#include "launch/run_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { NOTE_BYTES = 256, HEAD_BYTES = 64 };
static const double line_interval_seconds = 1.0;

/* Ranks write into mpirun's pipe; the supervisor has looked whether a terminal is behind it. */
static bool terminal_behind(void)
{
    const char *const told = getenv("SHARDLM_TERMINAL");
    return told != NULL ? strcmp(told, "1") == 0 : isatty(STDERR_FILENO) != 0;
}

void run_view_init(struct run_view *view)
{
    *view = (struct run_view){.terminal = terminal_behind()};
}

/* "  pairs 0.6712 (58 %)", or nothing where there is no such head. */
static void head_text(const struct head_record *head, const char *name, char text[HEAD_BYTES])
{
    text[0] = '\0';
    if (head->count > 0) {
        (void)snprintf(text, HEAD_BYTES, "  %s %.4f (%.1f %%)", name, head->loss,
                       100.0 * head->accuracy);
    }
}

static void step_note(const struct step_record *record, char note[NOTE_BYTES])
{
    const double flops = record->flops / record->seconds;
    char share[32] = "";
    if (record->peak_flops > 0) {
        (void)snprintf(share, sizeof share, " (%.0f %% of peak)",
                       100.0 * flops / record->peak_flops);
    }
    char pairs[HEAD_BYTES];
    char spans[HEAD_BYTES];
    head_text(&record->heads.pairs, "pairs", pairs);
    head_text(&record->heads.spans, "spans", spans);
    (void)snprintf(note, NOTE_BYTES, "loss %.4f%s%s  rate %.2e  norm %.2f  %.0f tok/s  %.1f GF/s%s",
                   record->loss, pairs, spans, record->rate, record->norm,
                   (double)record->tokens / record->seconds, flops * 1e-9, share);
}

static void step_show(void *context, const struct step_record *record)
{
    struct run_view *const view = context;
    char note[NOTE_BYTES];
    step_note(record, note);
    view->seconds += record->seconds;
    view->steps++;
    if (view->terminal) {
        if (!view->begun) {
            progress_start(&view->progress, "pretrain", "steps", (double)(record->step - 1),
                           (double)record->last_step);
            view->progress.terminal = true;
            view->begun = true;
        }
        progress_update(&view->progress, (double)record->step, note);
        return;
    }
    const bool edge = view->shown_ns == 0 || record->step == record->last_step;
    if (!edge && clock_seconds_since(view->shown_ns) < line_interval_seconds) {
        return;
    }
    view->shown_ns = clock_now_ns();
    char left[CLOCK_TEXT_BYTES];
    clock_duration_text(
        view->seconds / (double)view->steps * (double)(record->last_step - record->step), left);
    (void)fprintf(stderr, "step %" PRId64 "/%" PRId64 "  %s  %s left\n", record->step,
                  record->last_step, note, left);
}

static void line_show(struct run_view *view, const char *text)
{
    (void)fprintf(stderr, "%s%s\n", view->terminal && view->begun ? "\r\033[K" : "", text);
}

static void evaluation_show(void *context, const struct evaluation_record *record)
{
    char text[NOTE_BYTES];
    char pairs[HEAD_BYTES];
    char spans[HEAD_BYTES];
    head_text(&record->heads.pairs, "pairs", pairs);
    head_text(&record->heads.spans, "spans", spans);
    (void)snprintf(
        text, sizeof text,
        "step %" PRId64 ": held-out loss %.4f, accuracy %.1f %%, %" PRId64 " predictions%s%s",
        record->step, record->loss, 100.0 * record->accuracy, record->targets, pairs, spans);
    line_show(context, text);
}

static void event_show(void *context, const char *text)
{
    line_show(context, text);
}

struct coordinator_listener run_view_listener(struct run_view *view)
{
    return (struct coordinator_listener){
        .step = step_show, .evaluation = evaluation_show, .event = event_show, .context = view};
}

void run_view_end(struct run_view *view)
{
    if (view->begun) {
        (void)fprintf(stderr, "\n");
    }
}
