/* checkpoints/manifest: nothing that happens to a published folder's bytes goes unseen. */
#include "tests/unit/checkpoints/state_fixture.h"

enum { FILE_BYTES_MAX = 1 << 20 };

/* Every file of a small checkpoint, and a way to put other bytes in its place. */
static const char *const files[] = {"manifest.json",       "state.h5",      "config.yaml",
                                    "parts/embeddings.h5", "parts/head.h5", "parts/layer-000.h5",
                                    "tokenizer/vocab.json"};

static void write_plain(const char *path, const char *data, size_t size_bytes)
{
    FILE *const file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size_bytes, file), size_bytes);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_one(const char *name, char published[PATH_BYTES])
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char folder[PATH_BYTES];
    char file[PATH_BYTES];
    state_init(&state, 1);
    state_root(root, name);
    CHECK_OK(path_join(folder, root, "tokenizer-source", &error), error);
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(file, folder, "vocab.json", &error), error);
    CHECK_OK(file_write_durable(file, "{\"a\": 0}\n", 9, &error), error);
    CHECK_OK(state_write(&state, root, folder, published, &error), error);
    state_deinit(&state);
}

static enum status open_status(const char *path, bool verify, struct error *error)
{
    struct checkpoint *checkpoint;
    const enum status status = checkpoint_open(&checkpoint, path, verify, error);
    checkpoint_close(checkpoint);
    return status;
}

START_TEST(test_checkpoint_notices_a_flipped_bit_in_every_region_of_every_file)
{
    struct error error;
    char published[PATH_BYTES];
    write_one("flips", published);
    int64_t flips = 0;
    for (int64_t i = 0; i < ARRAY_LENGTH(files); i++) {
        char path[PATH_BYTES];
        char *data;
        size_t size_bytes;
        CHECK_OK(path_join(path, published, files[i], &error), error);
        CHECK_OK(file_read(path, FILE_BYTES_MAX, &data, &size_bytes, &error), error);
        /* every byte of small files, else one bit in each 64 bytes, at changing places */
        const size_t stride = size_bytes < 4096 ? 1 : 61;
        for (size_t k = 0; k < size_bytes; k += stride, flips++) {
            data[k] = (char)(data[k] ^ (1 << (flips % 8)));
            write_plain(path, data, size_bytes);
            ck_assert_msg(open_status(published, true, &error) == STATUS_FORMAT,
                          "flip of bit %d of byte %zu of %s", (int)(flips % 8), k, files[i]);
            ck_assert_ptr_nonnull(strstr(error.message, files[i]));
            data[k] = (char)(data[k] ^ (1 << (flips % 8)));
        }
        write_plain(path, data, size_bytes);
        memory_release(data);
    }
    ck_assert_int_gt(flips, 2500);
    CHECK_OK(open_status(published, true, &error), error);
}
END_TEST

START_TEST(test_checkpoint_notices_every_truncation_and_extension_without_digests)
{
    struct error error;
    char published[PATH_BYTES];
    write_one("truncations", published);
    for (int64_t i = 0; i < ARRAY_LENGTH(files); i++) {
        char path[PATH_BYTES];
        char *data;
        size_t size_bytes;
        CHECK_OK(path_join(path, published, files[i], &error), error);
        CHECK_OK(file_read(path, FILE_BYTES_MAX, &data, &size_bytes, &error), error);
        const size_t stride = size_bytes < 4096 ? 1 : 509;
        for (size_t k = 0; k < size_bytes; k += stride) {
            write_plain(path, data, k);
            ck_assert_msg(open_status(published, false, &error) == STATUS_FORMAT,
                          "%s cut to %zu bytes", files[i], k);
        }
        write_plain(path, data, size_bytes + 1); /* with the zero that file_read() adds */
        CHECK_FAILS(open_status(published, false, &error), STATUS_FORMAT);
        CHECK_OK(file_remove(path, &error), error);
        CHECK_FAILS(open_status(published, false, &error),
                    i == 0 ? STATUS_INPUT
                           : STATUS_FORMAT); /* without a manifest it is no checkpoint */
        write_plain(path, data, size_bytes);
        memory_release(data);
    }
    CHECK_OK(open_status(published, true, &error), error);
}
END_TEST

START_TEST(test_checkpoint_notices_swapped_files)
{
    struct error error;
    char published[PATH_BYTES];
    char first[PATH_BYTES];
    char second[PATH_BYTES];
    char aside[PATH_BYTES];
    write_one("swap", published);
    CHECK_OK(path_join(first, published, "parts/layer-000.h5", &error), error);
    CHECK_OK(path_join(second, published, "parts/layer-001.h5", &error), error);
    CHECK_OK(path_join(aside, published, "aside", &error), error);
    CHECK_OK(file_rename(first, aside, &error), error);
    CHECK_OK(file_rename(second, first, &error), error);
    CHECK_OK(file_rename(aside, second, &error), error);
    CHECK_FAILS(open_status(published, true, &error), STATUS_FORMAT);
}
END_TEST

