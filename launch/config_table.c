/* The rows; see config_table.h. Order is that of the resolved text and of the documentation. */
#include "launch/config_table.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "launch/word.h"

#define AT(field) offsetof(struct config, field)

static const char *const families[] = {"roberta", "bert",  "albert", "spanbert",
                                       "gpt",     "xlnet", NULL};
static const char *const shares[] = {"none", "all", "attention", "ffn", NULL};
static const char *const activations[] = {"gelu", "gelu_tanh", "relu", NULL};
static const char *const norms[] = {"post", "pre", NULL};
static const char *const objectives[] = {"dynamic_mask", "static_mask", "whole_word_mask",
                                         "ngram_mask",   "span_mask",   "causal",
                                         "permutation",  NULL};
static const char *const pairs[] = {"none", "next_sentence", "sentence_order", NULL};
static const char *const packings[] = {"full", "document", "full_sentences",
                                       "document_sentences", NULL};
static const char *const optimizers[] = {"adamw", "lamb", NULL};
static const char *const schedules[] = {"linear", "cosine", "inverse_square_root", "constant",
                                        NULL};
static const char *const computes[] = {"fp32", "bf16", NULL};
static const char *const products[] = {"shardlm", "openblas", NULL};
static const char *const cores[] = {"auto", "avx2", "avx512", NULL};
static const char *const bad_slot_policies[] = {"stop", "skip", "rollback", NULL};
static const char *const loss_spike_policies[] = {"stop", "skip", "rollback", "go_on", NULL};
static const char *const write_failures[] = {"go_on", "stop", NULL};
static const char *const lease_modes[] = {"auto", "static", "dynamic", NULL};
static const char *const recomputes[] = {"none", "attention", "layer", NULL};
static const char *const no_paths[] = {"synthetic", NULL};
static const char *const none[] = {"none", NULL};

/* The tables of words follow the enums. */
static_assert(MODEL_FAMILY_XLNET == 5, "order of families");
static_assert(MODEL_SHARE_FEED_FORWARD == 3, "order of what is shared");
static_assert(MODEL_ACTIVATION_RELU == 2, "order of activations");
static_assert(MODEL_NORM_PRE == 1, "order of norms");
static_assert(CHECKPOINT_FAILURE_STOP == 1, "order of what a failed write does");
static_assert(DATA_OBJECTIVE_PERMUTATION == 6, "order of objectives");
static_assert(DATA_PAIRS_SENTENCE_ORDER == 2, "order of pairs");
static_assert(DATA_PACKING_DOCUMENT_SENTENCES == 3, "order of packings");
static_assert(OPTIMIZER_NAME_LAMB == 1, "order of optimizers");
static_assert(SCHEDULE_NAME_CONSTANT == 3, "order of schedules");
static_assert(NUMERICS_POLICY_ROLLBACK == 2 && NUMERICS_POLICY_GO_ON == 3, "order of policies");
static_assert(NUMERICS_COMPUTE_BF16 == 1, "order of number formats");
static_assert(NUMERICS_CORE_AVX512 == 2, "order of cores");
static_assert(LEASE_MODE_DYNAMIC == 2, "order of lease modes");
static_assert(MODEL_RECOMPUTE_LAYER == 2, "order of what is computed again");

