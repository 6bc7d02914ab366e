/* See state_file.h. */
#include "checkpoints/state_file.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>

#include "checkpoints/checkpoint_hdf5.h"
#include "checkpoints/shard_file.h"

static enum status attributes_write(hid_t file, const struct checkpoint_meta *meta,
                                    const char *path, struct error *error)
{
    const int64_t version = CHECKPOINT_FORMAT_VERSION;
    const struct {
        const char *name;
        hid_t file_type;
        hid_t memory_type;
        const void *value;
    } scalars[] = {
        {"format_version", H5T_STD_I64LE, H5T_NATIVE_INT64, &version},
        {"step", H5T_STD_I64LE, H5T_NATIVE_INT64, &meta->step},
        {"tokens", H5T_STD_I64LE, H5T_NATIVE_INT64, &meta->tokens},
        {"seed", H5T_STD_U64LE, H5T_NATIVE_UINT64, &meta->seed},
        {"held_out_loss", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &meta->held_out_loss},
    };
    for (int64_t i = 0; i < ARRAY_LENGTH(scalars); i++) {
        TRY(hdf5_attribute_scalar(file, scalars[i].name, scalars[i].file_type,
                                  scalars[i].memory_type, scalars[i].value, path, error));
    }
    char fingerprint[DIGEST_TEXT_BYTES];
    char corpus[DIGEST_TEXT_BYTES];
    digest_text(meta->fingerprint, fingerprint);
    digest_text(meta->corpus, corpus);
    TRY(hdf5_attribute_text(file, "fingerprint", fingerprint, path, error));
    TRY(hdf5_attribute_text(file, "corpus_fingerprint", corpus, path, error));
    TRY(hdf5_attribute_text(file, "profile", meta->profile, path, error));
    return hdf5_attribute_text(file, "shardlm_version", SHARDLM_VERSION, path, error);
}

/* A dataset whose elements are those of the same dataset in the tensor's part. Where the part is missing, readers get
 * NaN rather than a plausible zero. */
static enum status view_write(hid_t file, const struct parameter_table *table,
                              const struct parameter *row, enum checkpoint_array array,
                              const char *path, struct error *error)
{
    char part[SHARD_FILE_NAME_BYTES];
    shard_file_name(part, table, row->group);
    char name[PARAMETER_NAME_BYTES + 32];
    const int length =
        snprintf(name, sizeof name, "%s/%s", checkpoint_array_name(array), row->name);
    INVARIANT(length > 0 && (size_t)length < sizeof name);

    const hsize_t extent[2] = {(hsize_t)row->rows, (hsize_t)row->cols};
    const float absent = NAN;
    const hid_t space = H5Screate_simple(row->cols == 0 ? 1 : 2, extent, NULL);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    hid_t dataset = -1;
    if (space >= 0 && creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0 &&
        H5Pset_fill_value(creation, H5T_NATIVE_FLOAT, &absent) >= 0 &&
        H5Pset_virtual(creation, space, part, name, space) >= 0) {
        dataset = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    }
    const enum status status = dataset < 0 || H5Dclose(dataset) < 0
                                   ? hdf5_fail(error, STATUS_IO, "write a virtual dataset to", path)
                                   : STATUS_OK;
    (void)H5Pclose(creation);
    (void)H5Sclose(space);
    return status;
}

static enum status content_write(hid_t file, const struct parameter_table *table,
                                 const struct checkpoint_meta *meta, const char *path,
                                 struct error *error)
{
    TRY(attributes_write(file, meta, path, error));
    for (int array = 0; array < CHECKPOINT_ARRAY_COUNT; array++) {
        TRY(hdf5_group_make(file, checkpoint_array_name((enum checkpoint_array)array), path,
                            error));
        for (int64_t i = 0; i < table->row_count; i++) {
            TRY(view_write(file, table, &table->rows[i], (enum checkpoint_array)array, path,
                           error));
        }
    }
    return STATUS_OK;
}

enum status state_file_write(const char *path, const struct parameter_table *table,
                             const struct checkpoint_meta *meta, struct error *error)
{
    hid_t file;
    TRY(hdf5_create(&file, path, error));
    const enum status status = content_write(file, table, meta, path, error);
    if (status != STATUS_OK) {
        hdf5_abandon(file);
        return status;
    }
    return hdf5_finish(file, path, error);
}
