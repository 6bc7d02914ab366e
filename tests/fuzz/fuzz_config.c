/* launch/config: YAML of a run. What is accepted is written and read again, to the same struct. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "launch/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *const config = memory_take(2, sizeof *config, "configurations");
    struct error error;
    if (config_parse_text("fuzz.yaml", (const char *)data, size, NULL, 0, &config[0], &error) ==
        STATUS_OK) {
        struct text text = {0};
        config_text(&config[0], &text);
        const enum status status = config_parse_text("again.yaml", text.data, text.size_bytes, NULL,
                                                     0, &config[1], &error);
        if (status != STATUS_OK || memcmp(&config[0], &config[1], sizeof config[0]) != 0) {
            abort();
        }
        text_deinit(&text);
    }
    memory_release(config);
    return 0;
}
