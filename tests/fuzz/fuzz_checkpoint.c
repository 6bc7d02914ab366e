/* checkpoints/manifest: the bytes are a manifest without its last lines, which hold its own digest
 * and are put right here; then the files that it names are looked for. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoints/manifest.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = memory_take(size + 128, 1, "manifest");
    char digest[DIGEST_TEXT_BYTES];
    memcpy(text, data, size);
    digest_text(digest_bytes(text, size), digest);
    const int tail = snprintf(text + size, 128, "  \"digest\": \"%s\"\n}\n", digest);
    struct manifest manifest = {0};
    struct error error;
    (void)scratch_file("manifest.json", text, size + (size_t)tail);
    if (manifest_read(&manifest, scratch_folder(), &error) == STATUS_OK) {
        (void)!manifest_check(&manifest, scratch_folder(), true, &error);
    }
    manifest_deinit(&manifest);
    memory_release(text);
    return 0;
}
