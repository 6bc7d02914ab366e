/* bench tokenizer --tokenizer DIR FILE: speed of encoding and of training on one thread, as one
 * line of JSON. Encoding goes over the file line by line, each pass with an empty word cache, for
 * at least a second; the best pass counts. */
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_train.h"
#include "data_pipeline/utf8.h"
#include "launch/commands.h"
#include "launch/print.h"

enum { PASSES_MAX = 100 };

static const double bytes_per_mb = 1e6;

/* The next line of a map, with its end; *at moves behind it. */
static const char *line_take(const struct file_map *map, size_t *at, size_t *size_bytes)
{
    const char *const begin = (const char *)map->data + *at;
    const char *const end = memchr(begin, '\n', map->size_bytes - *at);
    *size_bytes = end == NULL ? map->size_bytes - *at : (size_t)(end - begin) + 1;
    *at += *size_bytes;
    return begin;
}

/* Best MB/s of a pass. */
static double encode_speed(const struct tokenizer *tokenizer, const struct file_map *map,
                           size_t *token_count)
{
    const int64_t start_ns = clock_now_ns();
    double best = 0;
    struct token_list ids = {0};
    for (int pass = 0; pass < PASSES_MAX && (pass == 0 || clock_seconds_since(start_ns) < 1.0);
         pass++) {
        struct tokenizer_work *const work = tokenizer_work_open();
        const int64_t pass_ns = clock_now_ns();
        *token_count = 0;
        for (size_t at = 0; at < map->size_bytes;) {
            size_t size_bytes;
            const char *const line = line_take(map, &at, &size_bytes);
            ids.count = 0;
            tokenizer_encode(tokenizer, work, line, size_bytes, false, &ids);
            *token_count += ids.count;
        }
        const double speed = (double)map->size_bytes / bytes_per_mb / clock_seconds_since(pass_ns);
        best = speed > best ? speed : best;
        tokenizer_work_close(work);
    }
    token_list_deinit(&ids);
    return best;
}

/* MB/s of one training to as many ids as `tokenizer` has. */
static enum status train_speed(const struct tokenizer *tokenizer, const struct file_map *map,
                               double *speed, struct error *error)
{
    static const char *const specials[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
    const struct tokenizer_train_options options = {.vocabulary = tokenizer_vocabulary(tokenizer),
                                                    .min_frequency = 2,
                                                    .specials = specials,
                                                    .special_count = ARRAY_LENGTH(specials)};
    struct tokenizer_trainer *trainer;
    struct tokenizer *trained;
    const int64_t start_ns = clock_now_ns();
    TRY(tokenizer_trainer_open(&trainer, &options, error));
    for (size_t at = 0; at < map->size_bytes;) {
        size_t size_bytes;
        const char *const line = line_take(map, &at, &size_bytes);
        const enum status status = tokenizer_trainer_add(trainer, line, size_bytes, error);
        if (status != STATUS_OK) {
            tokenizer_trainer_close(trainer);
            return status;
        }
    }
    TRY(tokenizer_trainer_finish(trainer, &trained, error));
    *speed = (double)map->size_bytes / bytes_per_mb / clock_seconds_since(start_ns);
    tokenizer_close(trained);
    return STATUS_OK;
}

static enum status bench_map(const struct tokenizer *tokenizer, const char *path,
                             const struct file_map *map, struct error *error)
{
    const size_t valid = utf8_valid_prefix((const char *)map->data, map->size_bytes);
    if (map->size_bytes == 0 || valid != map->size_bytes) {
        FAIL(error, STATUS_FORMAT, "\"%s\" %s at byte %zu", path,
             map->size_bytes == 0 ? "ends" : "is no valid UTF-8", valid);
    }
    size_t token_count = 0;
    double trained = 0;
    const double encoded = encode_speed(tokenizer, map, &token_count);
    TRY(train_speed(tokenizer, map, &trained, error));
    json_t *const object = json_object();
    (void)json_object_set_new(object, "encode_mb_s", json_real(encoded));
    (void)json_object_set_new(object, "train_mb_s", json_real(trained));
    (void)json_object_set_new(object, "bytes", json_integer((json_int_t)map->size_bytes));
    (void)json_object_set_new(object, "tokens", json_integer((json_int_t)token_count));
    (void)json_object_set_new(object, "vocabulary", json_integer(tokenizer_vocabulary(tokenizer)));
    print_json(object);
    json_decref(object);
    return STATUS_OK;
}

static enum status bench_run(const struct command_line *line, struct error *error)
{
    const char *const path = line->arguments[0];
    struct tokenizer *tokenizer;
    struct file_map map = {0};
    TRY(tokenizer_open(&tokenizer, command_line_text(line, "tokenizer"), error));
    enum status status = file_map_open(&map, path, error);
    if (status == STATUS_OK) {
        status = bench_map(tokenizer, path, &map, error);
    }
    file_map_close(&map);
    tokenizer_close(tokenizer);
    return status;
}

static const struct command_option bench_options[] = {
    {.name = "tokenizer",
     .argument = "DIR",
     .help = "folder, or a tokenizer.json",
     .required = true},
};

const struct command command_bench_tokenizer = {
    .name = "bench tokenizer",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "measure encoding and training on one thread; prints one line of JSON",
    .detail = "encode_mb_s is the best pass over the file; train_mb_s is one training on it to as "
              "many ids as "
              "the tokenizer has. MB are millions of bytes.",
    .options = bench_options,
    .option_count = ARRAY_LENGTH(bench_options),
    .run = bench_run,
};
