/* See hf_tokenizer.h. */
#include "checkpoints/hf_tokenizer.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoints/folder_copy.h"

enum { TOKENIZER_BYTES_MAX = 1 << 30 };

/* Roles that transformers knows, and the token that RoBERTa's tokenizers use for each. */
static const struct {
    const char *role;
    const char *token;
} roles[] = {
    {"bos_token", "<s>"},   {"cls_token", "<s>"},   {"eos_token", "</s>"},    {"sep_token", "</s>"},
    {"unk_token", "<unk>"}, {"pad_token", "<pad>"}, {"mask_token", "<mask>"},
};

/* What tokenizer.json says; without one, everything is as RoBERTa has it. */
struct facts {
    const json_t *added; /* array of added tokens, or NULL */
    bool add_prefix_space;
};

static const json_t *added_find(const struct facts *facts, const char *token)
{
    size_t i;
    json_t *entry;
    json_array_foreach(facts->added, i, entry)
    {
        const char *const content = json_string_value(json_object_get(entry, "content"));
        if (content != NULL && strcmp(content, token) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void id_take(const struct facts *facts, const char *token, int64_t *id)
{
    const json_t *const value = json_object_get(added_find(facts, token), "id");
    *id = json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
}

/* Roles whose token exists. The mask takes the space before it, if its tokenizer says so. */
static json_t *roles_pack(const struct facts *facts)
{
    json_t *const root = json_object();
    for (int64_t i = 0; i < ARRAY_LENGTH(roles); i++) {
        const json_t *const entry = added_find(facts, roles[i].token);
        if (facts->added != NULL && entry == NULL) {
            continue;
        }
        const bool lstrip = facts->added == NULL ? strcmp(roles[i].token, "<mask>") == 0
                                                 : json_is_true(json_object_get(entry, "lstrip"));
        json_t *const value =
            lstrip ? json_pack("{ss sb sb sb sb}", "content", roles[i].token, "lstrip", 1,
                               "normalized", 0, "rstrip", 0, "single_word", 0)
                   : json_string(roles[i].token);
        (void)json_object_set_new(root, roles[i].role, value);
    }
    return root;
}

static enum status absent_write(const char *folder, const char *name, const json_t *root,
                                struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, folder, name, error));
    return file_exists(path) ? STATUS_OK : json_write_file(path, root, error);
}

static enum status settings_write(const char *folder, const struct facts *facts, int64_t positions,
                                  struct error *error)
{
    json_t *const map = roles_pack(facts);
    enum status status = absent_write(folder, "special_tokens_map.json", map, error);
    json_decref(map);
    TRY(status);
    json_t *const settings = roles_pack(facts);
    json_t *const rest = json_pack("{sb ss sI ss sb}", "add_prefix_space", facts->add_prefix_space,
                                   "errors", "replace", "model_max_length", (json_int_t)positions,
                                   "tokenizer_class", "RobertaTokenizerFast", "trim_offsets", 1);
    (void)json_object_update(settings, rest);
    json_decref(rest);
    status = absent_write(folder, "tokenizer_config.json", settings, error);
    json_decref(settings);
    return status;
}

static enum status described_write(const char *to, const json_t *root, const char *path,
                                   int64_t positions, struct hf_token_ids *ids, struct error *error)
{
    struct facts facts = {0};
    if (root != NULL) {
        json_t *added;
        TRY(json_member_array(root, "added_tokens", path, &added, error));
        facts.added = added;
        const json_t *const before = json_object_get(root, "pre_tokenizer");
        facts.add_prefix_space = json_is_true(json_object_get(before, "add_prefix_space"));
        id_take(&facts, "<s>", &ids->bos);
        id_take(&facts, "</s>", &ids->eos);
    }
    return settings_write(to, &facts, positions, error);
}

enum status hf_tokenizer_write(const char *from, const char *to, int64_t positions,
                               struct hf_token_ids *ids, struct error *error)
{
    TRY(folder_copy(from, to, error));
    char path[PATH_BYTES];
    TRY(path_join(path, from, "tokenizer.json", error));
    json_t *root = NULL;
    if (file_exists(path)) {
        TRY(json_read_file(path, TOKENIZER_BYTES_MAX, &root, error));
    }
    const enum status status = described_write(to, root, path, positions, ids, error);
    json_decref(root);
    return status;
}
