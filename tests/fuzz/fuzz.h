/* What every fuzzing target has: libFuzzer's entry, called with foreign bytes. A target takes no
 * more from them than a parser does; it must neither crash nor leak, whatever they are. */
#ifndef SHARDLM_TESTS_FUZZ_FUZZ_H
#define SHARDLM_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
