/* evaluate CHECKPOINT --corpus DIR: loss on held-out documents. Beside it stands the unigram
 * entropy of the held-out predictions: the entropy of the empirical distribution of the target
 * tokens, in nats, which is what a model that knows only how often tokens occur can reach. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/data_source.h"
#include "data_pipeline/tokenizer.h"
#include "launch/commands.h"
#include "launch/pretrained.h"
#include "launch/print.h"
#include "launch/progress.h"
#include "model/model.h"

struct evaluation {
    struct model_result result;
    int64_t token_count;
    int64_t sequence_count;
    int64_t *target_counts; /* (V) */
    int64_t vocabulary;
};

static double unigram_entropy(const struct evaluation *evaluation)
{
    const double total = (double)evaluation->result.target_count;
    double entropy = 0;
    for (int64_t i = 0; i < evaluation->vocabulary; i++) {
        if (evaluation->target_counts[i] > 0) {
            const double share = (double)evaluation->target_counts[i] / total;
            entropy -= share * log(share);
        }
    }
    return entropy;
}

/* A corpus of another tokenizer has other ids: the loss would mean nothing. */
static enum status tokenizers_agree(const struct pretrained *pretrained,
                                    const struct data_source *source, struct error *error)
{
    const char *const folders[2] = {pretrained->tokenizer, data_source_tokenizer(source)};
    struct digest digests[2];
    if (folders[0][0] == '\0' || folders[1] == NULL) {
        return STATUS_OK;
    }
    for (int i = 0; i < 2; i++) {
        struct tokenizer *tokenizer;
        TRY(tokenizer_open(&tokenizer, folders[i], error));
        digests[i] = tokenizer_fingerprint(tokenizer);
        tokenizer_close(tokenizer);
    }
    if (!digest_equal(digests[0], digests[1])) {
        FAIL(error, STATUS_INPUT,
             "the corpus was built with another tokenizer (\"%.400s\") than the "
             "model was trained with (\"%.400s\")",
             folders[1], folders[0]);
    }
    return STATUS_OK;
}

static enum status evaluate_slots(struct evaluation *evaluation,
                                  const struct pretrained *pretrained,
                                  const struct data_source *source, struct model *model,
                                  int64_t token_budget, struct error *error)
{
    const int64_t slots = data_source_held_out_slots(source);
    const struct batch_limits limits = data_source_limits(source);
    struct batch batch;
    batch_init(&batch, &limits);
    struct progress progress;
    progress_start(&progress, "evaluate", "slots", 0, (double)slots);
    enum status status = STATUS_OK;
    int64_t slot = 0;
    for (; slot < slots && evaluation->token_count < token_budget; slot++) {
        struct model_result result;
        status = data_source_fill_held_out(source, slot, &batch, error);
        if (status != STATUS_OK) {
            break;
        }
        status = model_evaluate(model, pretrained->weights, &batch, &result, error);
        if (status != STATUS_OK) {
            break;
        }
        evaluation->result.loss_sum += result.loss_sum;
        evaluation->result.target_count += result.target_count;
        evaluation->result.correct_count += result.correct_count;
        evaluation->result.sequence_loss_sum += result.sequence_loss_sum;
        evaluation->result.sequence_count += result.sequence_count;
        evaluation->result.sequence_correct_count += result.sequence_correct_count;
        evaluation->result.span_loss_sum += result.span_loss_sum;
        evaluation->result.span_count += result.span_count;
        evaluation->result.span_correct_count += result.span_correct_count;
        evaluation->token_count += batch.token_count;
        evaluation->sequence_count += batch.sequence_count;
        for (int64_t i = 0; i < batch.target_count; i++) {
            evaluation->target_counts[batch.target_ids[i]]++;
        }
        progress_update(&progress, (double)(slot + 1), NULL);
    }
    progress_end(&progress, (double)slot, NULL);
    batch_deinit(&batch);
    return status;
}

/* A head beside that for tokens, as text or into `object`; nothing where there is none. */
static void head_print(const char *name, const char *words, double loss_sum, int64_t count,
                       int64_t correct_count, json_t *object)
{
    char key[32];
    const double loss = loss_sum / (double)count;
    const double accuracy = (double)correct_count / (double)count;
    if (count == 0) {
        return;
    }
    if (object == NULL) {
        (void)printf("%-17s %.4f nats, accuracy %.2f %% of %lld\n", words, loss, accuracy * 100,
                     (long long)count);
        return;
    }
    (void)snprintf(key, sizeof key, "%s_loss", name);
    (void)json_object_set_new(object, key, json_real(loss));
    (void)snprintf(key, sizeof key, "%s_accuracy", name);
    (void)json_object_set_new(object, key, json_real(accuracy));
    (void)snprintf(key, sizeof key, "%ss", name);
    (void)json_object_set_new(object, key, json_integer(count));
}

static void heads_print(const struct evaluation *evaluation, enum data_pairs pairs, json_t *object)
{
    const struct model_result *const result = &evaluation->result;
    head_print("pair", pairs == DATA_PAIRS_SENTENCE_ORDER ? "sentence order" : "next sentence",
               result->sequence_loss_sum, result->sequence_count, result->sequence_correct_count,
               object);
    head_print("span", "span boundaries", result->span_loss_sum, result->span_count,
               result->span_correct_count, object);
}

