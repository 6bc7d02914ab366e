/* The rules of docs/style.md and docs/architecture.md that a program can check, on one file at a
 * time. The tables (who may include whom, which file may see a foreign library, which calls are
 * banned) stand in rules.c. */
#ifndef SHARDLM_TESTS_TIDY_RULES_H
#define SHARDLM_TESTS_TIDY_RULES_H

#include "tests/tidy/source_text.h"

struct findings {
    void (*report)(struct findings *findings, const char *path, int line, const char *message);
    void *context;
    int count;
};

/* Every rule that applies to a .c or .h file at `source->path`. */
void rules_check_source(const struct source_text *source, struct findings *findings);

/* Build files (CMakeLists.txt): options that change results. */
void rules_check_build_file(const struct source_text *source, struct findings *findings);

/* Names of files that must be unique in the repository; false for those that every folder may have.
 */
bool rules_name_counts(const char *path);

#endif
