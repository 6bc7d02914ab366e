/* The program: one command per call. An error is printed once, here; the exit code says what kind
 * it was (0 good, 2 bad input, 3 bad numbers, 75 interrupted with state saved, else 1). */
#include <stdio.h>
#include <sys/stat.h>

#include "launch/commands.h"
#include "launch/dispatch.h"

int main(int argc, char **argv)
{
    struct error error = {0};
    (void)umask(umask(0) | S_IWGRP | S_IWOTH); /* what we write, nobody else may change */
    enum status status = dispatch(command_table, argc, argv, &error);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == STATUS_OK) {
        status = error_set(&error, STATUS_IO, "could not write to standard output");
    }
    if (status != STATUS_OK && error.message[0] != '\0') { /* empty: a child process has said it */
        (void)fprintf(stderr, "shardlm: %s\n", error.message);
    }
    return status_exit_code(status);
}
