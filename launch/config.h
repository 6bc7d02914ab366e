/* A run's configuration: the options of all modules in one struct, filled from YAML through one
 * table (config_table.c: key, type, range, default, help). Unknown keys, wrong types, values out of
 * range, duplicates and impossible combinations are refused with file, line and column, and what
 * was expected.
 *
 *     seed: 1
 *     model: {layers: 4, hidden: 256, heads: 4, feed_forward: 1024}
 *     data:  {corpus: corpus-dir}
 */
#ifndef SHARDLM_LAUNCH_CONFIG_H
#define SHARDLM_LAUNCH_CONFIG_H

#include "base/error.h"
#include "checkpoints/checkpoint_options.h"
#include "data_pipeline/data_options.h"
#include "launch/restart_options.h"
#include "launch/text.h"
#include "model/model_options.h"
#include "shard/optimizer_options.h"
#include "shard/shard_options.h"
#include "worker/worker_options.h"

struct config {
    uint64_t seed; /* at most INT64_MAX */
    struct start_options start;
    struct model_options model;
    struct data_options data;
    struct step_options step;
    struct optimizer_options optimizer;
    struct numerics_options numerics;
    struct shard_options shard;
    struct checkpoint_options checkpoint;
    struct lease_options lease;
    struct evaluation_options evaluation;
    struct restart_options restart;
};

/* Reads the file at `path`, then applies `sets` ("key=value", later ones win). Relative paths are
 * relative to the file's folder, those in `sets` to the current one; the result holds absolute
 * paths. Two configurations of equal meaning are equal byte by byte. Failures are STATUS_INPUT or
 * STATUS_FORMAT (exit code 2). */
MUST_CHECK enum status config_read(const char *path, const char *const *sets, int64_t set_count,
                                   struct config *config, struct error *error);
/* The same from text that stands in (or would stand in) the file `path`, which messages name. */
MUST_CHECK enum status config_parse_text(const char *path, const char *text, size_t size_bytes,
                                         const char *const *sets, int64_t set_count,
                                         struct config *config, struct error *error);
/* The defaults of a family; keys that must be given are 0 or empty. For configurations that are put
 * together by code. */
void config_defaults(struct config *config, enum model_family family);

/* Appends YAML that config_parse_text turns into the identical struct. */
void config_text(const struct config *config, struct text *out);

/* All keys with type, range, default and meaning: for a terminal, or as Markdown. */
void config_reference(struct text *out);
void config_reference_markdown(struct text *out);

#endif