/* A manifest whose own digest is right, so that what it says is looked at. */
static void manifest_forge(const char *published, const char *body)
{
    struct error error;
    char path[PATH_BYTES];
    char text[4096];
    char digest[DIGEST_TEXT_BYTES];
    const int used = snprintf(text, sizeof text, "%s,\n", body);
    digest_text(digest_bytes(text, (size_t)used), digest);
    const int length = used + snprintf(text + used, sizeof text - (size_t)used,
                                       "  \"digest\": \"%s\"\n}\n", digest);
    CHECK_OK(path_join(path, published, "manifest.json", &error), error);
    write_plain(path, text, (size_t)length);
}

#define META                                                                                       \
    "\"step\": 1, \"tokens\": 2, \"seed\": \"3\", \"profile\": \"p\", \"held_out_loss\": null,"    \
    "\"fingerprint\": \"00000000000000000000000000000000\","                                       \
    "\"corpus_fingerprint\": \"00000000000000000000000000000000\""
#define HEAD "{\"format\": \"shardlm checkpoint\", \"format_version\": 1, "
#define ZERO "\"xxh3_128\": \"00000000000000000000000000000000\"}"

START_TEST(test_checkpoint_refuses_impossible_manifests)
{
    static const char *const bodies[] = {
        "",
        "[",
        "{\"format\": \"other\", \"format_version\": 1, " META ", \"files\": []",
        "{\"format\": \"shardlm checkpoint\", \"format_version\": 2, " META ", \"files\": []",
        HEAD META,
        HEAD META ", \"files\": {}",
        HEAD META ", \"files\": []",
        HEAD META ", \"files\": [7]",
        HEAD META ", \"files\": [{\"path\": \"a\", \"size_bytes\": 1}]",
        HEAD META ", \"files\": [{\"path\": \"a\", \"size_bytes\": -1, " ZERO "]",
        HEAD META ", \"files\": [{\"path\": \"a\", \"size_bytes\": 1e300, " ZERO "]",
        HEAD META ", \"files\": [{\"path\": \"../config.yaml\", \"size_bytes\": 27, " ZERO "]",
        HEAD META ", \"files\": [{\"path\": \"/etc/passwd\", \"size_bytes\": 27, " ZERO "]",
        HEAD META ", \"files\": [{\"path\": \"parts/../x\", \"size_bytes\": 27, " ZERO "]",
        HEAD META ", \"files\": [{\"path\": \"parts/\", \"size_bytes\": 27, " ZERO "]",
        HEAD META ", \"files\": [{\"path\": \"\", \"size_bytes\": 27, " ZERO "]",
        HEAD META ", \"files\": [{\"path\": \"a\", \"size_bytes\": 1, " ZERO
                  ", {\"path\": \"a\", \"size_bytes\": 1, " ZERO "]",
        HEAD "\"step\": -1, \"tokens\": 0, \"files\": []",
        HEAD "\"step\": 1, \"tokens\": 0, \"seed\": \"99999999999999999999\", \"files\": []",
        HEAD "\"step\": 1, \"tokens\": 0, \"seed\": 4, \"files\": []",
        HEAD "\"step\": \"1\", \"tokens\": 0, \"files\": []",
        HEAD META ", \"step\": 2, \"files\": []",
    };
    struct error error;
    char published[PATH_BYTES];
    write_one("manifests", published);
    for (int64_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
        manifest_forge(published, bodies[i]);
        ck_assert_msg(open_status(published, false, &error) == STATUS_FORMAT, "manifest %lld: %s",
                      (long long)i, bodies[i]);
    }
}
END_TEST

/* Not verified, so HDF5 gets to see files of the right size that are none. */
START_TEST(test_checkpoint_read_refuses_a_part_that_is_no_part)
{
    struct error error;
    struct state state;
    char published[PATH_BYTES];
    char path[PATH_BYTES];
    char other[PATH_BYTES];
    char *data;
    size_t size_bytes;
    state_init(&state, 1);
    write_one("foreign", published);
    CHECK_OK(path_join(path, published, "parts/layer-000.h5", &error), error);
    CHECK_OK(path_join(other, published, "parts/layer-001.h5", &error), error);
    CHECK_OK(file_read(other, FILE_BYTES_MAX, &data, &size_bytes, &error), error);
    float value;
    struct checkpoint *checkpoint;
    const int64_t first = state.table.groups[1].offset;

    write_plain(path, data, size_bytes); /* another layer's: HDF5, of the right size */
    CHECK_OK(checkpoint_open(&checkpoint, published, false, &error), error);
    CHECK_FAILS(checkpoint_read(checkpoint, &state.table, CHECKPOINT_ARRAY_WEIGHTS, first, 1,
                                &value, &error),
                STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "missing"));

    memset(data, 'x', size_bytes);
    write_plain(path, data, size_bytes);
    CHECK_FAILS(checkpoint_read(checkpoint, &state.table, CHECKPOINT_ARRAY_WEIGHTS, first, 1,
                                &value, &error),
                STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "layer-000.h5"));
    checkpoint_close(checkpoint);
    memory_release(data);
    state_deinit(&state);
}
END_TEST

int main(void)
{
    return suite_run("checkpoint_damage",
                     (const TTest *[]){
                         test_checkpoint_notices_a_flipped_bit_in_every_region_of_every_file,
                         test_checkpoint_notices_every_truncation_and_extension_without_digests,
                         test_checkpoint_notices_swapped_files,
                         test_checkpoint_refuses_impossible_manifests,
                         test_checkpoint_read_refuses_a_part_that_is_no_part,
                         NULL,
                     });
}
