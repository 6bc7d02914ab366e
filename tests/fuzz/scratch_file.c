/* See scratch_file.h. */
#include "tests/fuzz/scratch_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

static char folder[64]; /* empty: not made yet */

static void folder_leave(void)
{
    struct error ignored;
    (void)!folder_remove(folder, &ignored);
}

const char *scratch_folder(void)
{
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof folder, "%s/shardlm-fuzz-XXXXXX",
                       folder_exists("/dev/shm") ? "/dev/shm" : "/tmp");
        if (mkdtemp(folder) == NULL || atexit(folder_leave) != 0) {
            abort();
        }
    }
    return folder;
}

const char *scratch_file(const char *name, const void *data, size_t size_bytes)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", scratch_folder(), name);
    FILE *const file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size_bytes, file) != size_bytes || fclose(file) != 0) {
        abort();
    }
    return path;
}
