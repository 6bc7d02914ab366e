/* See provenance.h. The manifest lists the source files in the order in which their documents were
 * numbered; with a shard left out the numbers have moved, and files are not named. */
#include "data_pipeline/provenance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/corpus_index.h"

enum { TEXT_PARTS_MAX = 4 };

struct provenance {
    const struct data_source *source;
    const struct corpus_index *index;
    json_t *manifest;
    json_t *files;            /* borrowed from it */
    int64_t *first_documents; /* (file count + 1) */
};

static enum status files_number(struct provenance *provenance, const char *path,
                                struct error *error)
{
    TRY(json_member_array(provenance->manifest, "sources", path, &provenance->files, error));
    const size_t count = json_array_size(provenance->files);
    provenance->first_documents =
        memory_take(count + 1, sizeof *provenance->first_documents, "source files");
    const int64_t all = provenance->index->corpus->document_count;
    for (size_t i = 0; i < count; i++) {
        const json_t *const file = json_array_get(provenance->files, i);
        const char *name;
        int64_t documents;
        TRY(json_member_text(file, "path", path, &name, error));
        TRY(json_member_integer(file, "documents", path, &documents, error));
        if (documents < 0 || documents > all - provenance->first_documents[i]) {
            FAIL(error, STATUS_FORMAT, "\"%s\": the sources hold more documents than the corpus",
                 path);
        }
        provenance->first_documents[i + 1] = provenance->first_documents[i] + documents;
    }
    return STATUS_OK;
}

enum status provenance_open(struct provenance **provenance, const struct data_source *source,
                            struct error *error)
{
    const struct corpus_index *const index = data_source_index(source);
    if (index == NULL) {
        FAIL(error, STATUS_INPUT, "synthetic data has no documents");
    }
    struct provenance *const opened = memory_take(1, sizeof *opened, "provenance");
    opened->source = source;
    opened->index = index;
    enum status status = STATUS_OK;
    if (index->corpus->shards_left_out == 0) {
        char path[PATH_BYTES];
        status = path_join(path, index->corpus->folder, "corpus.json", error);
        if (status == STATUS_OK) {
            status = json_read_file(path, CORPUS_MANIFEST_BYTES_MAX, &opened->manifest, error);
        }
        if (status == STATUS_OK) {
            status = files_number(opened, path, error);
        }
    }
    if (status != STATUS_OK) {
        provenance_close(opened);
        return status;
    }
    *provenance = opened;
    return STATUS_OK;
}

void provenance_close(struct provenance *provenance)
{
    if (provenance == NULL) {
        return;
    }
    memory_release(provenance->first_documents);
    json_decref(provenance->manifest);
    memory_release(provenance);
}

/* Fills in file and number. The last file that begins at or before the document has it: files
 * without documents begin where the next one does. */
static void part_name(const struct provenance *provenance, struct provenance_part *part)
{
    int64_t low = 0;
    int64_t high = (int64_t)json_array_size(provenance->files);
    part->source = "";
    part->source_document = -1;
    if (high == 0 || part->document >= provenance->first_documents[high]) {
        return;
    }
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (provenance->first_documents[middle] <= part->document) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const json_t *const file = json_array_get(provenance->files, (size_t)low);
    part->source = json_string_value(json_object_get(file, "path"));
    part->source_document = part->document - provenance->first_documents[low];
}

/* Room for one row of the index. */
static void row_init(struct corpus_row *row, const struct corpus_index *index)
{
    const size_t sequences = (size_t)index->sequences_in_row_max;
    *row = (struct corpus_row){0};
    row->ids = memory_take((size_t)index->options.sequence_tokens, sizeof *row->ids, "row");
    row->sequence_begins = memory_take(sequences, sizeof *row->sequence_begins, "row");
    row->second_begins = memory_take(sequences, sizeof *row->second_begins, "row");
    row->labels = memory_take(sequences, sizeof *row->labels, "row");
    row->parts = memory_take((size_t)index->parts_in_row_max, sizeof *row->parts, "row");
}

static void row_deinit(struct corpus_row *row)
{
    memory_release(row->ids);
    memory_release(row->sequence_begins);
    memory_release(row->second_begins);
    memory_release(row->labels);
    memory_release(row->parts);
}

enum status provenance_slot(const struct provenance *provenance, int64_t step, int64_t slot,
                            struct provenance_part **parts, int64_t *count, struct error *error)
{
    const struct data_source *const source = provenance->source;
    if (step < 1 || slot < 0 || slot >= data_source_slots(source)) {
        FAIL(error, STATUS_INPUT,
             "step %" PRId64 ", slot %" PRId64 ": expected a step from 1 and a slot below %" PRId64,
             step, slot, data_source_slots(source));
    }
    struct corpus_row row;
    row_init(&row, provenance->index);
    size_t capacity = 0;
    *parts = NULL;
    *count = 0;
    for (int64_t place = 0; place < data_source_slot_rows(source); place++) {
        const struct plan_row planned = data_source_row(source, step, slot, place);
        corpus_index_read(provenance->index, planned.row, &row);
        memory_reserve((void **)parts, &capacity, (size_t)(*count + row.part_count), sizeof **parts,
                       "documents of a slot");
        for (int64_t i = 0; i < row.part_count; i++) {
            struct provenance_part *const part = &(*parts)[(*count)++];
            *part = (struct provenance_part){.row = planned.row,
                                             .epoch = planned.epoch,
                                             .document = row.parts[i].document,
                                             .offset = row.parts[i].offset,
                                             .count = row.parts[i].count};
            part_name(provenance, part);
        }
    }
    row_deinit(&row);
    return STATUS_OK;
}

static void parts_text(const struct provenance_part *parts, int64_t count, char *text,
                       size_t size_bytes)
{
    size_t used = 0;
    for (int64_t i = 0; i < count && i < TEXT_PARTS_MAX && used < size_bytes; i++) {
        const int length = snprintf(
            text + used, size_bytes - used, "%sdocument %" PRId64 " (%s, its %" PRId64 ")",
            i > 0 ? ", " : "", parts[i].document, parts[i].source, parts[i].source_document);
        used += length > 0 ? (size_t)length : 0;
    }
    if (count > TEXT_PARTS_MAX && used < size_bytes) {
        (void)snprintf(text + used, size_bytes - used, " and %" PRId64 " more",
                       count - TEXT_PARTS_MAX);
    }
}

void provenance_text(const struct data_source *source, int64_t step, int64_t slot, char *text,
                     size_t size_bytes)
{
    struct provenance *provenance = NULL;
    struct provenance_part *parts = NULL;
    int64_t count = 0;
    struct error error = {0};
    enum status status = provenance_open(&provenance, source, &error);
    if (status == STATUS_OK) {
        status = provenance_slot(provenance, step, slot, &parts, &count, &error);
    }
    if (status == STATUS_OK) {
        parts_text(parts, count, text, size_bytes);
    } else {
        (void)snprintf(text, size_bytes, "%s", error.message);
    }
    memory_release(parts);
    provenance_close(provenance);
}
