/* What the GPT-2 pattern and added tokens ask of a code point: \p{L}, \p{N}, \s (White_Space) and
 * \w. The first three are disjoint; \w (only for `single_word` tokens) is a flag of its own. */
#ifndef SHARDLM_DATA_PIPELINE_UNICODE_CLASSES_H
#define SHARDLM_DATA_PIPELINE_UNICODE_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

enum unicode_class {
    UNICODE_CLASS_OTHER = 0, /* none of the three */
    UNICODE_CLASS_LETTER = 1,
    UNICODE_CLASS_NUMBER = 2,
    UNICODE_CLASS_SPACE = 3,
};

/* Any value is accepted; those above U+10FFFF are OTHER. */
enum unicode_class unicode_class_of(uint32_t code_point);
bool unicode_is_word(uint32_t code_point); /* \w */

#endif
