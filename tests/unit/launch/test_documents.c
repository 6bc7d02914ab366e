/* docs/shardlm.1 and docs/configuration.md are what the tables say; and every table row can be
 * shown. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "launch/commands.h"
#include "launch/config.h"
#include "launch/man_page.h"
#include "tests/support/suite.h"

/* Fails if the file, named from the top of the source, does not hold exactly the page. */
static void check_file(const char *name, struct text *page, const char *command)
{
    struct error error = {0};
    char path[PATH_BYTES];
    char *data;
    size_t size_bytes;
    CHECK_OK(path_join(path, SHARDLM_SOURCE, name, &error), error);
    CHECK_OK(file_read(path, 1 << 20, &data, &size_bytes, &error), error);
    ck_assert_msg(size_bytes == page->size_bytes && memcmp(data, page->data, size_bytes) == 0,
                  "%s differs from the tables: write it anew with %s", path, command);
    memory_release(data);
    text_deinit(page);
}

START_TEST(test_documents_man_page_is_what_the_tables_say)
{
    struct text page = {0};
    man_page(command_table, &page);
    check_file("docs/shardlm.1", &page, "shardlm help --man > docs/shardlm.1");
}
END_TEST

START_TEST(test_documents_configuration_is_what_the_table_says)
{
    struct text page = {0};
    config_reference_markdown(&page);
    check_file("docs/configuration.md", &page,
               "shardlm help config --markdown > docs/configuration.md");
}
END_TEST

START_TEST(test_documents_every_command_has_a_whole_row)
{
    for (int64_t i = 0; command_table[i] != NULL; i++) {
        const struct command *const command = command_table[i];
        ck_assert_ptr_nonnull(command->run);
        ck_assert_int_le(command->argument_min, command->argument_max);
        ck_assert_msg((command->argument_max > 0) == (command->arguments != NULL), "%s",
                      command->name);
        for (int64_t j = 0; j < i; j++) {
            ck_assert_str_ne(command->name, command_table[j]->name);
        }
        struct text page = {0};
        command_help(command, &page);
        ck_assert_ptr_nonnull(strstr(page.data, command->summary));
        text_deinit(&page);
    }
}
END_TEST

int main(void)
{
    return suite_run("documents",
                     (const TTest *[]){test_documents_man_page_is_what_the_tables_say,
                                       test_documents_configuration_is_what_the_table_says,
                                       test_documents_every_command_has_a_whole_row, NULL});
}
