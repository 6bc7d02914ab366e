/* See shard_file.h. */
#include "checkpoints/shard_file.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoints/checkpoint_hdf5.h"

enum {
    TRANSFER_ELEMENTS_MAX =
        1 << 27, /* one HDF5 call moves at most 512 MiB (reads and writes of 1 GiB and more failed
                                        on some file systems) */
    CHECK_ELEMENTS = 1 << 18,
    DATASET_NAME_BYTES = PARAMETER_NAME_BYTES + 32,
};

static const char digest_attribute[] = "xxh3_128";

const char *checkpoint_array_name(enum checkpoint_array array)
{
    static const char *const names[CHECKPOINT_ARRAY_COUNT] = {
        [CHECKPOINT_ARRAY_WEIGHTS] = "weights",
        [CHECKPOINT_ARRAY_FIRST] = "adamw/first",
        [CHECKPOINT_ARRAY_SECOND] = "adamw/second",
    };
    INVARIANT(array < CHECKPOINT_ARRAY_COUNT);
    return names[array];
}

void shard_file_name(char name[SHARD_FILE_NAME_BYTES], const struct parameter_table *table,
                     int64_t group)
{
    const int length =
        snprintf(name, SHARD_FILE_NAME_BYTES, "parts/%s.h5", table->groups[group].name);
    INVARIANT(length > 0 && length < SHARD_FILE_NAME_BYTES);
}

static void dataset_name(char name[DATASET_NAME_BYTES], enum checkpoint_array array,
                         const struct parameter *row)
{
    const int length =
        snprintf(name, DATASET_NAME_BYTES, "%s/%s", checkpoint_array_name(array), row->name);
    INVARIANT(length > 0 && length < DATASET_NAME_BYTES);
}

/* A box of a tensor whose elements follow each other in memory. */
struct box {
    hsize_t start[2];
    hsize_t extent[2];
    int64_t count;
};

/* The largest box at the front of elements [position, end): the rest of a row begun, whole rows, or a row's front. */
static struct box box_next(const struct parameter *row, int64_t position, int64_t end)
{
    int64_t count = end - position;
    if (count > TRANSFER_ELEMENTS_MAX) {
        count = TRANSFER_ELEMENTS_MAX;
    }
    if (row->cols == 0) {
        return (struct box){{(hsize_t)position, 0}, {(hsize_t)count, 0}, count};
    }
    const int64_t column = position % row->cols;
    if (column != 0 || count < row->cols) {
        const int64_t left = row->cols - column;
        count = count < left ? count : left;
        return (struct box){
            {(hsize_t)(position / row->cols), (hsize_t)column}, {1, (hsize_t)count}, count};
    }
    const int64_t rows = count / row->cols;
    return (struct box){{(hsize_t)(position / row->cols), 0},
                        {(hsize_t)rows, (hsize_t)row->cols},
                        rows * row->cols};
}

/* Moves one box between file and memory: writes from `in`, or reads into `out` where `in` is NULL. */
static enum status box_move(hid_t dataset, const struct box *box, const float *in, float *out,
                            const char *path, struct error *error)
{
    const hsize_t count = (hsize_t)box->count;
    const hid_t file_space = H5Dget_space(dataset);
    const hid_t memory_space = H5Screate_simple(1, &count, NULL);
    const hid_t type = H5T_NATIVE_FLOAT;
    bool moved =
        file_space >= 0 && memory_space >= 0 &&
        H5Sselect_hyperslab(file_space, H5S_SELECT_SET, box->start, NULL, box->extent, NULL) >= 0;
    if (moved) {
        moved = in != NULL
                    ? H5Dwrite(dataset, type, memory_space, file_space, H5P_DEFAULT, in) >= 0
                    : H5Dread(dataset, type, memory_space, file_space, H5P_DEFAULT, out) >= 0;
    }
    enum status status = STATUS_OK;
    if (!moved) {
        status = in != NULL ? hdf5_fail(error, STATUS_IO, "write a tensor to", path)
                            : hdf5_fail(error, STATUS_FORMAT, "read a tensor of", path);
    }
    (void)H5Sclose(memory_space);
    (void)H5Sclose(file_space);
    return status;
}

