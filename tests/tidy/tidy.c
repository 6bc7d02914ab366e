/* Walks the repository and checks every source file against the rules (rules.h) and every file name
 * against all others. Prints "file:line: message" for each finding; exit code 1 if there is one, or
 * if there was nothing to check.
 *
 *     tidy ROOT
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/tidy/rules.h"

enum {
    PATH_LENGTH = 4096,
    FILE_LIMIT = 20000,
};

/* Folders that are checked; build folders and what else lies about are not. */
static const char *const folders[] = {
    "base",   "kernels", "data_pipeline", "model", "shard", "checkpoints", "coordinator",
    "worker", "tasks",   "launch",        "tests", "bench", "docs",        "examples"};

struct walk {
    const char *root;
    struct findings findings;
    char **paths; /* of files whose names must be unique */
    int path_count;
    int source_count;
};

static void finding_print(struct findings *findings, const char *path, int line,
                          const char *message)
{
    (void)findings;
    printf("%s:%d: %s\n", path, line, message);
}

static void give_up(const char *what, const char *path)
{
    fprintf(stderr, "tidy: %s \"%s\"\n", what, path);
    exit(EXIT_FAILURE);
}

static char *file_text(const char *path)
{
    FILE *const file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        give_up("could not open", path);
        return NULL;
    }
    char *const text = calloc((size_t)status.st_size + 1, 1);
    if (text == NULL || fread(text, 1, (size_t)status.st_size, file) != (size_t)status.st_size) {
        give_up("could not read", path);
    }
    (void)fclose(file);
    return text;
}

static bool ends_with(const char *path, const char *end)
{
    const size_t path_length = strlen(path);
    const size_t end_length = strlen(end);
    return path_length >= end_length && strcmp(path + path_length - end_length, end) == 0;
}

static void check_file(struct walk *walk, const char *path)
{
    if (rules_name_counts(path)) {
        if (walk->path_count == FILE_LIMIT) {
            give_up("too many files at", path);
        }
        walk->paths[walk->path_count++] = strdup(path);
    }
    const bool build_file = ends_with(path, "CMakeLists.txt");
    if (!ends_with(path, ".c") && !ends_with(path, ".h") && !build_file) {
        return;
    }
    char full[2 * PATH_LENGTH];
    (void)snprintf(full, sizeof full, "%s/%s", walk->root, path);
    char *const text = file_text(full);
    struct source_text source;
    source_text_init(&source, path, text);
    if (build_file) {
        rules_check_build_file(&source, &walk->findings);
    } else {
        rules_check_source(&source, &walk->findings);
        walk->source_count++;
    }
    source_text_deinit(&source);
    free(text);
}

static void walk_folder(struct walk *walk, const char *folder)
{
    char full[2 * PATH_LENGTH];
    (void)snprintf(full, sizeof full, "%s/%s", walk->root, folder);
    struct dirent **entries;
    const int count = scandir(full, &entries, NULL, alphasort);
    if (count < 0) {
        return; /* a folder that has no file yet */
    }
    for (int i = 0; i < count; i++) {
        const char *const name = entries[i]->d_name;
        char path[PATH_LENGTH];
        struct stat status;
        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        (void)snprintf(full, sizeof full, "%s/%s", walk->root, path);
        if (name[0] != '.' && lstat(full, &status) == 0) {
            if (S_ISDIR(status.st_mode)) {
                walk_folder(walk, path);
            } else if (S_ISREG(status.st_mode)) {
                check_file(walk, path);
            }
        }
        free(entries[i]);
    }
    free(entries);
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

static int compare_names(const void *a, const void *b)
{
    const char *const path_a = *(const char *const *)a;
    const char *const path_b = *(const char *const *)b;
    const int order = strcmp(name_of(path_a), name_of(path_b));
    return order != 0 ? order : strcmp(path_a, path_b);
}

static void check_names(struct walk *walk)
{
    qsort(walk->paths, (size_t)walk->path_count, sizeof walk->paths[0], compare_names);
    for (int i = 1; i < walk->path_count; i++) {
        if (strcmp(name_of(walk->paths[i - 1]), name_of(walk->paths[i])) == 0) {
            printf("%s:1: %s has the same name\n", walk->paths[i], walk->paths[i - 1]);
            walk->findings.count++;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: tidy ROOT\n", stderr);
        return 2;
    }
    struct walk walk = {
        .root = argv[1],
        .findings = {.report = finding_print},
        .paths = calloc(FILE_LIMIT, sizeof(char *)),
    };
    if (walk.paths == NULL) {
        give_up("no memory for", argv[1]);
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        walk_folder(&walk, folders[i]);
    }
    check_names(&walk);
    for (int i = 0; i < walk.path_count; i++) {
        free(walk.paths[i]);
    }
    free(walk.paths);
    printf("tidy: %d source files, %d findings\n", walk.source_count, walk.findings.count);
    return walk.findings.count == 0 && walk.source_count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
