/* base/file: what is written, and what is removed, stays within its bounds. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/suite.h"

static void path_of(char path[PATH_BYTES], const char *name)
{
    struct error error;
    CHECK_OK(path_join(path, suite_scratch(), name, &error), error);
}

static int mode_of(const char *path)
{
    struct stat facts;
    ck_assert_int_eq(stat(path, &facts), 0);
    return (int)(facts.st_mode & 0777);
}

START_TEST(test_file_safety_a_secret_is_its_owners_whatever_the_umask)
{
    static const mode_t masks[] = {0, 022, 077};
    struct error error;
    char path[PATH_BYTES];
    path_of(path, "secret");
    for (int64_t i = 0; i < ARRAY_LENGTH(masks); i++) {
        const mode_t former = umask(masks[i]);
        const enum status status = file_write_private(path, "key", 3, &error);
        (void)umask(former);
        CHECK_OK(status, error);
        ck_assert_int_eq(mode_of(path), 0600);
        CHECK_OK(file_remove(path, &error), error);
    }
}
END_TEST

START_TEST(test_file_safety_others_cannot_write_under_an_open_umask)
{
    struct error error;
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    path_of(folder, "folder");
    path_of(path, "folder/file");
    const mode_t former = umask(0);
    const enum status made = folder_make(folder, &error);
    const enum status written = file_write_durable(path, "text", 4, &error);
    (void)umask(former);
    CHECK_OK(made, error);
    CHECK_OK(written, error);
    ck_assert_int_eq(mode_of(folder), 0755);
    ck_assert_int_eq(mode_of(path), 0644);
}
END_TEST

START_TEST(test_file_safety_removing_a_folder_leaves_what_links_point_to)
{
    struct error error;
    char outside[PATH_BYTES];
    char kept[PATH_BYTES];
    char folder[PATH_BYTES];
    char inner[PATH_BYTES];
    path_of(outside, "outside");
    path_of(kept, "outside/kept");
    path_of(folder, "doomed");
    path_of(inner, "doomed/link");
    CHECK_OK(folder_make(outside, &error), error);
    CHECK_OK(file_write_durable(kept, "text", 4, &error), error);
    CHECK_OK(folder_make(folder, &error), error);
    ck_assert_int_eq(symlink(outside, inner), 0);
    CHECK_OK(folder_remove(folder, &error), error);
    ck_assert(!folder_exists(folder));
    ck_assert(file_exists(kept));
    ck_assert_int_eq(symlink(outside, folder), 0); /* the folder itself is a link */
    CHECK_OK(folder_remove(folder, &error), error);
    ck_assert(!folder_exists(folder));
    ck_assert(file_exists(kept));
}
END_TEST

/* As file types of links where a struct stat of the next call will lie. */
static __attribute__((noinline)) void stack_soil(void)
{
    volatile unsigned char soil[4 * PATH_BYTES];
    for (size_t i = 0; i < sizeof soil; i++) {
        soil[i] = 0xa0;
    }
}

START_TEST(test_file_safety_removing_what_cannot_be_there_is_no_error)
{
    struct error error;
    char file[PATH_BYTES];
    char below[PATH_BYTES];
    char name[300] = {0};
    char longer[PATH_BYTES];
    memset(name, 'y', sizeof name - 1);
    path_of(file, "file");
    path_of(below, "file/folder");
    path_of(longer, name);
    CHECK_OK(file_write_durable(file, "text", 4, &error), error);
    stack_soil();
    CHECK_OK(folder_remove(below, &error), error);
    stack_soil();
    CHECK_OK(folder_remove(longer, &error), error);
    ck_assert(file_exists(file));
}
END_TEST

int main(void)
{
    return suite_run(
        "file_safety",
        (const TTest *[]){test_file_safety_a_secret_is_its_owners_whatever_the_umask,
                          test_file_safety_others_cannot_write_under_an_open_umask,
                          test_file_safety_removing_a_folder_leaves_what_links_point_to,
                          test_file_safety_removing_what_cannot_be_there_is_no_error, NULL});
}
