/* The tensors of a Hugging Face folder, whatever files hold them and whatever they are called:
 *
 *     model.safetensors, or the files that model.safetensors.index.json names
 *     span_boundary.safetensors    ours: SpanBERT's second head, for which transformers has no
 * names
 *
 * Names are the parameter table's, or as other versions of transformers and other classes write
 * them: LayerNorm.gamma and .beta, a base model's without its prefix ("embeddings…" for
 * "bert.embeddings…"), a wrapper's with one more ("model.bert.embeddings…"). */
#ifndef SHARDLM_CHECKPOINTS_HF_WEIGHTS_H
#define SHARDLM_CHECKPOINTS_HF_WEIGHTS_H

#include "base/error.h"
#include "checkpoints/safetensors.h"
#include "model/parameters.h"

#define HF_WEIGHTS_FILE      "model.safetensors"
#define HF_WEIGHTS_INDEX     HF_WEIGHTS_FILE ".index.json"
#define HF_WEIGHTS_SPAN_FILE "span_boundary.safetensors"

enum { HF_WEIGHTS_FILES_MAX = 1024 };

struct hf_weights {
    char path[PATH_BYTES];     /* of the file or the index, for messages */
    char (*paths)[PATH_BYTES]; /* (file_count) */
    struct safetensors *files; /* (file_count) */
    int64_t file_count;
    char prefix[PARAMETER_NAME_BYTES]; /* the family's in the table's names: "bert." */
    char lead[PARAMETER_NAME_BYTES];   /* what stands in its place: "bert.", "" or "model.bert." */
    char head_lead[PARAMETER_NAME_BYTES]; /* and before the names of heads: "" or "model." */
};

/* STATUS_INPUT if there is no such file, STATUS_FORMAT if one is not valid or names two tensors
 * alike. */
MUST_CHECK enum status hf_weights_open(struct hf_weights *weights, const char *folder,
                                       const struct parameter_table *table, struct error *error);
void hf_weights_close(struct hf_weights *weights); /* accepts a zeroed struct */

/* The tensor that the table calls `name`, or NULL. */
const struct safetensor *hf_weights_find(const struct hf_weights *weights, const char *name);

/* Weights into the flat space `out`. F32, F16 and BF16, widened exactly. Buffers (position_ids) are
 * skipped, tied copies must equal what they are tied to, unexpected tensors are logged.
 * `fresh` NULL: missing tensors are STATUS_FORMAT, naming them. Otherwise those of the heads may be
 * missing: their place in `out` stays as it is (and so does the padding), and fresh[row]
 * (row_count) is set. */
MUST_CHECK enum status hf_weights_read(const struct hf_weights *weights,
                                       const struct parameter_table *table, float *out, bool *fresh,
                                       struct error *error);

#endif
