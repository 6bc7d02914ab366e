/* A folder of reference data of one model (config.json, case.json, *.safetensors; shared/golden/README.md describes
 * them) as our own structures: options, flat weights, packed batches. Whatever is wrong with a folder ends the test
 * with a message. */
#ifndef SHARDLM_TESTS_GOLDEN_GOLDEN_CASE_H
#define SHARDLM_TESTS_GOLDEN_GOLDEN_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "data_pipeline/batch.h"
#include "model/model.h"
#include "tests/support/golden_file.h"

enum { GOLDEN_CLASS_BYTES = 64, GOLDEN_STEPS_MAX = 64 };

struct golden_case {
    char folder[PATH_BYTES];
    struct model_options options;
    struct parameter_table table;
    float *weights;           /* flat space */
    struct batch masked;      /* targets: the labels, of every head */
    struct batch every;       /* the same rows, every one a target */
    float *recalled_states;   /* what `masked` remembers, or NULL */
    const float **recalled;
    int32_t *visible; /* lists and intervals of both batches, or NULL */
    int64_t *source_rows;     /* (N) row of the reference's padded (B·T) outputs */
    int64_t padded_row_count; /* B·T */
    json_t *description;      /* case.json */
};

/* Name of the model class in config.json, the folder's family. */
void golden_class(const char *folder, char name[GOLDEN_CLASS_BYTES]);
bool golden_class_is_built(const char *name);
bool golden_class_is_planned(const char *name);
bool golden_trains(const char *folder); /* a loss, gradients and optimizer steps are given */

void golden_case_open(struct golden_case *golden, const char *folder);
void golden_case_close(struct golden_case *golden);
/* Opens "FOLDER/name". */
void golden_case_file(const struct golden_case *golden, const char *name, struct golden_file *file);

#endif
