/* See rules.h. */
#include "tests/tidy/rules.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LINE_COLUMNS = 100,    /* code */
    COMMENT_COLUMNS = 120, /* a line that is longer by its comment only */
    FILE_LINES = 500,      /* a table of test cases may be longer */
    MESSAGE_BYTES = 512,
};

/* Who may include whom: patterns of paths, separated by spaces. A folder may always include itself.
 */
static const struct {
    const char *folder;
    const char *may_include;
} folder_rules[] = {
    {"base", ""},
    {"kernels", "base/*"},
    {"data_pipeline", "base/*"},
    {"model", "base/* kernels/* data_pipeline/batch.h"},
    {"shard", "base/* kernels/* model/parameters.h model/model_options.h model/model_role.h "
              "model/gradient_blocks.h"},
    {"checkpoints", "base/* data_pipeline/tokenizer.h shard/* model/parameters.h "
                    "model/model_options.h"},
    {"coordinator", "base/* data_pipeline/plan.h data_pipeline/data_options.h"},
    {"worker", "base/* kernels/* data_pipeline/* model/* shard/* checkpoints/* coordinator/*"},
    {"tasks", "base/* data_pipeline/* model/* shard/* checkpoints/* worker/*"},
    {"launch", "*"},
    {"tests", "*"},
    {"bench", "*"},
};

/* A foreign library is seen by few files only; tests and benchmarks are free. */
static const struct {
    const char *header;
    const char *allowed;
} foreign_rules[] = {
    {"mpi.h", "shard/fabric_mpi.c shard/window.c launch/shardlm.c"},
    {"zmq.h", "coordinator/channel_*.c"},
    {"hdf5.h", "data_pipeline/corpus_shard.c data_pipeline/corpus_hdf5.[ch] checkpoints/*"},
    {"yaml.h", "launch/config_yaml.c"},
    {"jansson.h", "base/json.[ch]"},
    {"xxhash.h", "base/hash.c"},
    {"xxh_x86dispatch.h", "base/hash.c"},
    {"zstd.h", "data_pipeline/corpus_text*.c data_pipeline/corpus_stream.c"},
    {"zlib.h", "data_pipeline/corpus_text*.c data_pipeline/corpus_stream.c"},
    {"utf8proc.h", "data_pipeline/unicode_form.c"},
    {"oniguruma.h", "data_pipeline/pattern.c"},
    {"cblas.h", "kernels/matmul_openblas.c"},
    {"dlfcn.h", "kernels/matmul_openblas.c"},
    {"check.h", ""},
};

/* Headers of C and of the operating system that need no entry above. */
static const char system_headers[] =
    " assert.h ctype.h dirent.h errno.h fcntl.h float.h fnmatch.h "
    "arpa/inet.h ifaddrs.h immintrin.h inttypes.h limits.h math.h net/if.h poll.h "
    "pthread.h sched.h signal.h spawn.h stdarg.h stdalign.h "
    "stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h "
    "stdnoreturn.h string.h strings.h time.h unistd.h "
    "linux/futex.h sys/file.h sys/ioctl.h sys/mman.h sys/prctl.h "
    "sys/random.h sys/resource.h sys/socket.h sys/stat.h sys/statvfs.h sys/syscall.h "
    "sys/time.h sys/types.h sys/uio.h sys/utsname.h sys/wait.h ";

#define MEMORY_ALLOWED "base/* tests/* bench/*"
#define OUTPUT_ALLOWED "launch/* tests/* bench/* base/error.c base/log.c base/memory.c"
#define NOWHERE        ""

