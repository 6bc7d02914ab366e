/* data_pipeline/corpus_text: the first byte chooses the kind of file and what becomes of bytes that
 * are no UTF-8; the rest is the file. */
#include "data_pipeline/corpus_text.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.txt",      "a.jsonl",   "a.txt.gz",
                                        "a.jsonl.gz", "a.txt.zst", "a.jsonl.zst"};
    if (size == 0) {
        return 0;
    }
    const struct corpus_text_options options = {.invalid_utf8 =
                                                    (enum corpus_utf8)(data[0] / 6 % 3)};
    struct corpus_text *reader;
    struct error error;
    if (corpus_text_open(&reader, scratch_file(names[data[0] % 6], data + 1, size - 1), &options,
                         &error) != STATUS_OK) {
        return 0;
    }
    struct corpus_document document;
    for (bool found = true; found;) {
        if (corpus_text_next(reader, &document, &found, &error) != STATUS_OK) {
            break;
        }
    }
    corpus_text_close(reader);
    return 0;
}
