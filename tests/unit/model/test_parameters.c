/* model/parameters: the table has Hugging Face's tensors, the flat space is laid out as promised, initial values are a
 * pure function of place and seed. */
#include "model/parameters.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "tests/support/golden_file.h"
#include "tests/support/suite.h"

static struct model_options options_small(enum model_norm norm)
{
    return (struct model_options){.norm = norm,
                                  .layers = 3,
                                  .hidden = 20,
                                  .heads = 4,
                                  .feed_forward = 50,
                                  .positions = 30,
                                  .position_offset = 2,
                                  .vocabulary = 301,
                                  .type_vocabulary = 1,
                                  .pad_id = 1,
                                  .norm_epsilon = 1e-5,
                                  .init_range = 0.02};
}

static struct parameter_table table_small(enum model_norm norm)
{
    struct error error = {0};
    struct parameter_table table;
    const struct model_options options = options_small(norm);
    CHECK_OK(parameter_table_init(&table, &options, &error), error);
    return table;
}

struct comparison {
    struct parameter_table table;
    int64_t met;
};

static void tensor_is_in_table(void *context, const char *name, const struct golden_tensor *tensor)
{
    struct comparison *const comparison = context;
    const struct parameter *const row = parameter_find(&comparison->table, name);
    ck_assert_msg(row != NULL, "\"%s\" is missing", name);
    ck_assert_int_eq(tensor->axis_count, row->cols == 0 ? 1 : 2);
    ck_assert_int_eq(tensor->shape[0], row->rows);
    ck_assert(row->cols == 0 || tensor->shape[1] == row->cols);
    ck_assert_int_eq(tensor->count, row->count);
    comparison->met++;
}

static void compare_with_file(const struct model_options *options, const char *name)
{
    struct error error = {0};
    struct comparison comparison = {.met = 0};
    CHECK_OK(parameter_table_init(&comparison.table, options, &error), error);
    struct golden_file file;
    golden_file_open(&file, name);
    golden_file_each(&file, tensor_is_in_table, &comparison);
    ck_assert_int_eq(comparison.met, comparison.table.row_count);
    golden_file_close(&file);
    parameter_table_deinit(&comparison.table);
}

START_TEST(test_parameters_are_the_tensors_of_hugging_face)
{
    struct model_options post = options_small(MODEL_NORM_POST);
    post.layers = 2;
    post.hidden = 36;
    post.feed_forward = 112;
    post.positions = 33;
    post.vocabulary = 547;
    compare_with_file(&post, "cases/roberta_mlm_padded/model.safetensors");
    struct model_options pre = options_small(MODEL_NORM_PRE);
    pre.layers = 2;
    pre.hidden = 28;
    pre.feed_forward = 60;
    pre.positions = 21;
    pre.vocabulary = 211;
    compare_with_file(&pre, "cases/roberta_prelayernorm_mlm/model.safetensors");
}
END_TEST

START_TEST(test_parameters_fill_the_flat_space_in_order_without_overlap)
{
    for (int norm = 0; norm < 2; norm++) {
        struct parameter_table table = table_small(norm == 0 ? MODEL_NORM_POST : MODEL_NORM_PRE);
        int64_t end = 0;
        int64_t count = 0;
        for (int64_t i = 0; i < table.row_count; i++) {
            const struct parameter *const row = &table.rows[i];
            const struct parameter_group *const group = &table.groups[row->group];
            ck_assert_int_ge(row->offset, end);
            ck_assert_int_ge(row->offset, group->offset);
            end = row->offset + row->count;
            ck_assert_int_le(end, group->offset + group->count);
            ck_assert(i >= group->first_row && i < group->first_row + group->row_count);
            count += row->count;
        }
        end = 0;
        for (int64_t g = 0; g < table.group_count; g++) {
            ck_assert_int_eq(table.groups[g].offset, end);
            ck_assert_int_eq(table.groups[g].count % PARAMETER_BLOCK, 0);
            end += table.groups[g].count;
        }
        ck_assert_int_eq(table.element_count, end);
        ck_assert_int_eq(table.parameter_count, count);
        ck_assert_str_eq(table.groups[0].name, "embeddings");
        ck_assert_str_eq(table.groups[3].name, "layer-002");
        ck_assert_str_eq(table.groups[table.group_count - 1].name, "head");
        parameter_table_deinit(&table);
    }
}
END_TEST

START_TEST(test_parameters_query_key_value_stand_without_a_gap)
{
    struct parameter_table table = table_small(MODEL_NORM_POST);
    const enum parameter_role firsts[] = {PARAMETER_QUERY_WEIGHT, PARAMETER_QUERY_BIAS};
    const enum parameter_role seconds[] = {PARAMETER_KEY_WEIGHT, PARAMETER_KEY_BIAS};
    const enum parameter_role thirds[] = {PARAMETER_VALUE_WEIGHT, PARAMETER_VALUE_BIAS};
    for (int64_t layer = 0; layer < 3; layer++) {
        const int64_t group = parameter_layer_group(&table, layer, PARAMETER_HALF_ATTENTION);
        for (int i = 0; i < 2; i++) {
            const struct parameter *const first = parameter_of(&table, group, firsts[i]);
            const struct parameter *const second = parameter_of(&table, group, seconds[i]);
            const struct parameter *const third = parameter_of(&table, group, thirds[i]);
            ck_assert_int_eq(first->offset % PARAMETER_ALIGNMENT, 0);
            ck_assert_int_eq(second->offset, first->offset + first->count);
            ck_assert_int_eq(third->offset, second->offset + second->count);
        }
    }
    parameter_table_deinit(&table);
}
END_TEST

