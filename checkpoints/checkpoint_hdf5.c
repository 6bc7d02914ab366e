/* See checkpoint_hdf5.h. */
#include "checkpoints/checkpoint_hdf5.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

enum { REASON_BYTES = 256, HDF5_GROUP_BYTES = 64 };

/* HDF5's innermost entry is what happened; for system calls it holds strerror's text among much else. */
static herr_t reason_take(unsigned position, const H5E_error2_t *entry, void *context)
{
    char *const reason = context;
    if (position != 0 || entry->desc == NULL) {
        return 0;
    }
    int length;
    const char *const words = error_system_words(entry->desc, &length);
    (void)snprintf(reason, REASON_BYTES, "%.*s", length, words);
    return 0;
}

enum status hdf5_fail(struct error *error, enum status status, const char *action, const char *path)
{
    char reason[REASON_BYTES] = "no reason given by HDF5";
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, reason_take, reason);
    return error_set(error, status, "could not %s \"%s\": %s", action, path, reason);
}

/* Access properties of every file; the caller closes them. Negative on failure. */
static hid_t access_make(void)
{
    /* First of all: at exit the library would close once more what it failed to close, and crash. */
    (void)H5dont_atexit();
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0 || H5Pset_file_locking(access, false, true) < 0 ||
        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0 ||
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0) {
        return -1;
    }
    return access;
}

enum status hdf5_create(hid_t *file, const char *path, struct error *error)
{
    const hid_t access = access_make();
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    if (access < 0 || creation < 0 || H5Pset_obj_track_times(creation, false) < 0) {
        return hdf5_fail(error, STATUS_INTERNAL, "set up HDF5 for", path);
    }
    *file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    const enum status status = *file < 0 ? hdf5_fail(error, STATUS_IO, "create", path) : STATUS_OK;
    (void)H5Pclose(creation);
    (void)H5Pclose(access);
    return status;
}

enum status hdf5_finish(hid_t file, const char *path, struct error *error)
{
    if (H5Fflush(file, H5F_SCOPE_GLOBAL) < 0) {
        const enum status status = hdf5_fail(error, STATUS_IO, "write", path);
        (void)H5Fclose(file);
        return status;
    }
    if (H5Fclose(file) < 0) {
        return hdf5_fail(error, STATUS_IO, "close", path);
    }
    return file_flush(path, error);
}

enum status hdf5_open(hid_t *file, const char *path, struct error *error)
{
    const hid_t access = access_make();
    if (access < 0) {
        return hdf5_fail(error, STATUS_INTERNAL, "set up HDF5 for", path);
    }
    *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    const enum status status =
        *file < 0 ? hdf5_fail(error, STATUS_FORMAT, "open HDF5 file", path) : STATUS_OK;
    (void)H5Pclose(access);
    return status;
}

void hdf5_abandon(hid_t file)
{
    if (file >= 0) {
        (void)H5Fclose(file);
    }
}

/* One level: parents that HDF5 makes by itself would carry the time. */
static enum status group_make(hid_t file, const char *name, const char *path, struct error *error)
{
    const hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
    hid_t group = -1;
    if (creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0) {
        group = H5Gcreate2(file, name, H5P_DEFAULT, creation, H5P_DEFAULT);
    }
    const enum status status =
        group < 0 ? hdf5_fail(error, STATUS_IO, "write a group to", path) : STATUS_OK;
    if (group >= 0) {
        (void)H5Gclose(group);
    }
    (void)H5Pclose(creation);
    return status;
}

enum status hdf5_group_make(hid_t file, const char *name, const char *path, struct error *error)
{
    char parent[HDF5_GROUP_BYTES];
    for (size_t i = 1; name[i] != '\0'; i++) {
        if (name[i] != '/') {
            continue;
        }
        INVARIANT(i < sizeof parent);
        memcpy(parent, name, i);
        parent[i] = '\0';
        if (H5Lexists(file, parent, H5P_DEFAULT) <= 0) {
            TRY(group_make(file, parent, path, error));
        }
    }
    return group_make(file, name, path, error);
}

enum status hdf5_attribute_scalar(hid_t object, const char *name, hid_t file_type,
                                  hid_t memory_type, const void *value, const char *path,
                                  struct error *error)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool written = attribute >= 0 && H5Awrite(attribute, memory_type, value) >= 0;
    const enum status status =
        written ? STATUS_OK : hdf5_fail(error, STATUS_IO, "write an attribute to", path);
    if (attribute >= 0) {
        (void)H5Aclose(attribute);
    }
    (void)H5Sclose(space);
    return status;
}

enum status hdf5_attribute_text(hid_t object, const char *name, const char *text, const char *path,
                                struct error *error)
{
    const size_t length = strlen(text);
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, length == 0 ? 1 : length) < 0 ||
        H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        return hdf5_fail(error, STATUS_INTERNAL, "set up a text attribute of", path);
    }
    const enum status status = hdf5_attribute_scalar(object, name, type, type, text, path, error);
    (void)H5Tclose(type);
    return status;
}

enum status hdf5_attribute_text_read(hid_t object, const char *name, size_t size_bytes, char *text,
                                     const char *path, struct error *error)
{
    const hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) {
        return hdf5_fail(error, STATUS_FORMAT, "find an attribute in", path);
    }
    enum status status = STATUS_OK;
    const hid_t type = H5Aget_type(attribute);
    const hid_t space = H5Aget_space(attribute);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 ||
        H5Tget_size(type) != size_bytes || H5Sget_simple_extent_type(space) != H5S_SCALAR) {
        status = error_set(error, STATUS_FORMAT,
                           "\"%s\": attribute \"%s\" is not a text of %zu characters", path, name,
                           size_bytes);
    } else if (H5Aread(attribute, type, text) < 0) {
        status = hdf5_fail(error, STATUS_FORMAT, "read an attribute of", path);
    } else {
        text[size_bytes] = '\0';
    }
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    return status;
}
