/* What must hold of a simulated run, whatever goes wrong:
 *
 *     bits       every step's fingerprint in the journal, and every checkpoint, is that of a run
 * that nobody disturbed memory     whatever happens costs at most the step in progress, unless a
 * node, the power or a checkpoint's bit is lost, the supervisor gave up, or other owners than
 * before come back to several nodes whole      a checkpoint that is listed is complete, unless one
 * of its bits was flipped limits     no wait is without one: something gets on every few minutes,
 * and the run ends reasons    whoever gives up says why clean      in the end no memory of the run
 * is left on any node
 */
#ifndef SHARDLM_TESTS_SIMULATION_VERDICT_H
#define SHARDLM_TESTS_SIMULATION_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

enum { VERDICT_STEPS_MAX = 32, VERDICT_TEXT_BYTES = 512, VERDICT_FINGERPRINT_BYTES = 40 };

/* Of an undisturbed run. */
struct reference {
    char fingerprints[VERDICT_STEPS_MAX + 1][VERDICT_FINGERPRINT_BYTES]; /* by step, from 1 */
};

/* `reference` NULL: this run is to be the reference. */
void verdict_open(const struct reference *reference);
void verdict_workers(int64_t count); /* of the start that comes */
/* In the end, by a process. */
void verdict_examine(void);
void verdict_reference(struct reference *reference); /* of the run just examined */
/* Something that must not be; the first is kept. */
void verdict_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *verdict_text(void); /* empty: all is well */
int64_t verdict_redone(void);   /* steps computed again, in all */

#endif
