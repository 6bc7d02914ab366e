/* checkpoints/safetensors: reads what the reference writes, writes the same bytes, refuses everything else. */
#include "checkpoints/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tests/support/suite.h"

static const char *file_put(const void *data, size_t size_bytes)
{
    static char path[PATH_BYTES];
    struct error error;
    CHECK_OK(path_join(path, suite_scratch(), "file.safetensors", &error), error);
    FILE *const file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size_bytes, file), size_bytes);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* A file of `header` and `data_bytes` zero bytes behind it. */
static const char *header_put(const char *header, size_t data_bytes)
{
    unsigned char whole[4096] = {0};
    const size_t length = strlen(header);
    ck_assert_uint_le(8 + length + data_bytes, sizeof whole);
    for (size_t i = 0; i < 8; i++) {
        whole[i] = (unsigned char)(length >> (8 * i));
    }
    memcpy(whole + 8, header, length);
    return file_put(whole, 8 + length + data_bytes);
}

#define ONE "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

START_TEST(test_safetensors_accepts_what_the_format_allows)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        int64_t count;
    } cases[] = {
        {"{}", 0, 0},
        {"{}      ", 0, 0},
        {ONE "}", 8, 1},
        {"{\"__metadata__\":{\"format\":\"pt\"}}", 0, 0},
        {"{\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8, 1},
        {"{\"z\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[0,0]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
         2, 2},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]},"
         "\"\xc3\xa4\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]}}",
         3, 2},
    };
    for (int64_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct safetensors file;
        struct error error;
        CHECK_OK(safetensors_open(&file, header_put(cases[i].header, cases[i].data_bytes), &error),
                 error);
        ck_assert_int_eq(file.count, cases[i].count);
        safetensors_close(&file);
        safetensors_close(&file);
    }
}
END_TEST

START_TEST(test_safetensors_refuses_hostile_headers)
{
    static const struct {
        const char *header;
        size_t data_bytes;
    } cases[] = {
        {"", 0},
        {"[]", 0},
        {" {}", 0},
        {"{", 0},
        {"{}x", 0},
        {"{}", 1},            /* bytes behind */
        {ONE "}", 9},         /* bytes behind */
        {ONE "}", 7},         /* too few */
        {ONE "," ONE "}", 8}, /* broken JSON */
        {ONE ",\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8}, /* duplicate */
        {ONE ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         8}, /* same place */
        {ONE ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12}, /* overlap */
        {ONE ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16}, /* hole */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8}, /* hole in front */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
         8}, /* shape too large */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}",
         8}, /* shape too small */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8}, /* backwards */
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,-2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":\"2\",\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[true],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8},
        {"{\"a\":[]}", 0},
        {"{\"a\":null}", 0},
        {"{\"__metadata__\":[]}", 0},
        {"{\"__metadata__\":{\"format\":1}}", 0},
        {"{\"\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8}, /* not UTF-8 */
        {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
    };
    for (int64_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct safetensors file;
        struct error error = {0};
        const char *const path = header_put(cases[i].header, cases[i].data_bytes);
        ck_assert_msg(safetensors_open(&file, path, &error) == STATUS_FORMAT, "case %lld: %s",
                      (long long)i, cases[i].header);
        ck_assert_ptr_nonnull(strstr(error.message, path));
        ck_assert_ptr_null(file.map.data);
    }
}
END_TEST

START_TEST(test_safetensors_refuses_impossible_lengths)
{
    static const unsigned char lengths[][8] = {
        {3, 0, 0, 0, 0, 0, 0, 0}, /* one more than there is */
        {0, 0, 0, 0, 0, 0, 0, 0},
        {0, 0xe1, 0xf5, 5, 0, 0, 0, 0}, /* the limit, but not there */
        {1, 0xe1, 0xf5, 5, 0, 0, 0, 0}, /* one above the limit */
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    };
    struct safetensors file;
    struct error error;
    for (int64_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        char whole[10];
        memcpy(whole, lengths[i], 8);
        memcpy(whole + 8, "{}", 2);
        CHECK_FAILS(safetensors_open(&file, file_put(whole, sizeof whole), &error), STATUS_FORMAT);
    }
    for (size_t size = 0; size < 8; size++) {
        CHECK_FAILS(safetensors_open(&file, file_put("\2\0\0\0\0\0\0\0", size), &error),
                    STATUS_FORMAT);
    }
    char absent[PATH_BYTES];
    CHECK_OK(path_join(absent, suite_scratch(), "absent", &error), error);
    CHECK_FAILS(safetensors_open(&file, absent, &error), STATUS_INPUT);
}
END_TEST

