/* See progress.h. */
#include "launch/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum { BAR_COLUMNS = 24, LINE_BYTES = 512, COLUMNS_FALLBACK = 100 };

static const int64_t terminal_interval_ns = 100000000;
static const int64_t line_interval_ns = 10000000000;

void progress_start(struct progress *progress, const char *what, const char *unit, double first,
                    double total)
{
    *progress = (struct progress){.what = what,
                                  .unit = unit,
                                  .first = first,
                                  .total = total,
                                  .start_ns = clock_now_ns(),
                                  .terminal = isatty(STDERR_FILENO) == 1};
}

static int terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) {
        return COLUMNS_FALLBACK;
    }
    return size.ws_col < LINE_BYTES ? size.ws_col : LINE_BYTES - 1;
}

/* "12.3", "1234": three figures are enough to follow. */
static void amount_text(double amount, char text[32])
{
    (void)snprintf(text, 32, amount < 100 && amount != (double)(int64_t)amount ? "%.1f" : "%.0f",
                   amount);
}

static void bar_text(double share, char text[BAR_COLUMNS + 3])
{
    const int full = (int)(share * BAR_COLUMNS);
    text[0] = '[';
    for (int i = 0; i < BAR_COLUMNS; i++) {
        text[i + 1] = i < full ? '#' : i == full ? '>' : '.';
    }
    memcpy(text + BAR_COLUMNS + 1, "]", 2);
}

static void progress_line(const struct progress *progress, double done, const char *note,
                          bool ended, char line[LINE_BYTES])
{
    const double seconds = clock_seconds_since(progress->start_ns);
    const double rate = seconds > 0 ? (done - progress->first) / seconds : 0;
    const bool known = progress->total > 0;
    const double share = !known ? 0 : done >= progress->total ? 1 : done / progress->total;
    char bar[BAR_COLUMNS + 3] = "";
    if (known && progress->terminal) {
        bar_text(share, bar);
    }
    char done_text[32];
    char total_text[32];
    char rate_text[32];
    char time_text[CLOCK_TEXT_BYTES];
    amount_text(done, done_text);
    amount_text(progress->total, total_text);
    amount_text(rate, rate_text);
    const bool has_left = known && !ended && rate > 0;
    clock_duration_text(has_left ? (progress->total - done) / rate : seconds, time_text);
    char share_text[16] = "";
    if (known) {
        (void)snprintf(share_text, sizeof share_text, "%3.0f %% ", share * 100);
    }
    (void)snprintf(line, LINE_BYTES, "%s %s%s%s%s%s%s %s  %s %s/s  %s %s%s%s", progress->what, bar,
                   bar[0] == '\0' ? "" : " ", share_text, done_text, known ? "/" : "",
                   known ? total_text : "", progress->unit, rate_text, progress->unit, time_text,
                   has_left ? "left" : "taken", note == NULL ? "" : "  ", note == NULL ? "" : note);
}

static void progress_show(struct progress *progress, double done, const char *note, bool ended)
{
    char line[LINE_BYTES];
    progress_line(progress, done, note, ended, line);
    if (progress->terminal) {
        /* The last column stays free, so that no terminal wraps the line. */
        line[terminal_columns() - 1] = '\0';
        (void)fprintf(stderr, "\r\033[K%s%s", line, ended ? "\n" : "");
    } else {
        (void)fprintf(stderr, "%s\n", line);
    }
    (void)fflush(stderr);
}

void progress_update(struct progress *progress, double done, const char *note)
{
    const int64_t now_ns = clock_now_ns();
    const int64_t interval_ns = progress->terminal ? terminal_interval_ns : line_interval_ns;
    const int64_t since_ns = progress->shown_ns == 0 ? progress->start_ns : progress->shown_ns;
    if (progress->quiet || now_ns - since_ns < interval_ns) {
        return;
    }
    progress->shown_ns = now_ns;
    progress_show(progress, done, note, false);
}

void progress_end(struct progress *progress, double done, const char *note)
{
    if (!progress->quiet) {
        progress_show(progress, done, note, true);
    }
}
