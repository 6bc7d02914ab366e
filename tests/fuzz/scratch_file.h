/* For parsers that read files: foreign bytes under a name in a folder of this process, in memory
 * where the system has such a place. */
#ifndef SHARDLM_TESTS_FUZZ_SCRATCH_FILE_H
#define SHARDLM_TESTS_FUZZ_SCRATCH_FILE_H

#include <stddef.h>

const char *scratch_folder(void); /* made on first call, removed at exit */
/* Writes (or replaces) a file there; its path is valid until the next call. */
const char *scratch_file(const char *name, const void *data, size_t size_bytes);

#endif