START_TEST(test_parameters_decay_except_biases_and_norms)
{
    struct parameter_table table = table_small(MODEL_NORM_PRE);
    for (int64_t i = 0; i < table.row_count; i++) {
        const char *const name = table.rows[i].name;
        const bool excepted = strstr(name, "bias") != NULL || strstr(name, "LayerNorm") != NULL ||
                              strstr(name, "layer_norm") != NULL;
        ck_assert_msg(table.rows[i].decays == !excepted, "%s", name);
    }
    parameter_table_deinit(&table);
}
END_TEST

START_TEST(test_parameters_initial_values_do_not_depend_on_the_piece_that_is_filled)
{
    struct parameter_table table = table_small(MODEL_NORM_POST);
    const int64_t count = table.element_count;
    float *const whole = memory_take((size_t)count, sizeof *whole, "test");
    float *const pieces = memory_take((size_t)count, sizeof *pieces, "test");
    parameter_fill(&table, 0.02, 7, 0, count, whole);
    for (int64_t first = 0; first < count; first += 1237) {
        const int64_t left = count - first;
        parameter_fill(&table, 0.02, 7, first, left < 1237 ? left : 1237, pieces + first);
    }
    ck_assert_mem_eq(whole, pieces, (size_t)count * sizeof *whole);
    parameter_fill(&table, 0.02, 8, 0, count, pieces);
    ck_assert_mem_ne(whole, pieces, (size_t)count * sizeof *whole);
    memory_release(pieces);
    memory_release(whole);
    parameter_table_deinit(&table);
}
END_TEST

/* A normal cut off at two has standard deviation 0.8796, fourth moment 1.3951 and 71.5 % within one. */
START_TEST(test_parameters_initial_weights_are_a_truncated_normal)
{
    struct model_options options = options_small(MODEL_NORM_POST);
    options.vocabulary = 20000;
    struct error error = {0};
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &options, &error), error);
    const int64_t count = table.rows[0].count;
    float *const values = memory_take((size_t)count, sizeof *values, "test");
    parameter_fill(&table, 0.5, 3, 0, count, values);
    double sum = 0;
    double square = 0;
    double within = 0;
    for (int64_t i = 0; i < count; i++) {
        const double x = (double)values[i] / 0.5;
        ck_assert(fabs(x) <= 2.0);
        sum += x;
        square += x * x;
        within += fabs(x) < 1.0 ? 1.0 : 0.0;
    }
    const double n = (double)count;
    /* six standard deviations of each mean */
    ck_assert_double_eq_tol(sum / n, 0.0, 6 * 0.8796 / sqrt(n));
    ck_assert_double_eq_tol(square / n, 0.7737, 6 * 0.8925 / sqrt(n));
    ck_assert_double_eq_tol(within / n, 0.7152, 6 * 0.4513 / sqrt(n));
    memory_release(values);
    parameter_table_deinit(&table);
}
END_TEST

START_TEST(test_parameters_gains_are_one_and_everything_else_that_is_a_vector_is_zero)
{
    struct parameter_table table = table_small(MODEL_NORM_PRE);
    float *const values = memory_take((size_t)table.element_count, sizeof *values, "test");
    parameter_fill(&table, 0.02, 3, 0, table.element_count, values);
    int64_t place = 0;
    for (int64_t i = 0; i < table.row_count; i++) {
        const struct parameter *const row = &table.rows[i];
        for (; place < row->offset; place++) {
            ck_assert(values[place] == 0.0F);
        }
        for (int64_t j = 0; j < row->count && row->cols == 0; j++) {
            const bool gain = strstr(row->name, "orm.weight") != NULL;
            ck_assert(values[row->offset + j] == (gain ? 1.0F : 0.0F));
        }
        place = row->offset + row->count;
    }
    memory_release(values);
    parameter_table_deinit(&table);
}
END_TEST

static void refuses(void (*spoil)(struct model_options *options))
{
    struct error error = {0};
    struct model_options options = options_small(MODEL_NORM_POST);
    spoil(&options);
    struct parameter_table table;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
    ck_assert(error.message[0] != '\0');
    parameter_table_deinit(&table);
}

static void spoil_heads(struct model_options *options)
{
    options->heads = 3;
}
static void spoil_layers(struct model_options *options)
{
    options->layers = 0;
}
static void spoil_vocabulary(struct model_options *options)
{
    options->vocabulary = INT64_MAX;
}
static void spoil_pad(struct model_options *options)
{
    options->pad_id = options->vocabulary;
}
static void spoil_dropout(struct model_options *options)
{
    options->dropout = 1.0;
}
static void spoil_epsilon(struct model_options *options)
{
    options->norm_epsilon = (double)NAN;
}

START_TEST(test_parameters_refuse_impossible_options)
{
    refuses(spoil_heads);
    refuses(spoil_layers);
    refuses(spoil_vocabulary);
    refuses(spoil_pad);
    refuses(spoil_dropout);
    refuses(spoil_epsilon);
}
END_TEST

int main(void)
{
    return suite_run("parameters",
                     (const TTest *[]){
                         test_parameters_are_the_tensors_of_hugging_face,
                         test_parameters_fill_the_flat_space_in_order_without_overlap,
                         test_parameters_query_key_value_stand_without_a_gap,
                         test_parameters_decay_except_biases_and_norms,
                         test_parameters_initial_values_do_not_depend_on_the_piece_that_is_filled,
                         test_parameters_initial_weights_are_a_truncated_normal,
                         test_parameters_gains_are_one_and_everything_else_that_is_a_vector_is_zero,
                         test_parameters_refuse_impossible_options, NULL});
}
