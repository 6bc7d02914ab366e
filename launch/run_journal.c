/* See run_journal.h. */
#include "launch/run_journal.h"

#include <string.h>

#include "base/file.h"

int64_t run_journal_step(const json_t *line)
{
    const bool told =
        json_object_get(line, "loss") != NULL && json_object_get(line, "event") == NULL;
    const json_t *const step = json_object_get(line, "step");
    return told && json_is_integer(step) ? (int64_t)json_integer_value(step) : -1;
}

static void lines_read(const char *text, size_t size_bytes, run_journal_take take, void *context)
{
    const char *const end = text + size_bytes;
    for (const char *line = text; line < end;) {
        const char *const feed = memchr(line, '\n', (size_t)(end - line));
        if (feed == NULL) {
            return; /* being written */
        }
        json_t *value;
        struct error ignored;
        if (json_read_text("journal", line, (size_t)(feed - line), &value, &ignored) == STATUS_OK) {
            if (json_is_object(value)) {
                take(context, value);
            }
            json_decref(value);
        }
        line = feed + 1;
    }
}

enum status run_journal_read(const char *run, int64_t last_bytes, run_journal_take take,
                             void *context, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "journal.jsonl", error));
    struct file_map map;
    TRY(file_map_open(&map, path, error));
    const char *const text = (const char *)map.data;
    size_t first = 0;
    if (last_bytes > 0 && map.size_bytes > (size_t)last_bytes) {
        first = map.size_bytes - (size_t)last_bytes;
        const char *const feed = memchr(text + first, '\n', map.size_bytes - first);
        first = feed == NULL ? map.size_bytes : (size_t)(feed - text) + 1;
    }
    if (map.size_bytes > first) {
        lines_read(text + first, map.size_bytes - first, take, context);
    }
    file_map_close(&map);
    return STATUS_OK;
}
