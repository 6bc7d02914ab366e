/* See corpus_hdf5.h. */
#include "data_pipeline/corpus_hdf5.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

enum {
    HDF5_ALIGNMENT_BYTES = 64, /* of datasets in the file, so that a map of it is aligned too */
    HDF5_TEXT_BYTES = 256,
    HDF5_REASON_BYTES = 160,
};

static herr_t hdf5_first_reason(unsigned depth, const H5E_error2_t *entry, void *reason)
{
    if (depth == 0 && entry->desc != NULL) {
        int length;
        const char *const words = error_system_words(entry->desc, &length);
        (void)snprintf(reason, HDF5_REASON_BYTES, "%.*s", length, words);
    }
    return 0;
}

static enum status hdf5_fail(const struct corpus_hdf5 *hdf5, enum status status, const char *what,
                             const char *name, struct error *error)
{
    char reason[HDF5_REASON_BYTES] = "HDF5 gives no reason";
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, hdf5_first_reason, reason);
    FAIL(error, status, "could not %s \"%s\" in \"%s\": %s", what, name, hdf5->path, reason);
}

static hid_t element_type(enum corpus_element element)
{
    switch (element) {
    case CORPUS_ELEMENT_UINT16:
        return H5T_STD_U16LE;
    case CORPUS_ELEMENT_UINT32:
        return H5T_STD_U32LE;
    case CORPUS_ELEMENT_INT64:
        return H5T_STD_I64LE;
    case CORPUS_ELEMENT_UINT64:
        return H5T_STD_U64LE;
    }
    return H5I_INVALID_HID;
}

static enum status hdf5_begin(struct corpus_hdf5 *hdf5, const char *path, bool create,
                              struct error *error)
{
    *hdf5 = (struct corpus_hdf5){.file = 0, .path = path};
    (void)H5dont_atexit(); /* it would close once more what it failed to close, and crash */
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    (void)H5Pset_alignment(access, 1, HDF5_ALIGNMENT_BYTES);
    /* A shard never changes once it is there, and locks fail on some network file systems. */
    (void)H5Pset_file_locking(access, false, true);
    (void)H5Pset_obj_track_times(creation, false);
    hdf5->file = create ? H5Fcreate(path, H5F_ACC_TRUNC, creation, access)
                        : H5Fopen(path, H5F_ACC_RDONLY, access);
    enum status status = STATUS_OK;
    if (hdf5->file < 0) {
        hdf5->file = 0;
        status = hdf5_fail(hdf5, create ? STATUS_IO : STATUS_FORMAT, create ? "create" : "open",
                           "/", error);
    }
    (void)H5Pclose(creation);
    (void)H5Pclose(access);
    return status;
}

enum status corpus_hdf5_create(struct corpus_hdf5 *hdf5, const char *path, struct error *error)
{
    return hdf5_begin(hdf5, path, true, error);
}

enum status corpus_hdf5_open(struct corpus_hdf5 *hdf5, const char *path, struct error *error)
{
    return hdf5_begin(hdf5, path, false, error);
}

enum status corpus_hdf5_close(struct corpus_hdf5 *hdf5, struct error *error)
{
    const int64_t file = hdf5->file;
    hdf5->file = 0;
    if (file != 0 && H5Fclose(file) < 0) {
        return hdf5_fail(hdf5, STATUS_IO, "close", "/", error);
    }
    return STATUS_OK;
}

