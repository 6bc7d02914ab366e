/* See corpus_lines.h. */
#include "data_pipeline/corpus_lines.h"

#include <string.h>

#include "base/memory.h"

void corpus_line_list_deinit(struct corpus_line_list *list)
{
    memory_release(list->first_tokens);
    *list = (struct corpus_line_list){0};
}

static void list_add(struct corpus_line_list *list, size_t first_token)
{
    memory_reserve((void **)&list->first_tokens, &list->capacity, list->count + 1,
                   sizeof *list->first_tokens, "lines");
    list->first_tokens[list->count++] = (int64_t)first_token;
}

static bool holds_line_feed(const struct tokenizer *tokenizer, int32_t id)
{
    char *text;
    size_t size_bytes;
    if (tokenizer_is_special(tokenizer, id) ||
        tokenizer_decode(tokenizer, &id, 1, false, &text, &size_bytes, NULL) != STATUS_OK) {
        return false;
    }
    const bool holds = memchr(text, '\n', size_bytes) != NULL;
    memory_release(text);
    return holds;
}

void corpus_lines_init(struct corpus_lines *lines, const struct tokenizer *tokenizer)
{
    const int64_t vocabulary = tokenizer_vocabulary(tokenizer);
    *lines = (struct corpus_lines){.tokenizer = tokenizer};
    lines->ends_line = memory_take((size_t)vocabulary, 1, "lines");
    for (int32_t id = 0; id < vocabulary; id++) {
        lines->ends_line[id] = holds_line_feed(tokenizer, id);
    }
    /* A token may be there that no text reaches, so one is tried. */
    static const char two_lines[] = "a\nb";
    struct tokenizer_work *const work = tokenizer_work_open();
    struct token_list tokens = {0};
    tokenizer_encode(tokenizer, work, two_lines, sizeof two_lines - 1, false, &tokens);
    for (size_t i = 0; i < tokens.count; i++) {
        lines->keeps_line_feeds = lines->keeps_line_feeds || lines->ends_line[tokens.ids[i]];
    }
    token_list_deinit(&tokens);
    tokenizer_work_close(work);
}

void corpus_lines_deinit(struct corpus_lines *lines)
{
    memory_release(lines->ends_line);
    *lines = (struct corpus_lines){0};
}

/* Lines of the tokens from `begin` on. */
static void find_lines(const struct corpus_lines *lines, const struct token_list *tokens,
                       size_t begin, struct corpus_line_list *list)
{
    bool ended = true;
    for (size_t i = begin; i < tokens->count; i++) {
        const bool ends = lines->ends_line[tokens->ids[i]] != 0;
        if (ended && (!ends || i == begin)) {
            list_add(list, i);
        }
        ended = ends;
    }
}

void corpus_lines_encode(const struct corpus_lines *lines, struct tokenizer_work *work,
                         const char *text, size_t size_bytes, struct token_list *tokens,
                         struct corpus_line_list *list)
{
    if (lines->keeps_line_feeds) {
        const size_t begin = tokens->count;
        tokenizer_encode(lines->tokenizer, work, text, size_bytes, false, tokens);
        find_lines(lines, tokens, begin, list);
        return;
    }
    for (size_t begin = 0; begin < size_bytes;) {
        const char *const feed = memchr(text + begin, '\n', size_bytes - begin);
        const size_t end = feed == NULL ? size_bytes : (size_t)(feed - text);
        const size_t first_token = tokens->count;
        tokenizer_encode(lines->tokenizer, work, text + begin, end - begin, false, tokens);
        if (tokens->count > first_token) {
            list_add(list, first_token);
        }
        begin = end + 1;
    }
}