static const struct {
    const char *name;
    const char *allowed;
    const char *instead;
} banned_calls[] = {
    {"malloc", MEMORY_ALLOWED, "base/memory.h"},
    {"calloc", MEMORY_ALLOWED, "base/memory.h"},
    {"realloc", MEMORY_ALLOWED, "base/memory.h"},
    {"reallocarray", MEMORY_ALLOWED, "base/memory.h"},
    {"free", MEMORY_ALLOWED, "memory_release"},
    {"aligned_alloc", MEMORY_ALLOWED, "base/memory.h"},
    {"posix_memalign", MEMORY_ALLOWED, "base/memory.h"},
    {"strdup", MEMORY_ALLOWED, "base/memory.h"},
    {"strndup", MEMORY_ALLOWED, "base/memory.h"},
    {"asprintf", MEMORY_ALLOWED, "snprintf into a buffer of a named size"},
    {"vasprintf", MEMORY_ALLOWED, "vsnprintf into a buffer of a named size"},
    {"alloca", NOWHERE, "base/memory.h"},
    {"strcpy", NOWHERE, "snprintf or memcpy with the size checked"},
    {"strcat", NOWHERE, "snprintf"},
    {"sprintf", NOWHERE, "snprintf"},
    {"vsprintf", NOWHERE, "vsnprintf"},
    {"gets", NOWHERE, "file_read"},
    {"atoi", NOWHERE, "strtoll with its end checked"},
    {"atol", NOWHERE, "strtoll with its end checked"},
    {"atof", NOWHERE, "strtod with its end checked"},
    {"strtok", NOWHERE, "strcspn or strchr"},
    {"rand", NOWHERE, "base/random.h"},
    {"srand", NOWHERE, "base/random.h"},
    {"random", NOWHERE, "base/random.h"},
    {"drand48", NOWHERE, "base/random.h"},
    {"exit", OUTPUT_ALLOWED, "a returned status"},
    {"printf", OUTPUT_ALLOWED, "log_line"},
    {"puts", OUTPUT_ALLOWED, "log_line"},
    {"putchar", OUTPUT_ALLOWED, "log_line"},
    {"fprintf", OUTPUT_ALLOWED, "log_line"},
    {"fputs", OUTPUT_ALLOWED, "log_line"},
    {"perror", OUTPUT_ALLOWED, "error_set"},
};

/* Compiler options that reorder or contract arithmetic: the same source must give the same bits. */
static const char *const banned_options[] = {"-ffast-"
                                             "math",
                                             "-O"
                                             "fast",
                                             "-ffp-contract="
                                             "fast"};