enum status corpus_hdf5_write(const struct corpus_hdf5 *hdf5, const char *name,
                              enum corpus_element element, const void *data, int64_t count,
                              int64_t *offset_bytes, struct error *error)
{
    const hsize_t extent = (hsize_t)count;
    const hid_t type = element_type(element);
    const hid_t space = H5Screate_simple(1, &extent, NULL);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    (void)H5Pset_layout(creation, H5D_CONTIGUOUS);
    (void)H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    (void)H5Pset_obj_track_times(creation, false);
    const hid_t dataset =
        H5Dcreate2(hdf5->file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    enum status status = STATUS_OK;
    if (dataset < 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
        status = hdf5_fail(hdf5, STATUS_IO, "write dataset", name, error);
    } else {
        const haddr_t place = H5Dget_offset(dataset);
        *offset_bytes = place == HADDR_UNDEF ? -1 : (int64_t)place;
    }
    if (dataset >= 0 && H5Dclose(dataset) < 0 && status == STATUS_OK) {
        status = hdf5_fail(hdf5, STATUS_IO, "close dataset", name, error);
    }
    (void)H5Pclose(creation);
    (void)H5Sclose(space);
    return status;
}

static bool dataset_matches(hid_t dataset, enum corpus_element element, int64_t count)
{
    const hid_t type = H5Dget_type(dataset);
    const hid_t space = H5Dget_space(dataset);
    const hid_t creation = H5Dget_create_plist(dataset);
    hsize_t extent = 0;
    const bool matches =
        H5Tequal(type, element_type(element)) > 0 && H5Sget_simple_extent_ndims(space) == 1 &&
        H5Sget_simple_extent_dims(space, &extent, NULL) == 1 && extent == (hsize_t)count &&
        H5Pget_layout(creation) == H5D_CONTIGUOUS && H5Pget_external_count(creation) == 0;
    (void)H5Pclose(creation);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return matches;
}

enum status corpus_hdf5_find(const struct corpus_hdf5 *hdf5, const char *name,
                             enum corpus_element element, int64_t count, int64_t *offset_bytes,
                             struct error *error)
{
    const hid_t dataset = H5Dopen2(hdf5->file, name, H5P_DEFAULT);
    if (dataset < 0) {
        return hdf5_fail(hdf5, STATUS_FORMAT, "open dataset", name, error);
    }
    const bool matches = dataset_matches(dataset, element, count);
    const haddr_t place = H5Dget_offset(dataset);
    (void)H5Dclose(dataset);
    if (!matches || place == HADDR_UNDEF) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": dataset \"%s\" is not a contiguous row of %lld elements of the expected type",
             hdf5->path, name, (long long)count);
    }
    *offset_bytes = (int64_t)place;
    return STATUS_OK;
}

enum status corpus_hdf5_put_integers(const struct corpus_hdf5 *hdf5, const char *name,
                                     const int64_t *values, int64_t count, struct error *error)
{
    const hsize_t extent = (hsize_t)count;
    const hid_t space = H5Screate_simple(1, &extent, NULL);
    const hid_t attribute =
        H5Acreate2(hdf5->file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool written = attribute >= 0 && H5Awrite(attribute, H5T_STD_I64LE, values) >= 0;
    if (attribute >= 0) {
        (void)H5Aclose(attribute);
    }
    (void)H5Sclose(space);
    return written ? STATUS_OK : hdf5_fail(hdf5, STATUS_IO, "write attribute", name, error);
}

enum status corpus_hdf5_get_integers(const struct corpus_hdf5 *hdf5, const char *name,
                                     int64_t *values, int64_t count, struct error *error)
{
    const hid_t attribute = H5Aopen(hdf5->file, name, H5P_DEFAULT);
    if (attribute < 0) {
        return hdf5_fail(hdf5, STATUS_FORMAT, "open attribute", name, error);
    }
    const hid_t space = H5Aget_space(attribute);
    const hid_t type = H5Aget_type(attribute);
    const bool fits =
        H5Sget_simple_extent_npoints(space) == (hssize_t)count && H5Tget_class(type) == H5T_INTEGER;
    const bool got = fits && H5Aread(attribute, H5T_STD_I64LE, values) >= 0;
    (void)H5Tclose(type);
    (void)H5Sclose(space);
    (void)H5Aclose(attribute);
    if (!got) {
        FAIL(error, STATUS_FORMAT, "\"%s\": attribute \"%s\" is not %lld integers", hdf5->path,
             name, (long long)count);
    }
    return STATUS_OK;
}

enum status corpus_hdf5_put_text(const struct corpus_hdf5 *hdf5, const char *name, const char *text,
                                 struct error *error)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    (void)H5Tset_size(type, strlen(text));
    (void)H5Tset_strpad(type, H5T_STR_NULLPAD);
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(hdf5->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool written = attribute >= 0 && H5Awrite(attribute, type, text) >= 0;
    if (attribute >= 0) {
        (void)H5Aclose(attribute);
    }
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return written ? STATUS_OK : hdf5_fail(hdf5, STATUS_IO, "write attribute", name, error);
}

enum status corpus_hdf5_match_text(const struct corpus_hdf5 *hdf5, const char *name,
                                   const char *text, struct error *error)
{
    const hid_t attribute = H5Aopen(hdf5->file, name, H5P_DEFAULT);
    if (attribute < 0) {
        return hdf5_fail(hdf5, STATUS_FORMAT, "open attribute", name, error);
    }
    char found[HDF5_TEXT_BYTES] = {0};
    const hid_t type = H5Aget_type(attribute);
    const hid_t space = H5Aget_space(attribute);
    const bool got = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
                     H5Tget_size(type) < sizeof found && H5Sget_simple_extent_npoints(space) == 1 &&
                     H5Aread(attribute, type, found) >= 0;
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    if (!got || strcmp(found, text) != 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": attribute \"%s\" is \"%.64s\", expected \"%s\"",
             hdf5->path, name, got ? found : "no short text", text);
    }
    return STATUS_OK;
}
