/* data_pipeline/tokenizer_read: merges.txt beside a small vocab.json. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch_file.h"
#include "tests/fuzz/tokenizer_use.h"

static const char vocabulary[] =
    "{\"<s>\":0,\"<pad>\":1,\"</s>\":2,\"<unk>\":3,\"<mask>\":4,\"t\":5,\"h\":6,\"e\":7,\"th\":8,"
    "\"the\":9,\"\\u0120\":10,\"\\u0120the\":11,\"w\":12,\"n\":13}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *tokenizer;
    struct error error;
    (void)scratch_file("vocab.json", vocabulary, sizeof vocabulary - 1);
    (void)scratch_file("merges.txt", data, size);
    if (tokenizer_open(&tokenizer, scratch_folder(), &error) == STATUS_OK) {
        tokenizer_use(tokenizer);
        tokenizer_close(tokenizer);
    }
    return 0;
}
