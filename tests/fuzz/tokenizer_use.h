/* What a tokenizer that was accepted must survive: some text encoded with places, and decoded. */
#ifndef SHARDLM_TESTS_FUZZ_TOKENIZER_USE_H
#define SHARDLM_TESTS_FUZZ_TOKENIZER_USE_H

#include "base/memory.h"
#include "data_pipeline/tokenizer.h"

static inline void tokenizer_use(const struct tokenizer *tokenizer)
{
    static const char text[] = "The harbour wakes <mask> before\n\tthe town: na\xc3\xafve, "
                               "\xe6\xb0\xb4 123 don't \xf0\x9f\x8c\x8a \xff";
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list ids = {0};
    struct token_places places = {0};
    struct error error;
    char *back;
    size_t size_bytes;
    tokenizer_encode_places(tokenizer, work, text, sizeof text - 1, true, &ids, &places);
    tokenizer_encode(tokenizer, work, text, sizeof text - 1, false, &ids);
    if (tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back, &size_bytes, &error) ==
        STATUS_OK) {
        memory_release(back);
    }
    token_places_deinit(&places);
    token_list_deinit(&ids);
    tokenizer_work_close(work);
}

#endif
