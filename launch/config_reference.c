/* The reference of all configuration keys, from their table: as a page for a terminal and as
 * Markdown. */
#include <stdio.h>
#include <string.h>

#include "launch/command_line.h"
#include "launch/config_family.h"
#include "launch/config_table.h"

/* "default 0.1", "default: that of model.dropout", "required". */
static void standard_text(const struct config_key *key, const char *quote, struct text *out)
{
    if (key->standard == NULL) {
        text_add(out, "required");
    } else if (key->standard[0] == '=') {
        text_add(out, "as %s%s%s", quote, key->standard + 1, quote);
    } else {
        text_add(out, "%s%s%s", quote, key->standard, quote);
    }
    config_family_text(key, quote, out);
}

void config_reference(struct text *out)
{
    text_add_wrapped(
        out,
        "A configuration is a YAML file of sections and keys. Relative paths are relative to the "
        "file's folder; those of --set to the current folder. Every key can be overridden: --set "
        "optimizer.peak_rate=5e-4.",
        0, COMMAND_LINE_COLUMNS);
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *const key = &config_keys[i];
        text_add(out, "\n%s\n    ", key->name);
        text_add_wrapped(out, key->help, 4, COMMAND_LINE_COLUMNS);
        struct text facts = {0};
        config_key_expectation(key, &facts);
        text_add(&facts, key->standard == NULL ? "; " : "; default ");
        standard_text(key, "", &facts);
        text_add(out, "    ");
        text_add_wrapped(out, facts.data, 4, COMMAND_LINE_COLUMNS);
        text_deinit(&facts);
    }
}

void config_reference_markdown(struct text *out)
{
    text_add(out, "# Configuration\n\n"
                  "Generated from the table in `launch/config_table.c` by `shardlm help config "
                  "--markdown`; a test "
                  "keeps the two equal.\n\n"
                  "A configuration is a YAML file of sections and keys. Relative paths are "
                  "relative to the file's "
                  "folder; those of `--set`\nto the current folder. Every key can be overridden on "
                  "the command line: "
                  "`--set optimizer.peak_rate=5e-4`. Unknown keys,\nwrong types, values out of "
                  "range, duplicates and "
                  "impossible combinations are refused with file, line and column. The\nresolved "
                  "configuration, with "
                  "every default filled in, is stored in the run and in each checkpoint.\n");
    char section[64] = "";
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *const key = &config_keys[i];
        const size_t length = strcspn(key->name, ".");
        if (strncmp(section, key->name, length) != 0 || section[length] != '\0') {
            (void)snprintf(section, sizeof section, "%.*s", (int)length, key->name);
            text_add(out, "\n## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
                     section);
        }
        text_add(out, "| `%s` | ", key->name);
        config_key_expectation(key, out);
        text_add(out, " | ");
        standard_text(key, "`", out);
        text_add(out, " | %s |\n", key->help);
    }
}
