/* data_pipeline/corpus_manifest: corpus.json. */
#include "data_pipeline/corpus_manifest.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct corpus_manifest manifest = {0};
    struct error error;
    (void)scratch_file("corpus.json", data, size);
    (void)!corpus_manifest_read(&manifest, scratch_folder(), &error);
    corpus_manifest_deinit(&manifest);
    return 0;
}
