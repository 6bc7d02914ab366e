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
    memory_release(journal->line);
    journal->line = json_line(fields);
    return journal->file.descriptor < 0
               ? STATUS_OK
               : line_file_append(&journal->file, journal->line, false, error);
}
