/* See lease_book.h. */
#include "coordinator/lease_book.h"

static const double slowness_dynamic = 1.1;
static const double slowness_static = 1.05;

void lease_book_init(struct lease_book *book, enum lease_policy policy, int64_t worker_count,
                     int64_t slots)
{
    *book = (struct lease_book){.policy = policy,
                                .worker_count = worker_count,
                                .slots = slots,
                                .dynamic = policy == LEASE_POLICY_DYNAMIC};
}

void lease_book_begin(struct lease_book *book, double slowness)
{
    if (book->policy == LEASE_POLICY_AUTO) {
        book->dynamic = slowness > (book->dynamic ? slowness_static : slowness_dynamic);
    }
    book->next = book->worker_count;
}

int64_t lease_book_give(struct lease_book *book)
{
    return book->dynamic && book->next < book->slots ? book->next++ : -1;
}

int64_t lease_first(int64_t worker, int64_t slots)
{
    return worker < slots ? worker : -1;
}

int64_t lease_following(int64_t slot, int64_t worker_count, int64_t slots)
{
    return slot + worker_count < slots ? slot + worker_count : -1;
}
