/* See step_folder.h. */
#include "checkpoints/step_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 64, DIGITS_MIN = 8, DIGITS_MAX = 18 };

static const struct {
    const char *front;
    const char *back;
} forms[STEP_FOLDER_COUNT] = {
    [STEP_FOLDER_PUBLISHED] = {"step-", ""},
    [STEP_FOLDER_PARTIAL] = {".step-", ".partial"},
    [STEP_FOLDER_REPLACED] = {".step-", ".replaced"},
    [STEP_FOLDER_REMOVED] = {".step-", ".removed"},
};

static void name_make(char name[NAME_BYTES], enum step_folder kind, int64_t step)
{
    (void)snprintf(name, NAME_BYTES, "%s%0*" PRId64 "%s", forms[kind].front, (int)DIGITS_MIN, step,
                   forms[kind].back);
}

enum status step_folder_path(char path[PATH_BYTES], const char *root, enum step_folder kind,
                             int64_t step, struct error *error)
{
    INVARIANT(step >= 0);
    char name[NAME_BYTES];
    name_make(name, kind, step);
    return path_join(path, root, name, error);
}

bool step_folder_parse(const char *name, enum step_folder *kind, int64_t *step)
{
    const size_t front = strcspn(name, "0123456789");
    const size_t digits = strspn(name + front, "0123456789");
    if (digits < DIGITS_MIN || digits > DIGITS_MAX) {
        return false;
    }
    *step = 0;
    for (size_t i = 0; i < digits; i++) {
        *step = *step * 10 + (name[front + i] - '0');
    }
    for (int form = 0; form < STEP_FOLDER_COUNT; form++) {
        char again[NAME_BYTES];
        name_make(again, (enum step_folder)form, *step);
        if (strcmp(name, again) == 0) {
            *kind = (enum step_folder)form;
            return true;
        }
    }
    return false;
}
