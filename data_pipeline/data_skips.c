/* See data_skips.h. */
#include "data_pipeline/data_skips.h"

#include "base/file.h"
#include "base/json.h"

enum { SKIPS_BYTES_MAX = 1 << 16 };

int64_t data_skips_step(const struct data_skips *skips, int64_t step)
{
    int64_t later = 0;
    for (int64_t i = 0; i < skips->count; i++) {
        later += step >= skips->list[i].from_step ? skips->list[i].steps : 0;
    }
    return step + later;
}

enum status data_skips_add(struct data_skips *skips, int64_t from_step, int64_t steps,
                           struct error *error)
{
    if (skips->count == DATA_SKIPS_MAX) {
        FAIL(error, STATUS_LIMIT, "data was passed over %d times already", DATA_SKIPS_MAX);
    }
    skips->list[skips->count++] = (struct data_skip){from_step, steps};
    return STATUS_OK;
}

static enum status skips_take(struct data_skips *skips, const json_t *root, const char *path,
                              struct error *error)
{
    json_t *list;
    TRY(json_member_array(root, "skips", path, &list, error));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *const entry = json_array_get(list, i);
        int64_t from_step;
        int64_t steps;
        TRY(json_member_integer(entry, "from_step", path, &from_step, error));
        TRY(json_member_integer(entry, "steps", path, &steps, error));
        if (from_step < 1 || steps < 1 || steps > INT32_MAX) {
            FAIL(error, STATUS_FORMAT, "\"%s\": entry %zu is out of range", path, i);
        }
        TRY(data_skips_add(skips, from_step, steps, error));
    }
    return STATUS_OK;
}

enum status data_skips_read(struct data_skips *skips, const char *run, struct error *error)
{
    char path[PATH_BYTES];
    *skips = (struct data_skips){0};
    TRY(path_join(path, run, "skips.json", error));
    if (!file_exists(path)) {
        return STATUS_OK;
    }
    json_t *root;
    TRY(json_read_file(path, SKIPS_BYTES_MAX, &root, error));
    const enum status status = skips_take(skips, root, path, error);
    json_decref(root);
    return status;
}

enum status data_skips_write(const struct data_skips *skips, const char *run, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "skips.json", error));
    json_t *const list = json_array();
    for (int64_t i = 0; i < skips->count; i++) {
        json_t *const entry =
            json_pack("{s:I, s:I}", "from_step", (json_int_t)skips->list[i].from_step, "steps",
                      (json_int_t)skips->list[i].steps);
        INVARIANT(json_array_append_new(list, entry) == 0);
    }
    json_t *const root = json_pack("{s:o}", "skips", list);
    const enum status status = json_write_file(path, root, error);
    json_decref(root);
    return status;
}
