/* See journal.h. */
#include "coordinator/journal.h"

#include <stdio.h>
#include <string.h>

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
    memory_release(journal->pending);
    *journal = (struct journal){.file = {.descriptor = -1}};
}

static void line_keep(struct journal *journal, const char *line)
{
    const size_t length = strlen(line);
    const size_t needed = journal->pending_bytes + length + 1;
    if (needed > JOURNAL_PENDING_BYTES_MAX) {
        return;
    }
    void *pending = journal->pending;
    memory_reserve(&pending, &journal->pending_capacity, needed, 1, "journal lines");
    journal->pending = pending;
    memcpy(journal->pending + journal->pending_bytes, line, length);
    journal->pending[needed - 1] = '\n';
    journal->pending_bytes = needed;
}

enum status journal_add(struct journal *journal, json_t *fields, struct error *error)
{
    char time[CLOCK_TEXT_BYTES];
    clock_wall_text(time);
    INVARIANT(fields != NULL && json_object_set_new(fields, "time", json_string(time)) == 0);
    memory_release(journal->line);
    journal->line = json_line(fields);
    if (journal->file.path[0] == '\0') {
        return STATUS_OK;
    }
    line_keep(journal, journal->line);
    TRY(line_file_append(&journal->file, journal->pending, journal->pending_bytes, error));
    journal->pending_bytes = 0;
    return STATUS_OK;
}

static void tail_take(struct journal_tail *tail, const char *line, size_t length, bool recent)
{
    json_t *const fields = json_loadb(line, length, 0, NULL);
    const json_t *const event = json_object_get(fields, "event");
    if (event == NULL && json_object_get(fields, "loss") != NULL) {
        tail->stepped = tail->stepped || (recent && json_object_get(fields, "recalled") == NULL);
        if (tail->last_step == 0) {
            tail->last_step = (int64_t)json_integer_value(json_object_get(fields, "step"));
        }
    }
    if (recent && event != NULL && strcmp(json_string_value(event), "failure") == 0 &&
        tail->failure[0] == '\0') {
        const char *const text = json_string_value(json_object_get(fields, "text"));
        (void)snprintf(tail->failure, sizeof tail->failure, "%.500s", text == NULL ? "" : text);
    }
    if (recent && event != NULL && strcmp(json_string_value(event), "resize") == 0 &&
        tail->workers_next == 0) {
        tail->workers_next = (int64_t)json_integer_value(json_object_get(fields, "workers_next"));
    }
    json_decref(fields);
}

struct journal_tail journal_tail(const char *path, int64_t from_bytes)
{
    struct journal_tail tail = {0};
    struct file_map map;
    struct error ignored;
    if (!file_exists(path) || file_map_open(&map, path, &ignored) != STATUS_OK) {
        return tail;
    }
    tail.size_bytes = (int64_t)map.size_bytes;
    const char *const text = (const char *)map.data;
    size_t end = map.size_bytes;
    while (end > 0 && (tail.last_step == 0 || (int64_t)end > from_bytes)) {
        const char *const before = memrchr(text, '\n', end - 1);
        const size_t first = before == NULL ? 0 : (size_t)(before - text) + 1;
        tail_take(&tail, text + first, end - first, (int64_t)first >= from_bytes);
        end = first;
    }
    file_map_close(&map);
    return tail;
}

static enum journal_state line_state(const char *line, size_t length)
{
    json_t *const fields = json_loadb(line, length, 0, NULL);
    const char *const event = json_string_value(json_object_get(fields, "event"));
    const char *const status = json_string_value(json_object_get(fields, "status"));
    enum journal_state state = JOURNAL_STATE_OPEN;
    if (event != NULL && strcmp(event, "end") == 0) {
        state = JOURNAL_STATE_CLOSED;
    } else if (event != NULL && strcmp(event, "failure") == 0) {
        const bool lost = status != NULL && strcmp(status, status_name(STATUS_PEER)) == 0;
        state = lost ? JOURNAL_STATE_LOST : JOURNAL_STATE_CLOSED;
    }
    json_decref(fields);
    return state;
}

enum journal_state journal_state(const char *path, int64_t from_bytes)
{
    struct file_map map;
    struct error ignored;
    if (!file_exists(path) || file_map_open(&map, path, &ignored) != STATUS_OK) {
        return JOURNAL_STATE_SILENT;
    }
    enum journal_state state = JOURNAL_STATE_SILENT;
    if ((int64_t)map.size_bytes > from_bytes) {
        const char *const text = (const char *)map.data;
        const char *const before = memrchr(text, '\n', map.size_bytes - 1);
        const size_t first = before == NULL ? 0 : (size_t)(before - text) + 1;
        state = line_state(text + first, map.size_bytes - first);
    }
    file_map_close(&map);
    return state;
}
