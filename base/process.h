/* Facts about this process and its machine, as Linux tells them. */
#ifndef SHARDLM_BASE_PROCESS_H
#define SHARDLM_BASE_PROCESS_H

#include <stdint.h>

#include "base/error.h"
#include "base/file.h"

struct process_memory {
    int64_t peak_bytes;    /* largest resident size so far, shared pages included */
    int64_t shared_bytes;  /* resident shared memory now */
    int64_t private_bytes; /* all other resident memory now */
};
struct process_memory process_memory(void); /* zeros where the system does not say */

bool process_gone(int64_t process);  /* of this host: does it exist no more? */
int64_t process_core_count(void);    /* cores that this process may run on, at least 1 */
int64_t process_machine_bytes(void); /* memory of the machine; 0 where the system does not say */
MUST_CHECK enum status process_program(char path[PATH_BYTES],
                                       struct error *error); /* of this program */

#endif
