/* Matrix products by OpenBLAS, the only place that knows it. The library is loaded when asked for
 * and not linked, so that its kernel family and thread count are set by this code before it looks
 * at them. */
#ifndef SHARDLM_KERNELS_MATMUL_OPENBLAS_H
#define SHARDLM_KERNELS_MATMUL_OPENBLAS_H

#include <stddef.h>

#include "base/error.h"

/* Loads OpenBLAS pinned to `family` ("Haswell", "SkylakeX") and one thread, and writes "openblas
 * VERSION FAMILY" into `profile`. Twice with the same family is fine. STATUS_INTERNAL if there is
 * no OpenBLAS, or if one that runs another family is already loaded in this process. Its product is
 * matmul_openblas (operations.h). */
MUST_CHECK enum status matmul_openblas_open(const char *family, char *profile, size_t profile_bytes,
                                            struct error *error);

#endif
