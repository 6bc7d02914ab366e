/* See parts.h. */
#include "model/parts.h"

struct parts parts_make(int64_t count, int64_t member, int64_t member_count,
                        const struct parts_exchange *exchange)
{
    const struct parts parts = {.count = count == 0 ? 1 : count,
                                .member = member,
                                .member_count = member_count == 0 ? 1 : member_count,
                                .exchange = member_count > 1 ? exchange : NULL};
    INVARIANT(parts.count % parts.member_count == 0 && parts.member < parts.member_count);
    return parts;
}

int64_t parts_first(const struct parts *parts)
{
    return parts->count / parts->member_count * parts->member;
}

int64_t parts_end(const struct parts *parts)
{
    return parts->count / parts->member_count * (parts->member + 1);
}

static struct parts_range range_between(const struct parts *parts, int64_t total, int64_t first,
                                        int64_t end)
{
    const int64_t from = total * first / parts->count;
    return (struct parts_range){.first = from, .count = total * end / parts->count - from};
}

struct parts_range parts_local(const struct parts *parts, int64_t total)
{
    return range_between(parts, total, parts_first(parts), parts_end(parts));
}

struct parts_range parts_range(const struct parts *parts, int64_t total, int64_t part)
{
    return range_between(parts, total, part, part + 1);
}

int64_t parts_levels(const struct parts *parts)
{
    int64_t levels = parts->count == 1 ? 0 : 1; /* what is added to another gradient */
    for (int64_t local = parts->count / parts->member_count; local > 1; local /= 2) {
        levels++;
    }
    return levels;
}

enum status parts_check(const struct parts *parts, struct error *error)
{
    return parts->exchange == NULL ? STATUS_OK
                                   : parts->exchange->check(parts->exchange->context, error);
}