START_TEST(test_safetensors_gives_back_what_was_written)
{
    static const float matrix[6] = {1.0F, -2.5F, 0.0F, 3e-42F, 3.4e38F, -0.0F};
    static const float vector[2] = {7.0F, 8.0F};
    struct safetensor_source sources[] = {{"m", (const int64_t[]){3, 2}, 2, matrix},
                                          {"b", (const int64_t[]){2}, 1, vector}};
    char path[PATH_BYTES];
    struct error error;
    CHECK_OK(path_join(path, suite_scratch(), "written.safetensors", &error), error);
    CHECK_OK(safetensors_write(path, sources, 2, &error), error);
    struct safetensors file;
    CHECK_OK(safetensors_open(&file, path, &error), error);
    ck_assert_int_eq(file.count, 2);
    ck_assert_str_eq(file.tensors[0].name, "b");
    const struct safetensor *const tensor = safetensors_find(&file, "m");
    ck_assert_ptr_nonnull(tensor);
    ck_assert_int_eq(tensor->axes, 2);
    ck_assert_int_eq(tensor->shape[0], 3);
    ck_assert_int_eq(tensor->shape[1], 2);
    float values[6];
    ck_assert(safetensor_floats(tensor, values));
    ck_assert_int_eq(memcmp(values, matrix, sizeof matrix), 0);
    ck_assert_ptr_null(safetensors_find(&file, "c"));
    safetensors_close(&file);
}
END_TEST

START_TEST(test_safetensors_widens_half_and_bfloat_exactly)
{
    static const struct {
        uint16_t bits;
        float value;
    } halves[] = {
        {0x0000, 0.0F},     {0x8000, -0.0F},     {0x3c00, 1.0F},          {0xc000, -2.0F},
        {0x7bff, 65504.0F}, {0x0001, 0x1p-24F},  {0x83ff, -0x1.ff8p-15F}, {0x0400, 0x1p-14F},
        {0x7c00, INFINITY}, {0xfc00, -INFINITY}, {0x3555, 0x1.554p-2F},
    };
    static const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[11],\"data_offsets\":[0,22]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[22,26]},"
        "\"i\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[26,30]}}";
    unsigned char whole[512] = {sizeof header - 1};
    size_t used = 8 + sizeof header - 1;
    memcpy(whole + 8, header, sizeof header - 1);
    for (int64_t i = 0; i < ARRAY_LENGTH(halves); i++) {
        whole[used++] = (unsigned char)(halves[i].bits & 0xff);
        whole[used++] = (unsigned char)(halves[i].bits >> 8);
    }
    memcpy(whole + used, "\x80\x3f\x01\xff", 4); /* 1, and a large negative number */
    used += 8;
    struct safetensors file;
    struct error error;
    CHECK_OK(safetensors_open(&file, file_put(whole, used), &error), error);
    float values[11];
    ck_assert(safetensor_floats(safetensors_find(&file, "h"), values));
    for (int64_t i = 0; i < ARRAY_LENGTH(halves); i++) {
        ck_assert_int_eq(memcmp(&values[i], &halves[i].value, sizeof values[i]), 0);
    }
    ck_assert(safetensor_floats(safetensors_find(&file, "b"), values));
    ck_assert(values[0] == 1.0F);
    ck_assert(values[1] == -0x1.02p127F);
    ck_assert(!safetensor_floats(safetensors_find(&file, "i"), values));
    safetensors_close(&file);
}
END_TEST

int main(void)
{
    return suite_run("safetensors", (const TTest *[]){
                                        test_safetensors_accepts_what_the_format_allows,
                                        test_safetensors_refuses_hostile_headers,
                                        test_safetensors_refuses_impossible_lengths,
                                        test_safetensors_gives_back_what_was_written,
                                        test_safetensors_widens_half_and_bfloat_exactly,
                                        NULL,
                                    });
}
