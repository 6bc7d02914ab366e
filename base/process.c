/* See process.h. */
#include "base/process.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_LINE_BYTES = 256 };

struct process_memory process_memory(void)
{
    struct process_memory memory = {0};
    FILE *const facts = fopen("/proc/self/status", "re");
    if (facts == NULL) {
        return memory;
    }
    int64_t resident_bytes = 0;
    char line[STATUS_LINE_BYTES];
    while (fgets(line, sizeof line, facts) != NULL) {
        long long kilobytes;
        if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1) {
            memory.peak_bytes = (int64_t)kilobytes * 1024;
        } else if (sscanf(line, "VmRSS: %lld kB", &kilobytes) == 1) {
            resident_bytes = (int64_t)kilobytes * 1024;
        } else if (sscanf(line, "RssShmem: %lld kB", &kilobytes) == 1) {
            memory.shared_bytes = (int64_t)kilobytes * 1024;
        }
    }
    (void)fclose(facts);
    memory.private_bytes = resident_bytes - memory.shared_bytes;
    return memory;
}

bool process_gone(int64_t process)
{
    return process > 0 && kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

int64_t process_machine_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (int64_t)pages * page_bytes : 0;
}

int64_t process_core_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    const int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count;
}

enum status process_program(char path[PATH_BYTES], struct error *error)
{
    const ssize_t length = readlink("/proc/self/exe", path, PATH_BYTES - 1);
    if (length < 0) {
        FAIL(error, STATUS_IO, "could not find this program's own file: %s", strerror(errno));
    }
    path[length] = '\0';
    return STATUS_OK;
}
