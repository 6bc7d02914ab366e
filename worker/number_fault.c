/* See number_fault.h. */
#include "worker/number_fault.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double spike_factor = 1000;

enum status number_fault_parse(struct number_fault *fault, const char *text, struct error *error)
{
    static const char *const names[] = {"", "nan", "spike", "flip"};
    char kind[16];
    *fault = (struct number_fault){.worker = -1};
    const int fields = sscanf(text, "%15[a-z]:%" SCNd64 ":%" SCNd64 ":%" SCNd64, kind, &fault->step,
                              &fault->slot, &fault->worker);
    for (int i = 1; i < ARRAY_LENGTH(names) && fields >= 3; i++) {
        if (strcmp(kind, names[i]) == 0 && fields == (i == NUMBER_FAULT_FLIP ? 4 : 3)) {
            fault->kind = (enum number_fault_kind)i;
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_INPUT,
         "\"%s\" spoils no number: expected nan:STEP:SLOT, spike:STEP:SLOT or "
         "flip:STEP:SLOT:WORKER",
         text);
}

double number_fault_loss(const struct number_fault *fault, int64_t step, int64_t slot, double loss)
{
    if (fault->step != step || fault->slot != slot) {
        return loss;
    }
    return fault->kind == NUMBER_FAULT_NAN     ? (double)NAN
           : fault->kind == NUMBER_FAULT_SPIKE ? spike_factor * loss
                                               : loss;
}

bool number_fault_flips(const struct number_fault *fault, int64_t step, int64_t slot,
                        int64_t worker)
{
    return fault->kind == NUMBER_FAULT_FLIP && fault->step == step && fault->slot == slot &&
           fault->worker == worker;
}
