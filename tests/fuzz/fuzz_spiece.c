/* data_pipeline/tokenizer_read_unigram: the protobuf of SentencePiece. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch_file.h"
#include "tests/fuzz/tokenizer_use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *tokenizer;
    struct error error;
    if (tokenizer_open(&tokenizer, scratch_file("spiece.model", data, size), &error) == STATUS_OK) {
        tokenizer_use(tokenizer);
        tokenizer_close(tokenizer);
    }
    return 0;
}
