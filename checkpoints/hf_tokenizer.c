/* See hf_tokenizer.h. */
#include "checkpoints/hf_tokenizer.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "checkpoints/folder_copy.h"
#include "data_pipeline/tokenizer.h"

enum { TOKENIZER_BYTES_MAX = 1 << 30 };

/* Roles that transformers knows, and the tokens that may have them; of those that exist, the first
 * has it. */
static const struct {
    const char *role;
    const char *tokens[3];
} roles[] = {
    {"bos_token", {"<s>", "[CLS]", "<|endoftext|>"}},   {"cls_token", {"[CLS]", "<cls>", "<s>"}},
    {"eos_token", {"</s>", "[SEP]", "<|endoftext|>"}},  {"sep_token", {"[SEP]", "<sep>", "</s>"}},
    {"unk_token", {"<unk>", "[UNK]", "<|endoftext|>"}}, {"pad_token", {"<pad>", "[PAD]", NULL}},
    {"mask_token", {"<mask>", "[MASK]", NULL}},
};

struct facts {
    const json_t *added; /* array of added tokens */
    bool bytes;          /* byte-level BPE */
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

/* The token of roles[role], or NULL. */
static const char *role_token(const struct facts *facts, int64_t role)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(roles[role].tokens); i++) {
        const char *const token = roles[role].tokens[i];
        if (token != NULL && added_find(facts, token) != NULL) {
            return token;
        }
    }
    return NULL;
}

static void id_take(const struct facts *facts, const char *role, int64_t *id)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(roles); i++) {
        const char *const token = role_token(facts, i);
        if (strcmp(roles[i].role, role) == 0) {
            const json_t *const value =
                token == NULL ? NULL : json_object_get(added_find(facts, token), "id");
            *id = json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
        }
    }
}

/* Roles whose token exists. The mask takes the space before it, if its tokenizer says so. */
static json_t *roles_pack(const struct facts *facts)
{
    json_t *const root = json_object();
    for (int64_t i = 0; i < ARRAY_LENGTH(roles); i++) {
        const char *const token = role_token(facts, i);
        if (token == NULL) {
            continue;
        }
        const bool lstrip = json_is_true(json_object_get(added_find(facts, token), "lstrip"));
        json_t *const value = lstrip ? json_pack("{ss sb sb sb sb}", "content", token, "lstrip", 1,
                                                 "normalized", 0, "rstrip", 0, "single_word", 0)
                                     : json_string(token);
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
    json_t *const rest = json_pack("{sI ss}", "model_max_length", (json_int_t)positions,
                                   "tokenizer_class", "PreTrainedTokenizerFast");
    /* GPT-2 would add the embedding of a segment 0, were it given segments. */
    json_t *const inputs =
        facts->bytes ? json_pack("[ss]", "input_ids", "attention_mask")
                     : json_pack("[sss]", "input_ids", "token_type_ids", "attention_mask");
    (void)json_object_set_new(rest, "model_input_names", inputs);
    if (facts->bytes) {
        json_t *const bytes = json_pack("{sb ss sb}", "add_prefix_space", facts->add_prefix_space,
                                        "errors", "replace", "trim_offsets", 1);
        (void)json_object_update(rest, bytes);
        json_decref(bytes);
    }
    (void)json_object_update(settings, rest);
    json_decref(rest);
    status = absent_write(folder, "tokenizer_config.json", settings, error);
    json_decref(settings);
    return status;
}

/* What the folder's tokenizer.json says. *root, which `facts` borrows from, is the caller's. */
static enum status facts_read(struct facts *facts, const char *folder, json_t **root,
                              struct error *error)
{
    char path[PATH_BYTES];
    *facts = (struct facts){0};
    *root = NULL;
    TRY(path_join(path, folder, "tokenizer.json", error));
    TRY(json_read_file(path, TOKENIZER_BYTES_MAX, root, error));
    json_t *added;
    TRY(json_member_array(*root, "added_tokens", path, &added, error));
    facts->added = added;
    const json_t *const before = json_object_get(*root, "pre_tokenizer");
    const char *const type =
        json_string_value(json_object_get(json_object_get(*root, "model"), "type"));
    facts->add_prefix_space = json_is_true(json_object_get(before, "add_prefix_space"));
    facts->bytes = type == NULL || strcmp(type, "BPE") == 0;
    return STATUS_OK;
}

/* The folder they come from may hold a whole model. */
static enum status files_copy(const char *from, const char *to, struct error *error)
{
    static const char *const names[] = {
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "vocab.txt",
        "spiece.model",
        "tokenizer.model",
        "sentencepiece.bpe.model",
        "added_tokens.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    };
    if (!folder_exists(from)) {
        FAIL(error, STATUS_INPUT, "there is no tokenizer folder \"%s\"", from);
    }
    TRY(folder_make(to, error));
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char source[PATH_BYTES];
        char target[PATH_BYTES];
        TRY(path_join(source, from, names[i], error));
        TRY(path_join(target, to, names[i], error));
        if (file_exists(source)) {
            char *data;
            size_t size_bytes;
            TRY(file_read(source, TOKENIZER_BYTES_MAX, &data, &size_bytes, error));
            const enum status status = file_write_checked(target, data, size_bytes, error);
            memory_release(data);
            TRY(status);
        }
    }
    return folder_flush(to, error);
}

/* transformers has a class for each kind of file, which adds habits of its own (ALBERT's writes all
 * in lower case); a tokenizer.json says all there is to know. */
static enum status json_complete(const char *from, const char *to, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, to, "tokenizer.json", error));
    if (file_exists(path)) {
        return STATUS_OK;
    }
    struct tokenizer *tokenizer;
    TRY(tokenizer_open(&tokenizer, from, error));
    const enum status status = tokenizer_save_json(tokenizer, to, error);
    tokenizer_close(tokenizer);
    return status;
}

enum status hf_tokenizer_write(const char *from, const char *to, int64_t positions,
                               struct hf_token_ids *ids, struct error *error)
{
    struct facts facts;
    json_t *root;
    TRY(files_copy(from, to, error));
    TRY(json_complete(from, to, error));
    enum status status = facts_read(&facts, to, &root, error);
    if (status == STATUS_OK) {
        id_take(&facts, "bos_token", &ids->bos);
        id_take(&facts, "eos_token", &ids->eos);
    }
    if (status == STATUS_OK) {
        status = settings_write(to, &facts, positions, error);
    }
    json_decref(root);
    return status;
}
