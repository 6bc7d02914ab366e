/* checkpoints/safetensors: header and tensors; accepted ones are read as floats. */
#include "base/memory.h"
#include "checkpoints/safetensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors file = {0};
    struct error error;
    if (safetensors_open(&file, scratch_file("a.safetensors", data, size), &error) == STATUS_OK) {
        for (int64_t i = 0; i < file.count; i++) {
            float *const values =
                memory_take((size_t)file.tensors[i].count, sizeof *values, "tensor");
            (void)safetensor_floats(&file.tensors[i], values);
            memory_release(values);
        }
    }
    safetensors_close(&file);
    return 0;
}
