/* See address.h. Rank 0 listens on all its addresses for as long as the probe takes and greets
 * whoever comes with the number that it has told the ranks through the fabric. */
#include "launch/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { GREETER_POLL_MS = 100 };

/* What rank 0 tells all ranks, flat for one broadcast. */
struct address_offer {
    uint64_t secret;
    int64_t count;
    uint16_t port;
    char addresses[ADDRESS_COUNT_MAX][ADDRESS_BYTES];
};

/* Rank 0's listener and the thread that greets. */
struct greeter {
    int listener;
    uint64_t secret;
    _Atomic bool leaving;
    pthread_t thread;
};

/* This host's IPv4 addresses that others might reach, in the system's order. */
static enum status addresses_list(struct address_offer *offer, struct error *error)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) {
        FAIL(error, STATUS_INTERNAL, "could not list this host's network addresses: %s",
             strerror(errno));
    }
    for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
        const bool usable = entry->ifa_addr != NULL && entry->ifa_addr->sa_family == AF_INET &&
                            (entry->ifa_flags & IFF_UP) != 0 &&
                            (entry->ifa_flags & IFF_LOOPBACK) == 0;
        if (!usable || offer->count == ADDRESS_COUNT_MAX) {
            continue;
        }
        struct sockaddr_in internet;
        memcpy(&internet, entry->ifa_addr, sizeof internet);
        if (inet_ntop(AF_INET, &internet.sin_addr, offer->addresses[offer->count], ADDRESS_BYTES) !=
            NULL) {
            offer->count++;
        }
    }
    freeifaddrs(list);
    return STATUS_OK;
}

static void *greeter_main(void *context)
{
    struct greeter *const greeter = context;
    while (!greeter->leaving) {
        struct pollfd wait = {.fd = greeter->listener, .events = POLLIN};
        if (poll(&wait, 1, GREETER_POLL_MS) <= 0) {
            continue;
        }
        const int guest = accept4(greeter->listener, NULL, NULL, SOCK_CLOEXEC);
        if (guest >= 0) {
            /* Eight bytes fit into any socket's buffer; whoever has left misses them. */
            (void)send(guest, &greeter->secret, sizeof greeter->secret,
                       MSG_NOSIGNAL | MSG_DONTWAIT);
            (void)close(guest);
        }
    }
    return NULL;
}

static enum status greeter_open(struct greeter *greeter, struct address_offer *offer,
                                struct error *error)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof any;
    greeter->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (greeter->listener < 0 || bind(greeter->listener, (struct sockaddr *)&any, length) != 0 ||
        listen(greeter->listener, SOMAXCONN) != 0 ||
        getsockname(greeter->listener, (struct sockaddr *)&any, &length) != 0) {
        FAIL(error, STATUS_INTERNAL, "could not listen for workers of other hosts: %s",
             strerror(errno));
    }
    if (getrandom(&offer->secret, sizeof offer->secret, 0) != (ssize_t)sizeof offer->secret) {
        FAIL(error, STATUS_INTERNAL, "could not draw a random number: %s", strerror(errno));
    }
    offer->port = ntohs(any.sin_port);
    greeter->secret = offer->secret;
    const int refused = pthread_create(&greeter->thread, NULL, greeter_main, greeter);
    if (refused != 0) {
        FAIL(error, STATUS_INTERNAL, "could not start a thread: %s", strerror(refused));
    }
    return STATUS_OK;
}

static void greeter_close(struct greeter *greeter, bool started)
{
    if (started) {
        greeter->leaving = true;
        (void)pthread_join(greeter->thread, NULL);
    }
    if (greeter->listener >= 0) {
        (void)close(greeter->listener);
    }
}

/* A connection on its way to one address; -1 when the address is out of reach. */
static int caller_open(const char *address, uint16_t port)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &peer.sin_addr) != 1) {
        return -1;
    }
    const int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (caller >= 0 && connect(caller, (struct sockaddr *)&peer, sizeof peer) != 0 &&
        errno != EINPROGRESS) {
        (void)close(caller);
        return -1;
    }
    return caller;
}

