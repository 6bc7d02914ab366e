/* data_pipeline/tokenizer_read: tokenizer.json, and text encoded by whatever was accepted. */
#include "data_pipeline/tokenizer_files.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tokenizer_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *tokenizer;
    struct error error;
    if (tokenizer_parse(&tokenizer, (const char *)data, size, "fuzz", &error) == STATUS_OK) {
        tokenizer_use(tokenizer);
        tokenizer_close(tokenizer);
    }
    return 0;
}
