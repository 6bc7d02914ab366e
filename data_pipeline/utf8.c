/* UTF-8: validation, decoding, repair. See utf8.h. */
#include "data_pipeline/utf8.h"

#include <string.h>

/* Length by lead byte and the range of the second byte (Unicode table 3-7); length 0: never a lead
 * byte. */
struct utf8_lead {
    size_t length;
    unsigned char second_least;
    unsigned char second_most;
};

static struct utf8_lead utf8_lead_of(unsigned char byte)
{
    if (byte >= 0xc2 && byte <= 0xdf) {
        return (struct utf8_lead){2, 0x80, 0xbf};
    }
    if (byte >= 0xe0 && byte <= 0xef) {
        return (struct utf8_lead){3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    }
    if (byte >= 0xf0 && byte <= 0xf4) {
        return (struct utf8_lead){4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    }
    return (struct utf8_lead){0, 0, 0};
}

size_t utf8_decode(const char *text, size_t size_bytes, uint32_t *code_point, size_t *broken_bytes)
{
    const unsigned char *const byte = (const unsigned char *)text;
    if (byte[0] < 0x80) {
        *code_point = byte[0];
        return 1;
    }
    const struct utf8_lead lead = utf8_lead_of(byte[0]);
    size_t good = 1;
    uint32_t value = lead.length == 2   ? byte[0] & 0x1fU
                     : lead.length == 3 ? byte[0] & 0x0fU
                                        : byte[0] & 0x07U;
    while (good < lead.length && good < size_bytes) {
        const unsigned char least = good == 1 ? lead.second_least : 0x80;
        const unsigned char most = good == 1 ? lead.second_most : 0xbf;
        if (byte[good] < least || byte[good] > most) {
            break;
        }
        value = (value << 6) | (byte[good] & 0x3fU);
        good++;
    }
    if (good == lead.length) {
        *code_point = value;
        return good;
    }
    if (broken_bytes != NULL) {
        *broken_bytes = good;
    }
    return 0;
}

size_t utf8_valid_prefix(const char *text, size_t size_bytes)
{
    size_t at = 0;
    while (at < size_bytes) {
        uint64_t word = 0;
        if (size_bytes - at >= sizeof word) {
            memcpy(&word, text + at, sizeof word);
            if ((word & 0x8080808080808080U) == 0) {
                at += sizeof word;
                continue;
            }
        }
        uint32_t code_point = 0;
        const size_t length = utf8_decode(text + at, size_bytes - at, &code_point, NULL);
        if (length == 0) {
            return at;
        }
        at += length;
    }
    return size_bytes;
}

size_t utf8_encode(uint32_t code_point, char text[UTF8_SEQUENCE_BYTES])
{
    if (code_point < 0x80) {
        text[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        text[0] = (char)(0xc0U | (code_point >> 6));
        text[1] = (char)(0x80U | (code_point & 0x3fU));
        return 2;
    }
    if (code_point < 0x10000) {
        text[0] = (char)(0xe0U | (code_point >> 12));
        text[1] = (char)(0x80U | ((code_point >> 6) & 0x3fU));
        text[2] = (char)(0x80U | (code_point & 0x3fU));
        return 3;
    }
    text[0] = (char)(0xf0U | (code_point >> 18));
    text[1] = (char)(0x80U | ((code_point >> 12) & 0x3fU));
    text[2] = (char)(0x80U | ((code_point >> 6) & 0x3fU));
    text[3] = (char)(0x80U | (code_point & 0x3fU));
    return 4;
}

size_t utf8_repair(const char *text, size_t size_bytes, char *out)
{
    size_t at = 0;
    size_t written = 0;
    while (at < size_bytes) {
        const size_t good = utf8_valid_prefix(text + at, size_bytes - at);
        memcpy(out + written, text + at, good);
        written += good;
        at += good;
        if (at < size_bytes) {
            uint32_t code_point = 0;
            size_t broken = 0;
            (void)utf8_decode(text + at, size_bytes - at, &code_point, &broken);
            written += utf8_encode(0xfffd, out + written);
            at += broken;
        }
    }
    return written;
}
