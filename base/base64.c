/* See base64.h. */
#include "base/base64.h"

#include <stdint.h>

#include "base/memory.h"

enum { DIGIT_BITS = 6, NO_DIGIT = 64, DIGITS_A_GROUP = 4, BYTES_A_GROUP = 3 };

static uint32_t digit_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z') {
        return (uint32_t)(letter - 'A');
    }
    if (letter >= 'a' && letter <= 'z') {
        return (uint32_t)(letter - 'a') + 26;
    }
    if (letter >= '0' && letter <= '9') {
        return (uint32_t)(letter - '0') + 52;
    }
    return letter == '+' ? 62 : (letter == '/' ? 63 : NO_DIGIT);
}

bool base64_decode(const char *text, size_t text_bytes, char **bytes, size_t *size_bytes)
{
    if (text_bytes % DIGITS_A_GROUP != 0) {
        return false;
    }
    size_t digits = text_bytes;
    while (digits > 0 && text_bytes - digits < 2 && text[digits - 1] == '=') {
        digits--;
    }
    for (size_t i = 0; i < digits; i++) {
        if (digit_of(text[i]) == NO_DIGIT) {
            return false;
        }
    }
    *size_bytes = digits * BYTES_A_GROUP / DIGITS_A_GROUP;
    *bytes = memory_take(*size_bytes + 1, 1, "decoded base64");
    uint32_t bits = 0;
    size_t written = 0;
    for (size_t i = 0; i < digits; i++) {
        bits = bits << DIGIT_BITS | digit_of(text[i]);
        if (i % DIGITS_A_GROUP > 0) { /* digit 1, 2, 3 of a group completes byte 0, 1, 2 */
            const size_t spare = DIGIT_BITS - 2 * (i % DIGITS_A_GROUP);
            (*bytes)[written++] = (char)(bits >> spare);
        }
    }
    return true;
}

char *base64_encode(const char *bytes, size_t size_bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t groups = (size_bytes + BYTES_A_GROUP - 1) / BYTES_A_GROUP;
    char *const text = memory_take(groups * DIGITS_A_GROUP + 1, 1, "base64");
    for (size_t group = 0; group < groups; group++) {
        const size_t at = group * BYTES_A_GROUP;
        uint32_t bits = 0;
        for (size_t i = 0; i < BYTES_A_GROUP; i++) {
            bits = bits << 8 | (at + i < size_bytes ? (unsigned char)bytes[at + i] : 0U);
        }
        for (size_t i = 0; i < DIGITS_A_GROUP; i++) { /* i digits carry i - 1 whole bytes */
            const uint32_t digit = bits >> (DIGIT_BITS * (DIGITS_A_GROUP - 1 - i)) & (NO_DIGIT - 1);
            text[group * DIGITS_A_GROUP + i] = at + i <= size_bytes ? digits[digit] : '=';
        }
    }
    return text;
}
