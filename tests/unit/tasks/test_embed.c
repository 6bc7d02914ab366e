/* tasks/embed: pooling of hidden states, by hand. */
#include "tasks/embed.h"

#include <math.h>

#include "tests/support/suite.h"

/* Three tokens of width 2. */
static const float hidden[] = {1, -4, 2, 0, 6, 1};

static void check_vector(enum embed_pooling pooling, bool causal, bool normalise, double first,
                         double second)
{
    const struct embed_options options = {pooling, causal, normalise};
    float vector[2];
    embed_pool(vector, hidden, 3, 2, &options);
    ck_assert_double_eq_tol((double)vector[0], first, 1e-7);
    ck_assert_double_eq_tol((double)vector[1], second, 1e-7);
}

START_TEST(test_embed_pools_as_it_is_told)
{
    check_vector(EMBED_POOLING_MEAN, false, false, 3, -1);
    check_vector(EMBED_POOLING_MEAN, true, false, 3, -1);
    check_vector(EMBED_POOLING_MAX, false, false, 6, 1);
    check_vector(EMBED_POOLING_CLS, false, false, 1, -4);
    check_vector(EMBED_POOLING_CLS, true, false, 6, 1); /* the last has seen the others */
    check_vector(EMBED_POOLING_MEAN, false, true, 3 / sqrt(10), -1 / sqrt(10));
}
END_TEST

START_TEST(test_embed_leaves_zero_as_it_is)
{
    static const float zeros[2] = {0, 0};
    const struct embed_options options = {EMBED_POOLING_MEAN, false, true};
    float vector[2] = {1, 1};
    embed_pool(vector, zeros, 1, 2, &options);
    ck_assert(vector[0] == 0 && vector[1] == 0);
}
END_TEST

int main(void)
{
    return suite_run("embed", (const TTest *[]){
                                  test_embed_pools_as_it_is_told,
                                  test_embed_leaves_zero_as_it_is,
                                  NULL,
                              });
}
