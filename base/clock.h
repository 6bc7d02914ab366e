/* Time for people, limits and telemetry. No time ever reaches a number that is trained. */
#ifndef SHARDLM_BASE_CLOCK_H
#define SHARDLM_BASE_CLOCK_H

#include <stdint.h>

enum { CLOCK_TEXT_BYTES = 32 };

int64_t clock_now_ns(void);                   /* monotonic */
double clock_seconds_since(int64_t start_ns); /* since a clock_now_ns() */
/* Between two looks at what another process does, the `polls`-th from 0: gives the core away,
 * sleeps later. */
void clock_pause(int64_t polls);
void clock_sleep(double seconds); /* less if a signal comes */
void clock_wall_text(char text[CLOCK_TEXT_BYTES]); /* UTC, 2026-01-31T23:59:59Z */
/* The same in so many seconds from now. */
void clock_wall_later_text(double seconds, char text[CLOCK_TEXT_BYTES]);
void clock_duration_text(double seconds,
                         char text[CLOCK_TEXT_BYTES]); /* "42 s", "3 min 05 s", "2 h 07 min" */

#endif
