/* See run_memory.h. */
#include "launch/run_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/memory.h"

enum { LINE_BYTES_MAX = 128 };

static uint64_t folder_number(const char *run)
{
    struct stat facts;
    return stat(run, &facts) == 0 ? (uint64_t)facts.st_ino : 0;
}

static bool name_sane(const char *name)
{
    static const char prefix[] = "shardlm-";
    const size_t digits = strlen(prefix);
    struct digest digest;
    return strncmp(name, prefix, digits) == 0 && digest_parse(name + digits, &digest);
}

enum status run_memory_choose(struct run_memory *memory, const char *run, struct error *error)
{
    *memory = (struct run_memory){0};
    struct digest random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        FAIL(error, STATUS_INTERNAL, "could not get random bytes: %s", strerror(errno));
    }
    char text[DIGEST_TEXT_BYTES];
    digest_text(random, text);
    (void)snprintf(memory->next, sizeof memory->next, "shardlm-%s", text);
    char path[PATH_BYTES];
    TRY(path_join(path, run, "memory", error));
    if (!file_exists(path)) {
        return STATUS_OK;
    }
    char *line;
    size_t size_bytes;
    TRY(file_read(path, LINE_BYTES_MAX, &line, &size_bytes, error));
    char name[RUN_MEMORY_BYTES];
    uint64_t number = 0;
    const bool whole = sscanf(line, "%47s %" SCNu64, name, &number) == 2 && name_sane(name);
    memory_release(line);
    if (whole && number == folder_number(run)) {
        memcpy(memory->former, name, sizeof name);
    }
    return STATUS_OK;
}

enum status run_memory_renew(const struct run_memory *memory, const char *run, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "memory", error));
    char line[LINE_BYTES_MAX];
    const int length =
        snprintf(line, sizeof line, "%s %" PRIu64 "\n", memory->next, folder_number(run));
    return file_write_durable(path, line, (size_t)length, error);
}