static void report(struct findings *findings, const struct source_text *source, int line,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void report(struct findings *findings, const struct source_text *source, int line,
                   const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    findings->count++;
    findings->report(findings, source->path, line, message);
}

/* Does `path` meet one of the patterns, which are separated by spaces? */
static bool path_allowed(const char *path, const char *patterns)
{
    while (*patterns != '\0') {
        char pattern[MESSAGE_BYTES];
        const size_t length = strcspn(patterns, " ");
        if (length >= sizeof pattern) {
            return false;
        }
        memcpy(pattern, patterns, length);
        pattern[length] = '\0';
        if (length > 0 && fnmatch(pattern, path, 0) == 0) {
            return true;
        }
        patterns += length + strspn(patterns + length, " ");
    }
    return false;
}

static bool in_folder(const char *path, const char *folder)
{
    const size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

static int line_of(const struct source_text *source, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset; i++) {
        line += source->text[i] == '\n';
    }
    return line;
}

static void check_own_include(const struct source_text *source, int line, const char *included,
                              struct findings *findings)
{
    if (strchr(included, '/') == NULL) {
        report(findings, source, line, "include \"%s\" by its path from the repository's root",
               included);
        return;
    }
    for (size_t i = 0; i < sizeof folder_rules / sizeof folder_rules[0]; i++) {
        const char *const folder = folder_rules[i].folder;
        if (in_folder(source->path, folder) && !in_folder(included, folder) &&
            !path_allowed(included, folder_rules[i].may_include)) {
            report(findings, source, line, "%s/ may not include \"%s\" (it may include: %s)",
                   folder, included,
                   folder_rules[i].may_include[0] == '\0' ? "nothing of ours"
                                                          : folder_rules[i].may_include);
        }
    }
}

static void check_foreign_include(const struct source_text *source, int line, const char *included,
                                  struct findings *findings)
{
    if (in_folder(source->path, "tests") || in_folder(source->path, "bench")) {
        return;
    }
    for (size_t i = 0; i < sizeof foreign_rules / sizeof foreign_rules[0]; i++) {
        if (strcmp(included, foreign_rules[i].header) == 0) {
            if (!path_allowed(source->path, foreign_rules[i].allowed)) {
                report(findings, source, line, "<%s> belongs to: %s", included,
                       foreign_rules[i].allowed);
            }
            return;
        }
    }
    char word[MESSAGE_BYTES + 2];
    (void)snprintf(word, sizeof word, " %s ", included);
    if (strstr(system_headers, word) == NULL) {
        report(findings, source, line,
               "<%s> is no known header: a new library needs a row in tests/tidy/rules.c and "
               "in docs/dependencies.md",
               included);
    }
}

static void check_includes(const struct source_text *source, struct findings *findings)
{
    size_t offset = 0;
    const char *text;
    size_t length;
    for (int line = 1; source_line_next(source->uncommented, &offset, &text, &length); line++) {
        char directive[MESSAGE_BYTES];
        char included[MESSAGE_BYTES];
        char open;
        (void)snprintf(directive, sizeof directive, "%.*s", (int)length, text);
        if (sscanf(directive, " # include %c%255[^\">]", &open, included) != 2) {
            continue;
        }
        if (open == '"') {
            check_own_include(source, line, included, findings);
        } else {
            check_foreign_include(source, line, included, findings);
        }
    }
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Is the name at `start` called here, and not a member of that name, as in `table->free(x)`? */
static bool is_call(const char *code, const char *start, size_t length)
{
    const bool begins =
        start == code || (!is_name(start[-1]) && start[-1] != '.' &&
                          !(start[-1] == '>' && start > code + 1 && start[-2] == '-'));
    const char *const behind = start + length;
    return begins && behind[strspn(behind, " \t\n")] == '(' && !is_name(*behind);
}

static void check_calls(const struct source_text *source, struct findings *findings)
{
    for (size_t i = 0; i < sizeof banned_calls / sizeof banned_calls[0]; i++) {
        const char *const name = banned_calls[i].name;
        if (path_allowed(source->path, banned_calls[i].allowed)) {
            continue;
        }
        const char *found = source->code;
        while ((found = strstr(found, name)) != NULL) {
            if (is_call(source->code, found, strlen(name))) {
                report(findings, source, line_of(source, (size_t)(found - source->code)),
                       "%s is not used here: take %s", name, banned_calls[i].instead);
            }
            found += strlen(name);
        }
    }
}

static void check_options(const struct source_text *source, const char *text,
                          struct findings *findings)
{
    for (size_t i = 0; i < sizeof banned_options / sizeof banned_options[0]; i++) {
        const char *const found = strstr(text, banned_options[i]);
        if (found != NULL) {
            report(findings, source, line_of(source, (size_t)(found - text)), "%s changes results",
                   banned_options[i]);
        }
    }
}

/* Characters of UTF-8 text, without trailing spaces. */
static int columns_of(const char *line, size_t length)
{
    while (length > 0 && line[length - 1] == ' ') {
        length--;
    }
    int columns = 0;
    for (size_t i = 0; i < length; i++) {
        columns += ((unsigned char)line[i] & 0xC0) != 0x80;
    }
    return columns;
}

static void check_lines(const struct source_text *source, struct findings *findings)
{
    static const char *const marks[] = {"TO"
                                        "DO",
                                        "FIX"
                                        "ME",
                                        "XX"
                                        "X"};
    size_t offset = 0;
    const char *text;
    size_t length;
    for (int line = 1; source_line_next(source->text, &offset, &text, &length); line++) {
        const int columns = columns_of(text, length);
        const int code_columns = columns_of(source->uncommented + (text - source->text), length);
        if (code_columns > LINE_COLUMNS || columns > COMMENT_COLUMNS) {
            report(findings, source, line,
                   "line of %d columns (code %d, with its comment %d at most)", columns,
                   LINE_COLUMNS, COMMENT_COLUMNS);
        }
        if (memchr(text, '\t', length) != NULL) {
            report(findings, source, line, "a tab: indent by 4 spaces");
        }
        if (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\r')) {
            report(findings, source, line, "white space at the end of the line");
        }
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
            const size_t mark_length = strlen(marks[i]);
            for (size_t j = 0; j + mark_length <= length; j++) {
                if (memcmp(text + j, marks[i], mark_length) == 0 &&
                    (j == 0 || !is_name(text[j - 1])) &&
                    (j + mark_length == length || !is_name(text[j + mark_length]))) {
                    report(findings, source, line, "%s: open work belongs in the issue tracker",
                           marks[i]);
                }
            }
        }
    }
    if (source->size_bytes > 0 && source->text[source->size_bytes - 1] != '\n') {
        report(findings, source, line_of(source, source->size_bytes),
               "no line end at the end of the file");
    }
    const int lines = line_of(source, source->size_bytes) - 1;
    if (lines > FILE_LINES && !in_folder(source->path, "tests")) {
        report(findings, source, lines, "%d lines, at most %d: which part is a noun of its own?",
               lines, FILE_LINES);
    }
}

/* "kernels/cpu/cpu_level.h" wants SHARDLM_KERNELS_CPU_CPU_LEVEL_H or SHARDLM_KERNELS_CPU_LEVEL_H:
 * the whole path, or the first folder and the name, which is unique. */
static void check_guard(const struct source_text *source, struct findings *findings)
{
    const char *const slash = strrchr(source->path, '/');
    const char *const name = slash == NULL ? source->path : slash + 1;
    const int folder_length = (int)strcspn(source->path, "/");
    char guards[2][MESSAGE_BYTES];
    (void)snprintf(guards[0], sizeof guards[0], "SHARDLM_%s", source->path);
    (void)snprintf(guards[1], sizeof guards[1], "SHARDLM_%.*s_%s", folder_length, source->path,
                   name);
    for (int i = 0; i < 2; i++) {
        for (char *c = guards[i]; *c != '\0'; c++) {
            *c = (char)(is_name(*c) ? toupper((unsigned char)*c) : '_');
        }
        char wanted[5 * MESSAGE_BYTES];
        (void)snprintf(wanted, sizeof wanted, "#ifndef %s\n#define %s\n", guards[i], guards[i]);
        if (strstr(source->uncommented, wanted) != NULL) {
            return;
        }
    }
    report(findings, source, 1, "no include guard %s", guards[0]);
}

void rules_check_source(const struct source_text *source, struct findings *findings)
{
    const size_t path_length = strlen(source->path);
    if (strncmp(source->text, "/*", 2) != 0) {
        report(findings, source, 1, "no file comment: say in the first lines what the file is for");
    }
    if (path_length > 2 && strcmp(source->path + path_length - 2, ".h") == 0) {
        check_guard(source, findings);
    }
    check_includes(source, findings);
    check_calls(source, findings);
    check_options(source, source->uncommented, findings);
    check_lines(source, findings);
}

void rules_check_build_file(const struct source_text *source, struct findings *findings)
{
    check_options(source, source->text, findings);
}

bool rules_name_counts(const char *path)
{
    const char *const slash = strrchr(path, '/');
    const char *const name = slash == NULL ? path : slash + 1;
    return !in_folder(path, "tests") && strcmp(name, "CMakeLists.txt") != 0 &&
           strcmp(name, "README.md") != 0;
}