/* reached[i] = 1 where rank 0 answered at address i within the limit. */
static void addresses_probe(const struct address_offer *offer, int64_t *reached)
{
    struct pollfd callers[ADDRESS_COUNT_MAX];
    for (int64_t i = 0; i < offer->count; i++) {
        callers[i] =
            (struct pollfd){.fd = caller_open(offer->addresses[i], offer->port), .events = POLLIN};
    }
    const int64_t start_ns = clock_now_ns();
    for (bool open = true; open;) {
        open = false;
        const int64_t left_ms = ADDRESS_PROBE_MS - (int64_t)(clock_seconds_since(start_ns) * 1e3);
        if (left_ms <= 0 || poll(callers, (nfds_t)offer->count, (int)left_ms) <= 0) {
            break;
        }
        for (int64_t i = 0; i < offer->count; i++) {
            if (callers[i].fd >= 0 && callers[i].revents != 0) {
                uint64_t secret = 0;
                const ssize_t size = recv(callers[i].fd, &secret, sizeof secret, MSG_DONTWAIT);
                reached[i] = size == (ssize_t)sizeof secret && secret == offer->secret ? 1 : 0;
                (void)close(callers[i].fd);
                callers[i].fd = -1; /* poll passes it over */
            }
            open = open || callers[i].fd >= 0;
        }
    }
    for (int64_t i = 0; i < offer->count; i++) {
        if (callers[i].fd >= 0) {
            (void)close(callers[i].fd);
        }
    }
}

static enum status address_agree(struct fabric_group *world, const char *first_host,
                                 const struct address_offer *offer, char address[ADDRESS_BYTES],
                                 struct error *error)
{
    int64_t reached[ADDRESS_COUNT_MAX] = {0};
    addresses_probe(offer, reached);
    TRY(fabric_least(world, reached, ADDRESS_COUNT_MAX, error));
    char tried[ADDRESS_COUNT_MAX * (ADDRESS_BYTES + 2)] = "";
    for (int64_t i = 0; i < offer->count; i++) {
        if (reached[i] == 1) {
            memcpy(address, offer->addresses[i], ADDRESS_BYTES);
            return STATUS_OK;
        }
        const size_t length = strlen(tried);
        (void)snprintf(tried + length, sizeof tried - length, "%s%s", i > 0 ? ", " : "",
                       offer->addresses[i]);
    }
    FAIL(error, STATUS_PEER,
         "not every host reaches the coordinator on host %s within %d s; its addresses are: %s",
         first_host, ADDRESS_PROBE_MS / 1000, offer->count > 0 ? tried : "none but the loopback");
}

enum status address_choose(struct fabric_group *world, const char *own_host,
                           char address[ADDRESS_BYTES], struct error *error)
{
    char first_host[FABRIC_HOST_BYTES];
    (void)snprintf(first_host, sizeof first_host, "%s", own_host);
    TRY(fabric_broadcast(world, 0, first_host, sizeof first_host, error));
    int64_t same = strcmp(first_host, own_host) == 0 ? 1 : 0;
    TRY(fabric_least(world, &same, 1, error));
    if (same == 1) {
        (void)snprintf(address, ADDRESS_BYTES, "127.0.0.1");
        return STATUS_OK;
    }
    struct address_offer offer = {0};
    struct greeter greeter = {.listener = -1};
    enum status status = STATUS_OK;
    const bool first = fabric_rank(world) == 0;
    if (first) {
        status = addresses_list(&offer, error);
        if (status == STATUS_OK) {
            status = greeter_open(&greeter, &offer, error);
        }
    }
    const bool greets = first && status == STATUS_OK;
    status = fabric_agree(world, status, error);
    if (status == STATUS_OK) {
        status = fabric_broadcast(world, 0, &offer, sizeof offer, error);
    }
    if (status == STATUS_OK) {
        status = address_agree(world, first_host, &offer, address, error);
    }
    greeter_close(&greeter, greets);
    return status;
}
