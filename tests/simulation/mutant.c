/* See mutant.h. */
#include "tests/simulation/mutant.h"

#include <string.h>

#include "coordinator/coordinator.h"
#include "coordinator/lease_book.h"
#include "shard/accumulator.h"
#include "shard/commit.h"
#include "tests/simulation/trouble.h"

#define SEAM(name, result, parameters)                                                             \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;

SEAM(accumulator_finish, enum status, (struct accumulator * accumulator, struct error *error))
SEAM(lease_book_give, int64_t, (struct lease_book * book))
SEAM(folder_flush, enum status, (const char *path, struct error *error))
SEAM(recall_refuses, bool, (enum status status))
SEAM(commit_mend, void, (struct node_state * node, const struct partition *partition, int64_t step))
SEAM(commit_check, enum status,
     (const struct node_state *node, const struct partition *partition, struct error *error))
SEAM(commit_update, void,
     (struct optimizer * optimizer, struct node_state *node, int64_t step,
      const struct fault *fault))

static enum mutant chosen;

const char *mutant_name(enum mutant mutant)
{
    static const char *const names[] = {
#define X(name, text, help) text,
        MUTANTS(X)
#undef X
    };
    return names[mutant];
}

const char *mutant_help(enum mutant mutant)
{
    static const char *const helps[] = {
#define X(name, text, help) help,
        MUTANTS(X)
#undef X
    };
    return helps[mutant];
}

void mutant_choose(enum mutant mutant)
{
    chosen = mutant;
}

bool mutant_is(enum mutant mutant)
{
    return chosen == mutant;
}

struct message mutant_record(const struct message *message)
{
    struct message record = *message;
    if (mutant_is(MUTANT_PARTS_EARLY) && record.kind == MESSAGE_KIND_READY && record.step > 0) {
        record.values[MESSAGE_VALUE_WRITTEN] = record.step;
    }
    return record;
}

enum status __wrap_accumulator_finish(struct accumulator *accumulator, struct error *error)
{
    if (mutant_is(MUTANT_READY_EARLY)) {
        commit_ready(accumulator->node, atomic_load(&accumulator->node->ledger->done_step) + 1);
    }
    return __real_accumulator_finish(accumulator, error);
}

/* Every third one, of those behind the workers' first. */
int64_t __wrap_lease_book_give(struct lease_book *book)
{
    static int64_t calls;
    const bool again = mutant_is(MUTANT_LEASE_TWICE) && trouble_total() > 0 && book->dynamic &&
                       book->next > book->worker_count && ++calls % 3 == 0;
    return again ? book->next - 1 : __real_lease_book_give(book);
}

enum status __wrap_folder_flush(const char *path, struct error *error)
{
    return mutant_is(MUTANT_NO_FLUSH) ? STATUS_OK : __real_folder_flush(path, error);
}

bool __wrap_recall_refuses(enum status status)
{
    return mutant_is(MUTANT_HASTY_RECALL) || __real_recall_refuses(status);
}

void __wrap_commit_mend(struct node_state *node, const struct partition *partition, int64_t step)
{
    if (!mutant_is(MUTANT_TORN_RECORD)) {
        __real_commit_mend(node, partition, step);
    }
}

enum status __wrap_commit_check(const struct node_state *node, const struct partition *partition,
                                struct error *error)
{
    return mutant_is(MUTANT_TORN_RECORD) ? STATUS_OK : __real_commit_check(node, partition, error);
}

void __wrap_commit_update(struct optimizer *optimizer, struct node_state *node, int64_t step,
                          const struct fault *fault)
{
    if (mutant_is(MUTANT_HALF_DONE)) {
        struct node_record record = *commit_record(node);
        record.step = step;
        commit_done(node, &record);
    }
    __real_commit_update(optimizer, node, step, fault);
}
