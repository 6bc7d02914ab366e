/* See fault.h. */
#include "base/fault.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POINT_BYTES = 32, WHO_BYTES = 16 };

const char *fault_point_name(enum fault_point point)
{
    static const char *const names[] = {
#define X(name, text) text,
        FAULT_POINTS(X)
#undef X
    };
    return names[point];
}

enum status fault_parse(struct fault *fault, const char *text, struct error *error)
{
    char point[POINT_BYTES];
    char who[WHO_BYTES];
    int end = 0;
    const int found =
        sscanf(text, "%31[a-z-]:%" SCNd64 ":%15[0-9a-z]%n", point, &fault->step, who, &end);
    fault->still = strcmp(text + end, ":still") == 0;
    if (found != 3 || (text[end] != '\0' && !fault->still)) {
        FAIL(error, STATUS_INPUT,
             "\"%s\" is no fault: expected POINT:STEP:WORKER, or "
             "\"coordinator\" for the worker, and \":still\" behind it or nothing",
             text);
    }
    fault->worker = FAULT_COORDINATOR;
    if (strcmp(who, "coordinator") != 0 && sscanf(who, "%" SCNd64, &fault->worker) != 1) {
        FAIL(error, STATUS_INPUT, "\"%s\": \"%s\" is neither a worker's number nor \"coordinator\"",
             text, who);
    }
    for (int i = 0; i < FAULT_POINT_COUNT; i++) {
        if (strcmp(point, fault_point_name((enum fault_point)i)) == 0) {
            fault->point = (enum fault_point)i;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_INPUT, "\"%s\": there is no point \"%s\"", text, point);
}

void fault_reach(const struct fault *fault, enum fault_point point, int64_t step)
{
    if (fault != NULL && fault->point == point && fault->step == step) {
        (void)kill(getpid(), fault->still ? SIGSTOP : SIGKILL);
        while (!fault->still) {
            (void)pause(); /* until the signal is delivered */
        }
    }
}
