/* Feeds a target every input of a folder, as a test without libFuzzer. */
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_BYTES_MAX = 1 << 20 };

static enum status inputs_replay(const char *folder, int64_t *count, struct error *error)
{
    struct folder_list list;
    TRY(folder_list_open(&list, folder, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < list.count && status == STATUS_OK; i++) {
        char path[PATH_BYTES];
        char *data;
        size_t size_bytes;
        status = path_join(path, folder, list.names[i], error);
        if (status == STATUS_OK) {
            status = file_read(path, INPUT_BYTES_MAX, &data, &size_bytes, error);
        }
        if (status == STATUS_OK) {
            (void)LLVMFuzzerTestOneInput((const uint8_t *)data, size_bytes);
            memory_release(data);
        }
    }
    *count = list.count;
    folder_list_close(&list);
    return status;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    int64_t count = 0;
    if (argc != 2 || inputs_replay(argv[1], &count, &error) != STATUS_OK || count == 0) {
        (void)fprintf(stderr, "no inputs replayed: %s\n", error.message);
        return 1;
    }
    (void)printf("%lld inputs\n", (long long)count);
    return 0;
}
