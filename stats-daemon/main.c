/*
 * ollama-statsd: the ledger beside the proxy.
 *
 * Reads the command line, takes the data folder, wires the parts together,
 * and runs until SIGTERM:
 *
 *     ingest -> writer (thread) -> store, bodies      frames of the module
 *     http -> api, metrics, page, live -> store       questions
 *     asker -> nginx -> the cloud -> ingest           balances
 *     syslog -> log                                   nginx's error log
 */

#include "balance/asker.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/log_watch.h"
#include "base/notify.h"
#include "base/problems.h"
#include "base/sockets.h"
#include "base/util.h"
#include "base/version.h"
#include "bodies/segments.h"
#include "ledger/retention.h"
#include "ledger/store_watch.h"
#include "ledger/writer.h"
#include "store/stores.h"
#include "web/api.h"
#include "web/context.h"
#include "web/http.h"
#include "web/http_conns.h"
#include "web/live.h"
#include "web/metrics_count.h"
#include "web/page.h"
#include "wire/ingest.h"
#include "wire/key_list.h"
#include "wire/key_names.h"
#include "wire/peers.h"
#include "wire/state.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef STATSD_PAGE
#define STATSD_PAGE "/usr/share/ollama-proxy/dashboard"
#endif

#define STOP_MS 10000

static struct {
    char *data, *sockets, *socket, *http, *syslog;
    char *page, *config, *user, *group, *backup, *store_url;
    int demo;
    uid_t uid;
    gid_t gid;
    struct retention keep;

    int lock;
    struct event_base *base;
    struct event *signals[3];
    struct state state;
    struct store *store;
    struct ask *ask;
    struct segments *bodies;
    struct writer *writer;
    struct ingest *ingest;
    struct asker *asker;
    struct http *http_server;
    struct api api;
} d = {.uid = (uid_t)-1, .gid = (gid_t)-1, .lock = -1};

static const char usage[] =
    "ollama-statsd " STATSD_VERSION
    ": keeps the ledger of ngx_ollama_module and shows it\n"
    "\n"
    "    --data DIR      database, bodies, log (data)\n"
    "    --sockets DIR   the three sockets' folder (DIR/run of --data)\n"
    "    --store URL     where the ledger is kept (sqlite:DIR/usage.db)\n"
    "    --socket PATH   where the module sends its records (statsd.sock)\n"
    "    --http PATH     where nginx asks (http.sock)\n"
    "    --syslog PATH   where nginx logs (log.sock)\n"
    "    --page DIR      files of the dashboard (" STATSD_PAGE ")\n"
    "    --config FILE   what is kept, how long (DIR/statsd.conf, if it is "
    "there)\n"
    "    --user NAME     become this user (needs root)\n"
    "    --group NAME    group of the sockets, whose mode is 0660\n"
    "    --allow-user NAME\n"
    "                    whose records are taken beside root's and its own; "
    "may be\n"
    "                    given several times (the usual users of nginx)\n"
    "    --backup FILE   copy the ledger of --data, beside a daemon that runs, "
    "and end\n"
    "    --demo          says in /health that the cloud is a simulated one\n"
    "    --foreground    as always\n"
    "    --version, --help\n";

