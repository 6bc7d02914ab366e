/* See host_list.h. All hosts are asked at once, each through an mpirun of its own: what counts is
 * whether mpirun can start a process there. */
#include "launch/host_list.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "launch/text.h"

enum { HOST_FILE_BYTES_MAX = 1 << 20, HOST_BYTES = 256 };

static const double answer_seconds = 20;
static const char spare_mark[] = "# spare ";

static void line_take(char ***lines, int64_t *count, const char *text, size_t length)
{
    size_t capacity = (size_t)*count;
    memory_reserve((void **)lines, &capacity, (size_t)*count + 1, sizeof **lines, "hosts");
    char *const line = memory_take(length + 1, 1, "hosts");
    memcpy(line, text, length);
    (*lines)[(*count)++] = line;
}

enum status host_list_open(struct host_list *list, const char *hostfile, struct error *error)
{
    *list = (struct host_list){0};
    if (hostfile == NULL) {
        return STATUS_OK;
    }
    TRY(path_absolute(list->path, hostfile, error));
    char *text;
    size_t size_bytes;
    TRY(file_read(hostfile, HOST_FILE_BYTES_MAX, &text, &size_bytes, error));
    const size_t mark = strlen(spare_mark);
    for (const char *line = text; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        if (strncmp(line, spare_mark, mark) == 0 && length > mark) {
            line_take(&list->spares, &list->spare_count, line + mark, length - mark);
        } else if (length > strspn(line, " \t\r") && line[0] != '#') {
            line_take(&list->lines, &list->count, line, length);
        }
        line += length + (line[length] == '\n' ? 1 : 0);
    }
    memory_release(text);
    return STATUS_OK;
}

void host_list_close(struct host_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        memory_release(list->lines[i]);
    }
    for (int64_t i = 0; i < list->spare_count; i++) {
        memory_release(list->spares[i]);
    }
    memory_release((void *)list->lines);
    memory_release((void *)list->spares);
    *list = (struct host_list){0};
}

const char *host_list_path(const struct host_list *list)
{
    return list->path[0] != '\0' ? list->path : NULL;
}

static void host_name(const char *line, char name[HOST_BYTES])
{
    (void)snprintf(name, HOST_BYTES, "%.*s", (int)strcspn(line, " \t\r:"), line);
}

static pid_t host_ask(const char *line)
{
    char name[HOST_BYTES];
    host_name(line, name);
    (void)fflush(NULL);
    const pid_t process = fork();
    if (process == 0) {
        const int nowhere = open("/dev/null", O_RDWR);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)setpgid(0, 0);
        (void)execlp("mpirun", "mpirun", geteuid() == 0 ? "--allow-run-as-root" : "--quiet",
                     "--stdin", "none", "--host", name, "-n", "1", "true", (char *)NULL);
        _exit(127);
    }
    return process;
}

/* Which of the lines' hosts can start a process? */
static void hosts_ask(char *const *lines, int64_t count, bool *answers)
{
    pid_t *const processes = memory_take((size_t)count, sizeof *processes, "hosts");
    for (int64_t i = 0; i < count; i++) {
        processes[i] = host_ask(lines[i]);
        answers[i] = false;
    }
    const int64_t start_ns = clock_now_ns();
    for (int64_t waiting = count; waiting > 0;) {
        const bool late = clock_seconds_since(start_ns) > answer_seconds;
        for (int64_t i = 0; i < count; i++) {
            int state = 0;
            if (processes[i] > 0 && late) {
                (void)kill(-processes[i], SIGKILL);
            }
            if (processes[i] != 0 &&
                (processes[i] < 0 || waitpid(processes[i], &state, late ? 0 : WNOHANG) != 0)) {
                answers[i] = processes[i] > 0 && WIFEXITED(state) && WEXITSTATUS(state) == 0;
                processes[i] = 0;
                waiting--;
            }
        }
        clock_sleep(0.02);
    }
    memory_release(processes);
}

/* The next spare that answers, or NULL. */
static char *spare_take(struct host_list *list)
{
    while (list->spare_count > 0) {
        char *const line = list->spares[--list->spare_count];
        bool answers;
        hosts_ask(&line, 1, &answers);
        if (answers) {
            return line;
        }
        memory_release(line);
    }
    return NULL;
}

static enum status list_write(struct host_list *list, const char *run, struct error *error)
{
    struct text text = {0};
    for (int64_t i = 0; i < list->count; i++) {
        text_add(&text, "%s\n", list->lines[i]);
    }
    enum status status = path_join(list->path, run, "hosts", error);
    if (status == STATUS_OK) {
        status = file_write_durable(list->path, text.data, text.size_bytes, error);
    }
    text_deinit(&text);
    return status;
}

enum status host_list_check(struct host_list *list, const char *run, struct error *error)
{
    if (list->count == 0) {
        return STATUS_OK;
    }
    bool *const answers = memory_take((size_t)list->count, sizeof *answers, "hosts");
    hosts_ask(list->lines, list->count, answers);
    int64_t kept = 0;
    bool lost = false;
    for (int64_t i = 0; i < list->count; i++) {
        char *line = list->lines[i];
        if (!answers[i]) {
            char name[HOST_BYTES];
            host_name(line, name);
            memory_release(line);
            line = spare_take(list);
            (void)fprintf(stderr, "shardlm: host %s does not start a process: %s%s\n", name,
                          line == NULL ? "dropped" : "replaced by ", line == NULL ? "" : line);
            lost = true;
        }
        if (line != NULL) {
            list->lines[kept++] = line;
        }
    }
    memory_release(answers);
    list->count = kept;
    if (kept == 0) {
        FAIL(error, STATUS_PEER, "no host of the host file starts a process any more");
    }
    return lost ? list_write(list, run, error) : STATUS_OK;
}