/* Elements [first, first + count) of one tensor. */
static enum status tensor_read(hid_t dataset, const struct parameter *row, int64_t first,
                               int64_t count, float *out, const char *path, struct error *error)
{
    for (int64_t done = 0; done < count;) {
        const struct box box = box_next(row, first + done, first + count);
        TRY(box_move(dataset, &box, NULL, out + done, path, error));
        done += box.count;
    }
    return STATUS_OK;
}

/* Early allocation without fill values: every byte of the data is written exactly once, by us. */
static enum status dataset_create(hid_t *dataset, hid_t file, const char *name,
                                  const struct parameter *row, const char *path,
                                  struct error *error)
{
    const hsize_t extent[2] = {(hsize_t)row->rows, (hsize_t)row->cols};
    const hid_t space = H5Screate_simple(row->cols == 0 ? 1 : 2, extent, NULL);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    *dataset = -1;
    if (space >= 0 && creation >= 0 && H5Pset_layout(creation, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_obj_track_times(creation, false) >= 0 &&
        H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0) {
        *dataset =
            H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    }
    const enum status status =
        *dataset < 0 ? hdf5_fail(error, STATUS_IO, "write a tensor to", path) : STATUS_OK;
    (void)H5Pclose(creation);
    (void)H5Sclose(space);
    return status;
}

/* A dataset left open by an error is closed with its file. */
static enum status tensor_write(hid_t file, const struct parameter *row,
                                enum checkpoint_array array, const float *values, const char *path,
                                struct error *error)
{
    char name[DATASET_NAME_BYTES];
    dataset_name(name, array, row);
    char text[DIGEST_TEXT_BYTES];
    digest_text(digest_bytes(values, (size_t)row->count * sizeof *values), text);
    hid_t dataset;
    TRY(dataset_create(&dataset, file, name, row, path, error));
    TRY(hdf5_attribute_text(dataset, digest_attribute, text, path, error));
    for (int64_t done = 0; done < row->count;) {
        const struct box box = box_next(row, done, row->count);
        TRY(box_move(dataset, &box, values + done, NULL, path, error));
        done += box.count;
    }
    if (H5Dclose(dataset) < 0) {
        return hdf5_fail(error, STATUS_IO, "write a tensor to", path);
    }
    return STATUS_OK;
}

static enum status group_write(hid_t file, const struct parameter_table *table, int64_t group,
                               const float *const arrays[CHECKPOINT_ARRAY_COUNT], const char *path,
                               struct error *error)
{
    for (int array = 0; array < CHECKPOINT_ARRAY_COUNT; array++) {
        const char *const name = checkpoint_array_name((enum checkpoint_array)array);
        TRY(hdf5_group_make(file, name, path, error));
        for (int64_t i = 0; i < table->row_count; i++) {
            const struct parameter *const row = &table->rows[i];
            if (row->group == group) {
                const float *const values =
                    arrays[array] + (row->offset - table->groups[group].offset);
                TRY(tensor_write(file, row, (enum checkpoint_array)array, values, path, error));
            }
        }
    }
    return STATUS_OK;
}

enum status shard_file_write(const char *path, const struct parameter_table *table, int64_t group,
                             const float *const arrays[CHECKPOINT_ARRAY_COUNT], struct error *error)
{
    hid_t file;
    TRY(hdf5_create(&file, path, error));
    enum status status = group_write(file, table, group, arrays, path, error);
    if (status == STATUS_OK) {
        status = hdf5_finish(file, path, error);
    } else {
        hdf5_abandon(file);
    }
    if (status != STATUS_OK) {
        struct error ignored; /* the first error is the one to tell */
        (void)!file_remove(path, &ignored);
    }
    return status;
}

static bool dataset_is_plain(hid_t dataset)
{
    const hid_t creation = H5Dget_create_plist(dataset);
    const hid_t type = H5Dget_type(dataset);
    const bool plain = H5Pget_layout(creation) == H5D_CONTIGUOUS &&
                       H5Pget_external_count(creation) == 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0;
    (void)H5Tclose(type);
    (void)H5Pclose(creation);
    return plain;
}

/* Opens a tensor and checks that it is stored as tensor_write() stores it. */
static enum status tensor_open(hid_t *dataset, hid_t file, const struct parameter *row,
                               enum checkpoint_array array, const char *path, struct error *error)
{
    char name[DATASET_NAME_BYTES];
    dataset_name(name, array, row);
    *dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (*dataset < 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": tensor \"%s\" is missing", path, name);
    }
    if (!dataset_is_plain(*dataset)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": tensor \"%s\" is not a contiguous dataset of 32-bit little-endian floats",
             path, name);
    }
    const int rank = row->cols == 0 ? 1 : 2;
    hsize_t extent[2] = {0, 0};
    const hid_t space = H5Dget_space(*dataset);
    const bool ranked = H5Sget_simple_extent_ndims(space) == rank &&
                        H5Sget_simple_extent_dims(space, extent, NULL) == rank;
    (void)H5Sclose(space);
    if (!ranked || extent[0] != (hsize_t)row->rows || extent[1] != (hsize_t)row->cols) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": tensor \"%s\" has another shape, (%llu, %llu) instead of (%lld, %lld)", path,
             name, (unsigned long long)extent[0], (unsigned long long)extent[1],
             (long long)row->rows, (long long)row->cols);
    }
    return STATUS_OK;
}

