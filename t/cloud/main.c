/*
 * cloud-sim: a simulator of https://ollama.com for tests, demo and benchmarks.
 *
 *   cloud-sim --port N [--config accounts.json] [--sample]
 *
 * Listens on 127.0.0.1, port 0 takes any free one; says so in one line on
 * stdout when it is ready. One process, one thread, one event loop; ends at
 * SIGTERM and SIGINT. Where to read on:
 *
 *   http        connections, the reader, the writer
 *   exchange    the way of one request
 *   routes      which path is what
 *   emit*       what a model answers, a file for each family
 *   catalogue   what is answered without a model
 *   usage       an account's usage and balance
 *   error       errors, shaped and worded
 *   knobs rules accounts ledger reqlog control
 *               what tests turn, order, own, count, look at; and how they ask
 *   prices purse bill asked
 *               what answers cost, what accounts have left and used, and how
 *               often that was asked
 *   cache       prompts that were seen before
 *   question    reading a request's body
 *   buf table tree clock money
 *               tools
 */

#include "accounts.h"
#include "control.h"
#include "http.h"
#include "ledger.h"
#include "prices.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

struct options {
    long port;
    bool sample;
    const char *config;
};

static int usage(void) {
    fputs("usage: cloud-sim --port N [--config accounts.json] [--sample]\n",
          stderr);
    return 2;
}

static bool parse(struct options *o, int argc, char **argv) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"config", required_argument, NULL, 'c'},
        {"sample", no_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    char *end;
    int c;

    o->port = -1;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'p':
            o->port = strtol(optarg, &end, 10);
            if (*optarg == '\0' || *end) return false;
            break;
        case 'c': o->config = optarg; break;
        case 's': o->sample = true; break;
        default: return false;
        }
    }
    return optind == argc && o->port >= 0 && o->port <= 65535 &&
           !(o->sample && o->config);
}

static void on_signal(evutil_socket_t sig, short what, void *base) {
    (void)sig;
    (void)what;
    event_base_loopbreak(base);
}

static struct event_base *new_base(void) {
    struct event_config *config = must(event_config_new());
    struct event_base *base;

    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    base = must(event_base_new_with_config(config));
    event_config_free(config);
    return base;
}

static void allow_many_connections(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv) {
    struct options options = {0};
    struct event *term, *intr;
    struct event_base *base;
    struct server *server;
    int port;

    if (!parse(&options, argc, argv)) return usage();
    if (options.sample) accounts_sample();
    if (options.config && !control_load_accounts(options.config)) return 1;

    signal(SIGPIPE, SIG_IGN);
    allow_many_connections();

    base = new_base();
    server = server_start(base, options.port, &port);
    if (server == NULL) {
        fprintf(stderr, "cloud-sim: port %ld: %s\n", options.port,
                strerror(errno));
        event_base_free(base);
        return 1;
    }
    term = must(evsignal_new(base, SIGTERM, on_signal, base));
    intr = must(evsignal_new(base, SIGINT, on_signal, base));
    evsignal_add(term, NULL);
    evsignal_add(intr, NULL);

    printf("listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    event_base_dispatch(base);

    server_stop(server);
    event_free(term);
    event_free(intr);
    event_base_free(base);
    control_reset();
    accounts_free();
    ledger_free();
    prices_free();
    return 0;
}
