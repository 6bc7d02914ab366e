/* See control_file.h. */
#include "launch/control_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

enum { CONTROL_FILE_VERSION = 2, CONTROL_FILE_BYTES_MAX = 1 << 16, SESSION_BYTES = 17 };

enum status control_file_write(const char *run, const struct channel_address *operators,
                               struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "control.json", error));
    char session[SESSION_BYTES];
    (void)snprintf(session, sizeof session, "%" PRIx64, operators->session);
    char *const text = json_line(json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s}", "format", "shardlm control", "version",
        CONTROL_FILE_VERSION, "endpoint", operators->endpoint, "telemetry", operators->telemetry,
        "server_key", operators->key, "client_key", operators->client_key, "client_secret",
        operators->client_secret, "session", session));
    const enum status status = file_write_private(path, text, strlen(text), error);
    memory_release(text);
    return status;
}

void control_file_remove(const char *run)
{
    char path[PATH_BYTES];
    struct error ignored;
    if (run != NULL && path_join(path, run, "control.json", &ignored) == STATUS_OK) {
        (void)!file_remove(path, &ignored);
    }
}

static enum status text_take(const json_t *root, const char *key, const char *path, char *out,
                             size_t size_bytes, struct error *error)
{
    const char *text;
    TRY(json_member_text(root, key, path, &text, error));
    if (strlen(text) >= size_bytes) {
        FAIL(error, STATUS_FORMAT, "\"%s\": \"%s\" is longer than %zu bytes", path, key,
             size_bytes - 1);
    }
    memcpy(out, text, strlen(text) + 1);
    return STATUS_OK;
}

static enum status address_take(const json_t *root, const char *path,
                                struct channel_address *address, struct error *error)
{
    int64_t version;
    TRY(json_member_integer(root, "version", path, &version, error));
    if (version != CONTROL_FILE_VERSION) {
        FAIL(error, STATUS_FORMAT, "\"%s\" is of version %lld, this program knows %d", path,
             (long long)version, CONTROL_FILE_VERSION);
    }
    TRY(text_take(root, "endpoint", path, address->endpoint, sizeof address->endpoint, error));
    TRY(text_take(root, "telemetry", path, address->telemetry, sizeof address->telemetry, error));
    TRY(text_take(root, "server_key", path, address->key, sizeof address->key, error));
    char session[SESSION_BYTES];
    TRY(text_take(root, "session", path, session, sizeof session, error));
    address->session = strtoull(session, NULL, 16);
    TRY(text_take(root, "client_key", path, address->client_key, sizeof address->client_key,
                  error));
    return text_take(root, "client_secret", path, address->client_secret,
                     sizeof address->client_secret, error);
}

enum status control_file_read(const char *run, struct channel_address *operators,
                              struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, run, "config.yaml", error));
    if (!file_exists(path)) {
        FAIL(error, STATUS_INPUT, "\"%s\" is not a run folder: it has no config.yaml", run);
    }
    TRY(path_join(path, run, "control.json", error));
    if (!file_exists(path)) {
        FAIL(error, STATUS_INPUT, "no job works on run \"%s\"", run);
    }
    json_t *root;
    TRY(json_read_file(path, CONTROL_FILE_BYTES_MAX, &root, error));
    *operators = (struct channel_address){0};
    const enum status status = address_take(root, path, operators, error);
    json_decref(root);
    return status;
}

enum status control_link_open(struct control_link *link, const char *run, struct error *error)
{
    struct channel_address operators;
    *link = (struct control_link){.run = run};
    TRY(control_file_read(run, &operators, error));
    return channel_operator_open(&link->client, &operators, error);
}

void control_link_close(struct control_link *link)
{
    channel_client_close(link->client);
    *link = (struct control_link){0};
}

enum status control_link_ask(struct control_link *link, enum message_kind kind, int64_t value,
                             json_t **answer, struct error *error)
{
    char *text;
    const enum status asked =
        channel_operator_ask(link->client, kind, value, CONTROL_LINK_SECONDS * 1000, &text, error);
    if (asked == STATUS_TIMEOUT) {
        FAIL(error, STATUS_PEER,
             "the job of run \"%s\" does not answer within %d s: it has ended without leaving, or "
             "its host cannot be reached from here",
             link->run, CONTROL_LINK_SECONDS);
    }
    TRY(asked);
    const enum status status = json_read_text("answer", text, strlen(text), answer, error);
    memory_release(text);
    return status;
}