static enum status tensor_check(hid_t file, const struct parameter *row,
                                enum checkpoint_array array, float *piece, const char *path,
                                struct error *error)
{
    hid_t dataset;
    TRY(tensor_open(&dataset, file, row, array, path, error));
    char expected[DIGEST_TEXT_BYTES];
    TRY(hdf5_attribute_text_read(dataset, digest_attribute, DIGEST_TEXT_BYTES - 1, expected, path,
                                 error));
    struct digest_stream stream;
    digest_stream_init(&stream);
    enum status status = STATUS_OK;
    for (int64_t done = 0; done < row->count && status == STATUS_OK;) {
        const int64_t left = row->count - done;
        const int64_t count = left < CHECK_ELEMENTS ? left : CHECK_ELEMENTS;
        status = tensor_read(dataset, row, done, count, piece, path, error);
        digest_stream_add(&stream, piece, (size_t)count * sizeof *piece);
        done += count;
    }
    char got[DIGEST_TEXT_BYTES];
    digest_text(digest_stream_value(&stream), got);
    digest_stream_deinit(&stream);
    TRY(status);
    if (strcmp(got, expected) != 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": tensor \"%s/%s\" does not read back as it was written",
             path, checkpoint_array_name(array), row->name);
    }
    (void)H5Dclose(dataset);
    return STATUS_OK;
}

enum status shard_file_check(const char *path, const struct parameter_table *table, int64_t group,
                             struct error *error)
{
    hid_t file;
    TRY(hdf5_open(&file, path, error));
    float *const piece = memory_take(CHECK_ELEMENTS, sizeof *piece, "checkpoint check");
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < table->row_count && status == STATUS_OK; i++) {
        if (table->rows[i].group != group) {
            continue;
        }
        for (int array = 0; array < CHECKPOINT_ARRAY_COUNT && status == STATUS_OK; array++) {
            status = tensor_check(file, &table->rows[i], (enum checkpoint_array)array, piece, path,
                                  error);
        }
    }
    memory_release(piece);
    hdf5_abandon(file);
    return status;
}

enum status shard_file_read(const char *path, const struct parameter_table *table, int64_t group,
                            enum checkpoint_array array, int64_t first, int64_t count, float *out,
                            struct error *error)
{
    hid_t file;
    TRY(hdf5_open(&file, path, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < table->row_count && status == STATUS_OK; i++) {
        const struct parameter *const row = &table->rows[i];
        const int64_t begin = row->offset > first ? row->offset : first;
        const int64_t row_end = row->offset + row->count;
        const int64_t end = row_end < first + count ? row_end : first + count;
        if (row->group != group || begin >= end) {
            continue;
        }
        hid_t dataset;
        status = tensor_open(&dataset, file, row, array, path, error);
        if (status == STATUS_OK) {
            status = tensor_read(dataset, row, begin - row->offset, end - begin,
                                 out + (begin - first), path, error);
            (void)H5Dclose(dataset);
        }
    }
    hdf5_abandon(file);
    return status;
}