static void evaluation_print(const struct evaluation *evaluation,
                             const struct pretrained *pretrained, const char *corpus, bool as_json)
{
    const double count = (double)evaluation->result.target_count;
    const double loss = evaluation->result.loss_sum / count;
    const double accuracy = (double)evaluation->result.correct_count / count;
    const double entropy = unigram_entropy(evaluation);
    if (as_json) {
        json_t *const object = json_object();
        (void)json_object_set_new(object, "checkpoint", json_string(pretrained->path));
        (void)json_object_set_new(object, "corpus", json_string(corpus));
        (void)json_object_set_new(object, "held_out_loss", json_real(loss));
        (void)json_object_set_new(object, "perplexity", json_real(exp(loss)));
        (void)json_object_set_new(object, "accuracy", json_real(accuracy));
        (void)json_object_set_new(object, "unigram_entropy", json_real(entropy));
        (void)json_object_set_new(object, "predictions",
                                  json_integer(evaluation->result.target_count));
        (void)json_object_set_new(object, "tokens", json_integer(evaluation->token_count));
        (void)json_object_set_new(object, "sequences", json_integer(evaluation->sequence_count));
        heads_print(evaluation, pretrained->config.data.pairs, object);
        print_json(object);
        json_decref(object);
        return;
    }
    (void)printf("checkpoint        %s\n", pretrained->path);
    (void)printf("corpus            %s\n", corpus);
    (void)printf("held-out loss     %.4f nats\n", loss);
    (void)printf("unigram entropy   %.4f nats (of the held-out predictions)\n", entropy);
    (void)printf("difference        %+.4f nats\n", loss - entropy);
    (void)printf("perplexity        %.2f\n", exp(loss));
    (void)printf("accuracy          %.2f %%\n", accuracy * 100);
    (void)printf("predictions       %lld in %lld tokens of %lld sequences\n",
                 (long long)evaluation->result.target_count, (long long)evaluation->token_count,
                 (long long)evaluation->sequence_count);
    heads_print(evaluation, pretrained->config.data.pairs, NULL);
}

static enum status evaluate_source(const struct pretrained *pretrained,
                                   const struct data_source *source, int64_t token_budget,
                                   struct evaluation *evaluation, struct error *error)
{
    const int64_t vocabulary = pretrained->config.model.vocabulary;
    TRY(tokenizers_agree(pretrained, source, error));
    if (data_source_vocabulary(source) > vocabulary) {
        FAIL(error, STATUS_INPUT, "the corpus has %lld token ids, the model only %lld",
             (long long)data_source_vocabulary(source), (long long)vocabulary);
    }
    const struct batch_limits limits = data_source_limits(source);
    struct kernels kernels;
    struct model *model = NULL;
    TRY(kernels_open_configured(&kernels, &pretrained->config.numerics, error));
    const struct model_role role = {.tensor_parts = pretrained->config.numerics.tensor_parts};
    TRY(model_open(&model, &kernels, &pretrained->config.model, &limits, &role, error));
    const enum status status =
        evaluate_slots(evaluation, pretrained, source, model, token_budget, error);
    model_close(model);
    TRY(status);
    if (evaluation->result.target_count == 0) {
        FAIL(error, STATUS_INPUT,
             "the corpus has no held-out documents to predict in (data.held_out %g)",
             pretrained->config.data.held_out);
    }
    return STATUS_OK;
}

static enum status evaluate_run(const struct command_line *line, struct error *error)
{
    const char *const corpus = command_line_text(line, "corpus");
    int64_t token_budget;
    TRY(command_line_integer(line, "tokens", 1, INT64_MAX, INT64_MAX, &token_budget, error));
    struct pretrained pretrained;
    TRY(pretrained_open(&pretrained, line->arguments[0], error));
    struct data_options data = pretrained.config.data;
    struct data_source *source = NULL;
    struct evaluation evaluation = {.vocabulary = pretrained.config.model.vocabulary};
    evaluation.target_counts =
        memory_take((size_t)evaluation.vocabulary, sizeof *evaluation.target_counts, "evaluation");
    enum status status = strlen(corpus) < PATH_BYTES
                             ? path_absolute(data.corpus, corpus, error)
                             : error_set(error, STATUS_INPUT, "the path of the corpus is too long");
    if (status == STATUS_OK && strcmp(corpus, "synthetic") == 0) {
        memcpy(data.corpus, "synthetic", sizeof "synthetic");
    }
    if (status == STATUS_OK) {
        status = data_source_open(&source, &data, &pretrained.config.step, pretrained.config.seed,
                                  evaluation.vocabulary, error);
    }
    if (status == STATUS_OK) {
        status = evaluate_source(&pretrained, source, token_budget, &evaluation, error);
    }
    if (status == STATUS_OK) {
        evaluation_print(&evaluation, &pretrained, corpus, command_line_has(line, "json"));
    }
    data_source_close(source);
    memory_release(evaluation.target_counts);
    pretrained_close(&pretrained);
    return status;
}

static const struct command_option evaluate_options[] = {
    {.name = "corpus",
     .argument = "DIR",
     .help = "folder made by `shardlm corpus build`",
     .required = true},
    {.name = "tokens",
     .argument = "N",
     .help = "stop after so many tokens, rounded up to whole slots"},
    {.name = "json", .help = "print one JSON object"},
};

const struct command command_evaluate = {
    .name = "evaluate",
    .arguments = "CHECKPOINT",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "measure the loss on held-out documents",
    .detail =
        "Prints loss in nats, the unigram entropy of the predicted tokens beside it, "
        "perplexity, accuracy and "
        "the number of predictions, and the same of the heads for pairs of text and for "
        "spans where the family has them. Objective and held-out share are those that the model "
        "was trained with. "
        "CHECKPOINT may be a run (its newest good checkpoint is taken) or a Hugging Face "
        "folder (then the "
        "defaults of the configuration hold).",
    .options = evaluate_options,
    .option_count = ARRAY_LENGTH(evaluate_options),
    .run = evaluate_run,
};
