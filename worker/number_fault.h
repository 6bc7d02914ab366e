/* Numbers that a test has spoiled, always the same ones: "nan:STEP:SLOT" and "spike:STEP:SLOT" make
 * that slot's loss not a number or a thousand times as large, "flip:STEP:SLOT:WORKER" flips one bit
 * of its gradient whenever that worker computes it. STEP is that of the data, so a slot stays bad
 * when its step is done again, and is gone when its data is passed over. Nothing here reads the
 * environment: launch/ does. */
#ifndef SHARDLM_WORKER_NUMBER_FAULT_H
#define SHARDLM_WORKER_NUMBER_FAULT_H

#include "base/error.h"

enum number_fault_kind {
    NUMBER_FAULT_NONE,
    NUMBER_FAULT_NAN,
    NUMBER_FAULT_SPIKE,
    NUMBER_FAULT_FLIP,
};

struct number_fault {
    enum number_fault_kind kind;
    int64_t step, slot;
    int64_t worker; /* FLIP */
};

MUST_CHECK enum status number_fault_parse(struct number_fault *fault, const char *text,
                                          struct error *error);
/* The loss of this slot, spoiled if it is the one. */
double number_fault_loss(const struct number_fault *fault, int64_t step, int64_t slot, double loss);
/* Is this gradient to be spoiled? */
bool number_fault_flips(const struct number_fault *fault, int64_t step, int64_t slot,
                        int64_t worker);

#endif
