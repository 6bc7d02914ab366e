/* See journal.h. */
#include "coordinator/journal.h"

#include "base/clock.h"
#include "base/memory.h"

enum status journal_open(struct journal *journal, const char *path, struct error *error)
{
    *journal = (struct journal){.file = {.descriptor = -1}};
    return path == NULL ? STATUS_OK : line_file_open(&journal->file, path, error);
}

void journal_close(struct journal *journal)
{
    line_file_close(&journal->file);
    memory_release(journal->line);
    journal->line = NULL;
}

enum status journal_add(struct journal *journal, json_t *fields, struct error *error)
{
    char time[CLOCK_TEXT_BYTES];
    clock_wall_text(time);
    INVARIANT(fields != NULL && json_object_set_new(fields, "time", json_string(time)) == 0);
    char *const text = json_dumps(fields, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(fields);
    INVARIANT(text != NULL);
    memory_release(journal->line);
    journal->line = memory_text(text);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
    return journal->file.descriptor < 0
               ? STATUS_OK
               : line_file_append(&journal->file, journal->line, false, error);
}