static void die(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *fmt, ...) {
    va_list ap;

    fputs("ollama-statsd: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    sockets_remove();
    exit(1);
}

static void options(int argc, char **argv) {
    static const struct option list[] = {{"data", 1, NULL, 'd'},
                                         {"socket", 1, NULL, 's'},
                                         {"sockets", 1, NULL, 'S'},
                                         {"demo", 0, NULL, 'D'},
                                         {"http", 1, NULL, 'h'},
                                         {"syslog", 1, NULL, 'l'},
                                         {"page", 1, NULL, 'p'},
                                         {"config", 1, NULL, 'c'},
                                         {"user", 1, NULL, 'u'},
                                         {"group", 1, NULL, 'g'},
                                         {"backup", 1, NULL, 'b'},
                                         {"store", 1, NULL, 't'},
                                         {"foreground", 0, NULL, 'f'},
                                         {"allow-user", 1, NULL, 'a'},
                                         {"version", 0, NULL, 'v'},
                                         {"help", 0, NULL, 'H'},
                                         {NULL, 0, NULL, 0}};
    int c, at = 0;

    while ((c = getopt_long(argc, argv, "", list, &at)) != -1) {
        char **to = NULL;

        switch (c) {
        case 'd': to = &d.data; break;
        case 'S': to = &d.sockets; break;
        case 's': to = &d.socket; break;
        case 'h': to = &d.http; break;
        case 'l': to = &d.syslog; break;
        case 'p': to = &d.page; break;
        case 'c': to = &d.config; break;
        case 'u': to = &d.user; break;
        case 'g': to = &d.group; break;
        case 'b': to = &d.backup; break;
        case 't': to = &d.store_url; break;
        case 'a':
            if (peers_allow(optarg) != 0)
                die("--allow-user: there is no user \"%s\"", optarg);
            continue;
        case 'f': continue;
        case 'D': d.demo = 1; continue;
        case 'v': puts("ollama-statsd " STATSD_VERSION); exit(0);
        case 'H': fputs(usage, stdout); exit(0);
        default: fputs("try ollama-statsd --help\n", stderr); exit(2);
        }
        free(*to);
        *to = xstrdup(optarg);
    }
    if (optind < argc) {
        fprintf(stderr, "ollama-statsd: what is \"%s\"? try --help\n",
                argv[optind]);
        exit(2);
    }

    if (d.data == NULL) d.data = xstrdup("data");
    if (d.sockets == NULL) d.sockets = xasprintf("%s/run", d.data);
    if (d.socket == NULL) d.socket = xasprintf("%s/statsd.sock", d.sockets);
    if (d.http == NULL) d.http = xasprintf("%s/http.sock", d.sockets);
    if (d.syslog == NULL) d.syslog = xasprintf("%s/log.sock", d.sockets);
    if (d.store_url == NULL)
        d.store_url = xasprintf("sqlite:%s/usage.db", d.data);
    if (d.page == NULL) d.page = xstrdup(STATSD_PAGE);
}

static void identity(void) {
    if (d.group) {
        struct group *g = getgrnam(d.group);
        if (g == NULL) die("--group: there is no group \"%s\"", d.group);
        d.gid = g->gr_gid;
    }
    if (d.user) {
        struct passwd *p = getpwnam(d.user);
        if (p == NULL) die("--user: there is no user \"%s\"", d.user);
        if (geteuid() != 0 && p->pw_uid != geteuid())
            die("--user: only root can become \"%s\"", d.user);
        d.uid = p->pw_uid;
    }
}

static void folder(const char *path) {
    if (mkdir(path, 0750) == 0) {
        if (d.uid != (uid_t)-1 && chown(path, d.uid, d.gid) != 0)
            die("%s: %s", path, strerror(errno));
    } else if (errno != EEXIST) {
        die("the folder cannot be made: %s: %s", path, strerror(errno));
    }
}

/* One daemon a folder: what it counts must not be counted twice. */
static void take_lock(void) {
    char *path = xasprintf("%s/ollama-statsd.lock", d.data), pid[32] = "";

    d.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (d.lock < 0)
        die("the data folder cannot be written: %s: %s", path, strerror(errno));
    if (flock(d.lock, LOCK_EX | LOCK_NB) != 0) {
        if (read(d.lock, pid, sizeof(pid) - 1) < 0) pid[0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        die("another ollama-statsd (pid %s) works on %s; stop it, or give "
            "another --data",
            *pid ? pid : "unknown", d.data);
    }
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(d.lock, 0) != 0 || write(d.lock, pid, (size_t)n) != n)
        log_msg(LOG_WARN, "%s: %s", path, strerror(errno));
    if (d.uid != (uid_t)-1 && fchown(d.lock, d.uid, (gid_t)-1) != 0)
        log_msg(LOG_WARN, "%s: %s", path, strerror(errno));
    free(path);
}

static void become_user(void) {
    if (d.user == NULL || geteuid() != 0) return;

    struct passwd *p = getpwnam(d.user);
    if (p == NULL || initgroups(d.user, p->pw_gid) != 0 ||
        setgid(p->pw_gid) != 0 || setuid(p->pw_uid) != 0)
        die("cannot become \"%s\": %s", d.user, strerror(errno));
}

static int take_socket(enum socket_use use, const char *path) {
    char err[256];
    int fd = socket_passed(use);

    if (fd < 0) fd = socket_make(use, path, d.uid, d.gid, err, sizeof(err));
    if (fd < 0) die("%s", err);
    return fd;
}

static void on_segment(void *arg, int64_t segment, int64_t end) {
    (void)arg;
    segments_end(d.bodies, segment, end);
}

static void on_commit(void *arg, uint64_t instance, uint64_t seq) {
    (void)arg;
    ingest_committed(d.ingest, instance, seq);
    if (instance || seq == 0) return;

    /* who has which keys is known when all that were told are in the ledger */
    key_list_ask(&d.state, d.ask);
}

static const struct writer_observer counted = {metrics_note, metrics_batch,
                                               NULL};

static void on_stop(evutil_socket_t sig, short what, void *arg) {
    (void)what;
    (void)arg;
    log_msg(LOG_NOTICE, "%s: writing what has come, then ending",
            sig == SIGTERM ? "SIGTERM" : "SIGINT");
    event_base_loopbreak(d.base);
}

/* --config, or the file that is looked for without it. */
static int read_keep(struct retention *keep, char *err, size_t len) {
    char *file =
        d.config ? xstrdup(d.config) : xasprintf("%s/statsd.conf", d.data);
    int bad = 0;

    *keep = retention_default;
    if (d.config || access(file, F_OK) == 0)
        bad = retention_read(keep, file, err, len);
    free(file);
    return bad;
}

static void on_hup(evutil_socket_t sig, short what, void *arg) {
    (void)sig;
    (void)what;
    (void)arg;
    struct retention keep;
    char err[512];

    log_reopen();
    page_load(d.page);
    if (read_keep(&keep, err, sizeof(err)) != 0) {
        redact_unref(keep.redact);
        log_msg(LOG_ERROR, "SIGHUP: %s; what was read before holds", err);
        return;
    }
    redact_unref(d.keep.redact);
    d.keep = keep;
    log_limits(keep.log_size, (int)keep.log_keep);
    writer_keep(d.writer, &keep);
    log_msg(LOG_NOTICE, "SIGHUP: log, pages and configuration are read again");
}

static struct event *on_signal(int sig, event_callback_fn fn) {
    struct event *ev = evsignal_new(d.base, sig, fn, NULL);

    event_add(ev, NULL);
    return ev;
}

static int backup(void) {
    char err[1024];

    if (stores_backup(d.store_url, d.backup, err, sizeof(err)) == 0) return 0;
    fprintf(stderr, "ollama-statsd: no backup: %s\n", err);
    return 1;
}

static void start(void) {
    char err[512];
    int sockets[SOCKETS];
    struct descriptors fds;

    descriptors_raise();
    if (read_keep(&d.keep, err, sizeof(err)) != 0) die("%s", err);

    identity();
    folder(d.data);
    take_lock();
    folder(d.sockets);

    sockets[SOCKET_INGEST] = take_socket(SOCKET_INGEST, d.socket);
    sockets[SOCKET_HTTP] = take_socket(SOCKET_HTTP, d.http);
    sockets[SOCKET_SYSLOG] = take_socket(SOCKET_SYSLOG, d.syslog);
    become_user();
    peers_start();
    if (access(d.data, W_OK | X_OK) != 0)
        die("the data folder cannot be written: %s: %s", d.data,
            strerror(errno));

    if (log_open(d.data, d.keep.log_size, (int)d.keep.log_keep) != 0)
        log_msg(LOG_ERROR, "%s/proxy.log cannot be opened: %s", d.data,
                strerror(errno));
    problems_open(d.data);
    state_init(&d.state);
    d.state.demo = d.demo;
    if ((d.store = stores_open(d.store_url, err, sizeof(err))) == NULL)
        die("%s", err);
    if ((d.bodies = segments_open(d.data, err, sizeof(err))) == NULL)
        die("%s", err);
    segments_limit(d.bodies, d.keep.body_bytes);
    if (store_segments(d.store, on_segment, NULL) != STORE_OK)
        die("the ledger cannot be read: %s", d.store->error);
    if (key_list_read(&d.state, d.store) != STORE_OK)
        log_msg(LOG_WARN, "the list of keys cannot be read: %s",
                store_reader(d.store, 0)->error);

    if ((d.base = event_base_new()) == NULL) die("libevent does not start");
    descriptors_share(&fds, INGEST_CONNECTIONS, HTTP_CONNS_MAX,
                      HTTP_CONNS_REFUSALS);
    d.ingest = ingest_start(d.base, sockets[SOCKET_INGEST], &d.state, d.store,
                            fds.ingest);
    if (d.ingest == NULL) die("the ledger cannot be read");
    d.writer = writer_start(d.base, d.store, d.bodies, &d.keep, d.data,
                            on_commit, NULL);
    writer_observe(d.writer, &counted);
    store_on_read(d.store, metrics_read, NULL);
    d.ask = ask_start(d.base, d.store);
    ingest_set_writer(d.ingest, d.writer, d.ask);
    d.asker = asker_start(d.base, &d.state, d.ingest, d.ask);

    d.api = (struct api){&d.state, d.store, d.ask,   d.writer,
                         d.bodies, d.data,  &d.keep, d.asker};
    d.http_server = http_start(d.base, sockets[SOCKET_HTTP], &d.api, fds.http,
                               fds.refusals);
    if (d.http_server == NULL) die("the HTTP server does not start");
    api_routes(d.http_server);
    live_start(d.base, &d.api);
    live_routes(d.http_server);
    page_load(d.page);
    page_routes(d.http_server);
    log_listen(d.base, sockets[SOCKET_SYSLOG]);
    log_watch_start(d.base);
    store_watch_start(d.base, d.writer);

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error */
    d.signals[0] = on_signal(SIGTERM, on_stop);
    d.signals[1] = on_signal(SIGINT, on_stop);
    d.signals[2] = on_signal(SIGHUP, on_hup);
}

static int end_without_disk(void) {
    log_msg(LOG_ERROR, "the disk does not answer: ending without it; the proxy "
                       "keeps what is not written");
    sockets_remove();
    return 1;
}

static int stop(void) {
    asker_stop(d.asker);
    ingest_stop(d.ingest);
    if (writer_stop(d.writer, STOP_MS) != 0) return end_without_disk();
    store_watch_stop();
    ingest_free(d.ingest);
    live_stop();
    http_free(d.http_server);
    if (ask_stop(d.ask) != 0) return end_without_disk();
    asker_free(d.asker);
    writer_free(d.writer);
    redact_unref(d.keep.redact);
    segments_close(d.bodies);
    store_close(d.store);
    page_free();
    problems_close();
    metrics_free();
    state_free(&d.state);
    key_names_free();
    for (int i = 0; i < 3; i++) event_free(d.signals[i]);
    log_watch_stop();
    log_deafen();
    event_base_free(d.base);
    sockets_remove();
    log_msg(LOG_NOTICE, "ended");
    log_close();
    char **texts[] = {&d.data,   &d.sockets, &d.socket,   &d.http,
                      &d.syslog, &d.page,    &d.config,   &d.user,
                      &d.group,  &d.backup,  &d.store_url};
    for (int i = 0; i < 11; i++) free(*texts[i]);
    close(d.lock);
    return 0;
}

int main(int argc, char **argv) {
    umask(0027);
    options(argc, argv);
    if (d.backup) return backup();
    start();
    log_msg(LOG_NOTICE, "ollama-statsd " STATSD_VERSION " is ready (data %s)",
            d.data);
    notify("READY=1");
    event_base_dispatch(d.base);
    notify("STOPPING=1");
    return stop();
}