/* clang-format off: a row reads better in two lines than in seven */
const struct config_key config_keys[CONFIG_KEY_COUNT] = {
    {"seed", CONFIG_TYPE_INTEGER, AT(seed), "1", {.low = 0}, NULL,
     "of everything random: initial weights, order, masks, dropout"},

    {"start.checkpoint", CONFIG_TYPE_PATH, AT(start.checkpoint), "none", {.low = 0}, none,
     "checkpoint or run whose weights this run begins with, at step 0 and with moments of 0: "
     "continued pretraining; none: weights of the seed"},
    {"start.fingerprint", CONFIG_TYPE_DIGEST, AT(start.fingerprint), "none", {.low = 0}, none,
     "of that checkpoint's state; filled in when the run begins, and compared when it must begin "
     "again"},

    {"model.family", CONFIG_TYPE_CHOICE, AT(model.family), "roberta", {.low = 0}, families,
     "kind of network, and so of what it predicts; the defaults of other keys follow it"},
    {"model.layers", CONFIG_TYPE_INTEGER, AT(model.layers), NULL, {.low = 1, .high = 512}, NULL,
     "number of encoder layers"},
    {"model.hidden", CONFIG_TYPE_INTEGER, AT(model.hidden), NULL, {.low = 1, .high = 65536}, NULL,
     "width of the hidden state; a multiple of model.heads"},
    {"model.heads", CONFIG_TYPE_INTEGER, AT(model.heads), NULL, {.low = 1, .high = 1024}, NULL,
     "attention heads of a layer"},
    {"model.feed_forward", CONFIG_TYPE_INTEGER, AT(model.feed_forward), NULL,
     {.low = 1, .high = 262144}, NULL,
     "inner width of the feed-forward sublayer, usually 4 times model.hidden"},
    {"model.positions", CONFIG_TYPE_INTEGER, AT(model.positions), "=data.sequence_tokens",
     {.low = 1, .high = 1048576}, NULL,
     "longest sequence that the network has positions for"},
    {"model.vocabulary", CONFIG_TYPE_INTEGER, AT(model.vocabulary), "0",
     {.low = 0, .high = 16777216}, NULL,
     "rows of the token embedding; 0: as many as the corpus' tokenizer has"},
    {"model.activation", CONFIG_TYPE_CHOICE, AT(model.activation), "gelu", {.low = 0}, activations,
     "of the feed-forward sublayer and the head; gelu_tanh is the approximation \"gelu_new\""},
    {"model.norm", CONFIG_TYPE_CHOICE, AT(model.norm), "post",
     {.low = 0}, norms,
     "LayerNorm after each residual sum (post, the published RoBERTa) or before each sublayer "
     "(pre)"},
    {"model.dropout", CONFIG_TYPE_REAL, AT(model.dropout), "0.1",
     {.low = 0, .high = 1, .below = true}, NULL,
     "of embeddings and of each sublayer's output"},
    {"model.attention_dropout", CONFIG_TYPE_REAL, AT(model.attention_dropout), "=model.dropout",
     {.low = 0, .high = 1, .below = true}, NULL,
     "of attention probabilities"},
    {"model.norm_epsilon", CONFIG_TYPE_REAL, AT(model.norm_epsilon), "1e-5",
     {.low = 0, .above = true, .high = 1}, NULL,
     "added to the variance in LayerNorm"},
    {"model.init_range", CONFIG_TYPE_REAL, AT(model.init_range), "0.02",
     {.low = 0, .above = true, .high = 1}, NULL,
     "standard deviation of the initial weights"},
    {"model.position_offset", CONFIG_TYPE_INTEGER, AT(model.position_offset), "2",
     {.low = 0, .high = 1024}, NULL,
     "first row of the position embedding that is used; RoBERTa: pad id + 1"},
    {"model.type_vocabulary", CONFIG_TYPE_INTEGER, AT(model.type_vocabulary), "1",
     {.low = 1, .high = 1024}, NULL,
     "rows of the segment embedding"},
    {"model.pad_id", CONFIG_TYPE_INTEGER, AT(model.pad_id), "1",
     {.low = -1, .high = 16777215}, NULL,
     "id of the padding token, whose embedding is not trained; -1: none"},
    {"model.embedding_width", CONFIG_TYPE_INTEGER, AT(model.embedding_width), "0",
     {.low = 0, .high = 65536}, NULL,
     "width of the embedding tables, at most model.hidden (albert); 0: model.hidden"},
    {"model.share", CONFIG_TYPE_CHOICE, AT(model.share), "none", {.low = 0}, shares,
     "what all layers of a group have in common (albert)"},
    {"model.groups", CONFIG_TYPE_INTEGER, AT(model.groups), "1", {.low = 1, .high = 512}, NULL,
     "groups of layers that share nothing with each other (albert)"},
    {"model.inner_layers", CONFIG_TYPE_INTEGER, AT(model.inner_layers), "1",
     {.low = 1, .high = 512}, NULL,
     "layers of the block that a group repeats (albert); model.layers is a multiple of this times "
     "model.groups"},
    {"model.span_positions", CONFIG_TYPE_INTEGER, AT(model.span_positions), "20",
     {.low = 1, .high = 65536}, NULL,
     "places in a span that the span boundary head knows; tokens further on are left to the other "
     "head (spanbert)"},
    {"model.span_position_width", CONFIG_TYPE_INTEGER, AT(model.span_position_width), "200",
     {.low = 1, .high = 65536}, NULL,
     "width of the embedding of a place in a span (spanbert)"},
    {"model.memory_tokens", CONFIG_TYPE_INTEGER, AT(model.memory_tokens), "0",
     {.low = 0, .high = 65536}, NULL,
     "most tokens of earlier sequences of its chain that a sequence sees (xlnet)"},
    {"model.memory_reuse", CONFIG_TYPE_INTEGER, AT(model.memory_reuse), "0",
     {.low = 0, .high = 65536}, NULL,
     "only so many first tokens of a sequence are remembered (xlnet); 0: all"},
    {"model.distance_max", CONFIG_TYPE_INTEGER, AT(model.distance_max), "0",
     {.low = 0, .high = 65536}, NULL,
     "tokens farther apart count as this far (xlnet); 0: as far as they are"},

    {"data.corpus", CONFIG_TYPE_PATH, AT(data.corpus), NULL,
     {.low = 0}, no_paths,
     "folder made by `shardlm corpus build`, or \"synthetic\": random ids for benchmarks, "
     "without files"},
    {"data.objective", CONFIG_TYPE_CHOICE, AT(data.objective), "dynamic_mask",
     {.low = 0}, objectives,
     "what is predicted: new masks every epoch, fixed masks, or masks over whole words, over one "
     "to three words (ngram_mask), or over one to ten (span_mask); every next token (causal); one "
     "word after the other in a random order (permutation)"},
    {"data.pairs", CONFIG_TYPE_CHOICE, AT(data.pairs), "none", {.low = 0}, pairs,
     "sequences of two texts, and what is asked of them beside the masks: does the second follow "
     "the first, or do they stand in order (bert, albert)"},
    {"data.pair_copies", CONFIG_TYPE_INTEGER, AT(data.pair_copies), "4",
     {.low = 1, .high = 16}, NULL,
     "different cuts of the text into pairs, used in turn; each costs 24 bytes of memory a "
     "sequence"},
    {"data.packing", CONFIG_TYPE_CHOICE, AT(data.packing), "full_sentences", {.low = 0}, packings,
     "sequences cut from a stream of documents (full) or never across documents (document); with "
     "_sentences only where a line of the text begins, as RoBERTa's FULL- and DOC-SENTENCES: "
     "shorter sequences, whole sentences; pairs are never across documents"},
    {"data.mask_fraction", CONFIG_TYPE_REAL, AT(data.mask_fraction), "0.15",
     {.low = 0, .above = true, .high = 1}, NULL,
     "share of a sequence's tokens that is predicted"},
    {"data.mask_share", CONFIG_TYPE_REAL, AT(data.mask_share), "0.8", {.low = 0, .high = 1}, NULL,
     "of the predicted tokens: replaced by the mask token"},
    {"data.random_share", CONFIG_TYPE_REAL, AT(data.random_share), "0.1",
     {.low = 0, .high = 1}, NULL,
     "of the predicted tokens: replaced by a random token; the rest is kept"},
    {"data.mask_copies", CONFIG_TYPE_INTEGER, AT(data.mask_copies), "10",
     {.low = 1, .high = 65536}, NULL,
     "fixed masks of each sequence, used in turn (static_mask)"},
    {"data.chain_rows", CONFIG_TYPE_INTEGER, AT(data.chain_rows), "1",
     {.low = 1, .high = 65536}, NULL,
     "rows of a slot that follow each other in the text, each with the ones before it in memory "
     "(permutation)"},
    {"data.bi_data", CONFIG_TYPE_BOOLEAN, AT(data.bi_data), "false", {.low = 0}, NULL,
     "half of the chains are read from the last token to the first (permutation)"},
    {"data.sequence_tokens", CONFIG_TYPE_INTEGER, AT(data.sequence_tokens), "128",
     {.low = 4, .high = 1048576}, NULL,
     "length of a full sequence, special tokens included"},
    {"data.held_out", CONFIG_TYPE_REAL, AT(data.held_out), "0.02",
     {.low = 0, .high = 1, .below = true}, NULL,
     "share of documents kept from training for evaluation, chosen by hash of their content"},
    {"data.skip_bad_shards", CONFIG_TYPE_BOOLEAN, AT(data.skip_bad_shards), "false",
     {.low = 0}, NULL,
     "go on without a damaged corpus shard instead of refusing"},

    {"step.tokens", CONFIG_TYPE_INTEGER, AT(step.tokens), "16384", {.low = 1, .high = 1e12}, NULL,
     "tokens of one optimizer step over all workers; a multiple of step.slot_tokens"},
    {"step.slot_tokens", CONFIG_TYPE_INTEGER, AT(step.slot_tokens), "1024",
     {.low = 1, .high = 16777216}, NULL,
     "tokens of a slot, the unit of work of one worker; a multiple of data.sequence_tokens"},

    {"optimizer.name", CONFIG_TYPE_CHOICE, AT(optimizer.name), "adamw", {.low = 0}, optimizers,
     "update rule; lamb: each tensor's step in proportion to its norm, for large batches"},
    {"optimizer.schedule", CONFIG_TYPE_CHOICE, AT(optimizer.schedule), "linear",
     {.low = 0}, schedules,
     "course of the learning rate behind the warm-up"},
    {"optimizer.peak_rate", CONFIG_TYPE_REAL, AT(optimizer.peak_rate), "1e-3",
     {.low = 0, .above = true, .high = 10}, NULL,
     "learning rate at the end of the warm-up"},
    {"optimizer.warmup_steps", CONFIG_TYPE_INTEGER, AT(optimizer.warmup_steps), "100",
     {.low = 0, .high = 1e12}, NULL,
     "steps in which the learning rate rises from 0; at most optimizer.total_steps"},
    {"optimizer.total_steps", CONFIG_TYPE_INTEGER, AT(optimizer.total_steps), "2000",
     {.low = 1, .high = 1e12}, NULL,
     "steps of the whole run"},
    {"optimizer.betas", CONFIG_TYPE_REAL_PAIR, AT(optimizer.betas), "[0.9, 0.98]",
     {.low = 0, .high = 1, .below = true}, NULL,
     "decay of the first and second moment"},
    {"optimizer.epsilon", CONFIG_TYPE_REAL, AT(optimizer.epsilon), "1e-6",
     {.low = 0, .above = true, .high = 1}, NULL,
     "added to the root of the second moment"},
    {"optimizer.weight_decay", CONFIG_TYPE_REAL, AT(optimizer.weight_decay), "0.01",
     {.low = 0, .high = 10}, NULL,
     "decoupled weight decay; never of biases and LayerNorm"},
    {"optimizer.bias_correction", CONFIG_TYPE_BOOLEAN, AT(optimizer.bias_correction), "true",
     {.low = 0}, NULL,
     "divide the moments by 1 - beta^step; the original BERT and LAMB do not"},
    {"optimizer.clip_norm", CONFIG_TYPE_REAL, AT(optimizer.clip_norm), "1.0",
     {.low = 0, .high = 1e6}, NULL,
     "largest norm of the whole gradient; 0: no clipping"},

    {"numerics.compute", CONFIG_TYPE_CHOICE, AT(numerics.compute), "fp32", {.low = 0}, computes,
     "operands of the network's matrix products; bf16 keeps weights, sums and optimizer in fp32; "
     "where a processor of the job has no AVX512-BF16 the job says so and computes in fp32"},
    {"numerics.products", CONFIG_TYPE_CHOICE, AT(numerics.products), "shardlm",
     {.low = 0}, products,
     "whose matrix products; OpenBLAS' (fp32 only) have other bits on every vector level"},
    {"numerics.core", CONFIG_TYPE_CHOICE, AT(numerics.core), "auto",
     {.low = 0}, cores,
     "vector level of all kernels; auto: the best that all workers have; with our own products it "
     "never changes a bit"},
    {"numerics.tensor_parts", CONFIG_TYPE_INTEGER, AT(numerics.tensor_parts), "1",
     {.low = 1, .high = 64}, NULL,
     "a power of two: parts into which heads, feed-forward and vocabulary are cut and their sums "
     "are formed; divides model.heads and model.feed_forward; not for xlnet"},
    {"numerics.on_bad_slot", CONFIG_TYPE_CHOICE, AT(numerics.on_bad_slot), "stop",
     {.low = 0}, bad_slot_policies,
     "what becomes of a step with a slot that is not finite: the job stops, the step is skipped "
     "(weights stay), or the run goes back to a checkpoint and passes the data over"},
    {"numerics.on_loss_spike", CONFIG_TYPE_CHOICE, AT(numerics.on_loss_spike), "go_on",
     {.low = 0}, loss_spike_policies,
     "the same for a step whose loss is numerics.spike_nats above the mean of those before"},
    {"numerics.spike_nats", CONFIG_TYPE_REAL, AT(numerics.spike_nats), "1.0",
     {.low = 0, .above = true, .high = 1000}, NULL,
     "so far above the mean of some 64 steps is a loss spike, in nats per predicted token"},
    {"numerics.rollback_steps", CONFIG_TYPE_INTEGER, AT(numerics.rollback_steps), "100",
     {.low = 0, .high = 1e12}, NULL,
     "a rollback goes to the newest checkpoint at least so many steps before the bad one"},
    {"numerics.audit_steps", CONFIG_TYPE_INTEGER, AT(numerics.audit_steps), "0",
     {.low = 0, .high = 1e12}, NULL,
     "every so many steps one slot is computed on two workers and compared; 0: never"},

    {"shard.stage", CONFIG_TYPE_INTEGER, AT(shard.stage), "1", {.low = 0, .high = 3}, NULL,
     "what nodes divide: 0 nothing, 1 the optimizer's state, 2 and the gradient sums, 3 and the "
     "weights; never changes a bit"},
    {"shard.tensor", CONFIG_TYPE_INTEGER, AT(shard.tensor), "1", {.low = 1, .high = 64}, NULL,
     "workers that compute a slot together, each some of numerics.tensor_parts, which it divides; "
     "the number of workers is a multiple of it; never changes a bit"},
    {"shard.simulate_nodes", CONFIG_TYPE_INTEGER, AT(shard.simulate_nodes), "0",
     {.low = 0, .high = 1024}, NULL,
     "treat this machine as so many nodes, for tests; 0: as it is"},
    {"shard.pipeline", CONFIG_TYPE_INTEGER, AT(shard.pipeline), "1", {.low = 1, .high = 512}, NULL,
     "parts of about equal work that the layers are cut into, each on a worker of its own; the "
     "number of workers is a multiple of it, leases are static; never changes a bit"},
    {"shard.activation_recompute", CONFIG_TYPE_CHOICE, AT(shard.activation_recompute), "none",
     {.low = 0}, recomputes,
     "what backward computes again instead of keeping it: nothing, queries, keys and values of "
     "attention, or all of a layer but its output; less memory, more time, the same bits"},

    {"checkpoint.every_steps", CONFIG_TYPE_INTEGER, AT(checkpoint.every_steps), "500",
     {.low = 0, .high = 1e12}, NULL,
     "steps between checkpoints; 0: only at the end and on a stop"},
    {"checkpoint.keep", CONFIG_TYPE_INTEGER, AT(checkpoint.keep), "3",
     {.low = 1, .high = 1e6}, NULL,
     "so many of the newest stay"},
    {"checkpoint.keep_every", CONFIG_TYPE_INTEGER, AT(checkpoint.keep_every), "0",
     {.low = 0, .high = 1e12}, NULL,
     "checkpoints of steps divisible by this stay for ever; 0: none"},
    {"checkpoint.on_failure", CONFIG_TYPE_CHOICE, AT(checkpoint.on_failure), "go_on",
     {.low = 0}, write_failures,
     "when a checkpoint or a line of the journal cannot be written: training goes on and says so "
     "each time, or the job stops (exit code 74) with its state in memory for resume"},

    {"lease.mode", CONFIG_TYPE_CHOICE, AT(lease.mode), "auto", {.low = 0}, lease_modes,
     "who computes which slot: fixed, on demand, or on demand once workers differ in speed"},
    {"lease.heartbeat_seconds", CONFIG_TYPE_REAL, AT(lease.heartbeat_seconds), "1",
     {.low = 0.01, .high = 3600}, NULL,
     "a worker tells this often that it lives"},
    {"lease.silence_seconds", CONFIG_TYPE_REAL, AT(lease.silence_seconds), "30",
     {.low = 0.1, .high = 86400}, NULL,
     "a worker not heard of for so long ends the job, with its name"},
    {"lease.wait_seconds", CONFIG_TYPE_REAL, AT(lease.wait_seconds), "600",
     {.low = 1, .high = 86400}, NULL,
     "longest wait of a worker for other workers or for the coordinator"},

    {"evaluation.every_steps", CONFIG_TYPE_INTEGER, AT(evaluation.every_steps), "0",
     {.low = 0, .high = 1e12}, NULL,
     "steps between evaluations on held-out documents; 0: none during training"},
    {"evaluation.tokens", CONFIG_TYPE_INTEGER, AT(evaluation.tokens), "65536",
     {.low = 1, .high = 1e12}, NULL,
     "held-out tokens of one evaluation, rounded up to whole slots"},

    {"restart.attempts", CONFIG_TYPE_INTEGER, AT(restart.attempts), "5",
     {.low = 0, .high = 1e6}, NULL,
     "a broken job is started again, unless so many starts in a row did no step; 0: never"},
    {"restart.wait_seconds", CONFIG_TYPE_REAL, AT(restart.wait_seconds), "1",
     {.low = 0, .high = 3600}, NULL,
     "pause before the second such start; it doubles each time, up to a minute"},
};
/* clang-format on */

int64_t config_key_find(const char *name)
{
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *config_key_nearest(const char *name)
{
    const bool has_section = strchr(name, '.') != NULL;
    int64_t best = 0;
    int64_t best_distance = INT64_MAX;
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        int64_t distance = 2 * word_distance(name, config_keys[i].name);
        const char *const dot = strchr(config_keys[i].name, '.');
        if (!has_section && dot != NULL) { /* "layers" where "model.layers" was meant */
            const int64_t bare = 2 * word_distance(name, dot + 1) + 1;
            distance = bare < distance ? bare : distance;
        }
        if (distance < best_distance) {
            best_distance = distance;
            best = i;
        }
    }
    return config_keys[best].name;
}

void config_section_nearest(const char *name, char section[CONFIG_SECTION_BYTES])
{
    int64_t best_distance = INT64_MAX;
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        char own[CONFIG_SECTION_BYTES];
        (void)snprintf(own, sizeof own, "%s", config_keys[i].name);
        char *const dot = strchr(own, '.');
        if (dot == NULL) {
            continue;
        }
        *dot = '\0';
        const int64_t distance = word_distance(name, own);
        if (distance < best_distance) {
            best_distance = distance;
            memcpy(section, own, sizeof own);
        }
    }
}
