/* See clock.h. */
#include "base/clock.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

enum { PAUSE_YIELDS = 64, PAUSE_SLEEP_NS = 50000 };

int64_t clock_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + (int64_t)now.tv_nsec;
}

double clock_seconds_since(int64_t start_ns)
{
    return (double)(clock_now_ns() - start_ns) * 1e-9;
}

void clock_pause(int64_t polls)
{
    if (polls < PAUSE_YIELDS) {
        (void)sched_yield();
        return;
    }
    clock_sleep(PAUSE_SLEEP_NS * 1e-9);
}

void clock_sleep(double seconds)
{
    const time_t whole = (time_t)seconds;
    const struct timespec wait = {.tv_sec = whole,
                                  .tv_nsec = (long)((seconds - (double)whole) * 1e9)};
    (void)nanosleep(&wait, NULL);
}

void clock_wall_text(char text[CLOCK_TEXT_BYTES])
{
    clock_wall_later_text(0, text);
}

void clock_wall_later_text(double seconds, char text[CLOCK_TEXT_BYTES])
{
    const double limit = 1e11; /* some three thousand years: a year of four figures */
    const time_t now = time(NULL) + (time_t)(seconds < limit ? seconds : limit);
    struct tm parts;
    (void)gmtime_r(&now, &parts);
    if (strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        text[0] = '\0';
    }
}

void clock_duration_text(double seconds, char text[CLOCK_TEXT_BYTES])
{
    const double limit = 1e9; /* about 30 years: more is not worth a figure */
    const int64_t whole = (int64_t)(seconds < 0 ? 0 : seconds > limit ? limit : seconds + 0.5);
    if (whole < 60) {
        (void)snprintf(text, CLOCK_TEXT_BYTES, "%lld s", (long long)whole);
    } else if (whole < 3600) {
        (void)snprintf(text, CLOCK_TEXT_BYTES, "%lld min %02lld s", (long long)(whole / 60),
                       (long long)(whole % 60));
    } else {
        (void)snprintf(text, CLOCK_TEXT_BYTES, "%lld h %02lld min", (long long)(whole / 3600),
                       (long long)(whole / 60 % 60));
    }
}
