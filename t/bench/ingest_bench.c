/*
 * Figures of the ledger, and its query plans.
 *
 *     ingest_bench send SOCKET N BYTES  N records over the ingest socket, as
 *                                       fast as they are taken, each with a
 *                                       body of so many bytes (0: none);
 *                                       prints the rate from the first byte
 *                                       to the last acknowledgement
 *     ingest_bench feed SOCKET SECONDS RATE
 *                                       RATE records a second for so long;
 *                                       prints, as JSON, how long after a
 *                                       record was due its acknowledgement
 *                                       came (ms): p50, p99, max
 *     ingest_bench fill DIR N DAYS      N records into DIR/usage.db, spread
 *                                       over the last DAYS days; prints rows a
 *                                       second, by the clock and by CPU time
 *     ingest_bench hold DIR SECONDS     keeps the ledger locked, as a disk does
 *                                       that does not answer
 *     ingest_bench plans DIR            EXPLAIN QUERY PLAN of every statement
 *                                       that the daemon reads with:
 *                                       name, a tab, one step
 *
 * The records are like real ones, and the same in each run but for their times.
 * Behind these arguments may stand clients=24, keys=5, models=8.  Few clients
 * do most, and few models: the n-th one's share is as 1/n (of 1,000 clients the
 * first ten have 39 per cent).  Keys are used alike, as the proxy does it.  One
 * in twenty fails, one in ten takes two attempts.
 */

#include "../../ngx_ollama_module/core/record.h"
#include "../../stats-daemon/base/log.h"
#include "../../stats-daemon/base/util.h"
#include "../../stats-daemon/store/sqlite/type.h"
#include "../../stats-daemon/store/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEND_BUFFER (4 * 1024 * 1024)

static uint32_t dice(void) {
    static uint32_t x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    return x ^= x << 5;
}

static ollama_text_t text(const char *s) {
    ollama_text_t t = {(const unsigned char *)s, strlen(s)};
    return t;
}

/* ---- what the records are of ---- */

/* One of count, the n-th of which comes as often as 1/n. */
struct share {
    unsigned count;
    uint32_t *up_to; /* of 2^32, the shares of this one and those before it */
};

static struct share clients = {.count = 24}, models = {.count = 8};
static unsigned keys = 5;
static char (*client_names)[24], (*model_names)[24];

static void share_out(struct share *s) {
    double all = 0, sum = 0;

    s->up_to = xcalloc(s->count, sizeof(*s->up_to));
    for (unsigned i = 0; i < s->count; i++) all += 1.0 / (i + 1);
    for (unsigned i = 0; i < s->count; i++) {
        sum += 1.0 / (i + 1);
        s->up_to[i] = (uint32_t)(sum / all * UINT32_MAX);
    }
    s->up_to[s->count - 1] = UINT32_MAX;
}

static unsigned pick(const struct share *s) {
    uint32_t d = dice();
    unsigned low = 0, high = s->count - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (d <= s->up_to[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void name_all(void) {
    static const char *const known[] = {
        "gpt-oss:20b", "gpt-oss:120b", "qwen3-coder:480b",   "kimi-k2:1t",
        "gemma4:31b",  "glm-4.6",      "deepseek-v3.1:671b", "minimax-m2:230b"};

    share_out(&clients);
    client_names = xcalloc(clients.count, sizeof(*client_names));
    for (unsigned i = 0; i < clients.count; i++)
        snprintf(client_names[i], sizeof(*client_names), "10.%u.%u.%u",
                 i / 2000 % 250, i / 8 % 250, i % 250);

    share_out(&models);
    model_names = xcalloc(models.count, sizeof(*model_names));
    for (unsigned i = 0; i < models.count; i++)
        if (i < sizeof(known) / sizeof(*known))
            snprintf(model_names[i], sizeof(*model_names), "%s", known[i]);
        else
            snprintf(model_names[i], sizeof(*model_names), "model-%u", i);
}

/* A name=number of the command line; 0: it is none. */
static int is_number_of(const char *arg) {
    const struct {
        const char *name;
        unsigned *value;
    } known[] = {{"clients=", &clients.count},
                 {"keys=", &keys},
                 {"models=", &models.count}};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        size_t len = strlen(known[i].name);
        long value =
            strncmp(arg, known[i].name, len) == 0 ? atol(arg + len) : 0;

        if (value < 1 || value > 100000) continue;
        *known[i].value = (unsigned)value;
        return 1;
    }
    return 0;
}

static void make(ollama_record_request_t *r, uint64_t id, int64_t time) {
    uint32_t d = dice();

    memset(r, 0, sizeof(*r));
    r->id = id;
    r->time = (uint64_t)time;
    r->prompt = 20 + (d & 2047);
    r->completion = 10 + (d >> 11 & 511);
    r->cached = r->prompt / 3;
    r->priced = 1;
    r->cost = (r->prompt - r->cached) * 150 + r->cached * 14
              + r->completion * 600;
    r->cached_saves = 136;
    r->affinity = (uint8_t)(OLLAMA_AFFINITY_NEW + (d >> 7) % 3);
    r->bytes_in = r->prompt * 4;
    r->bytes_out = r->completion * 90;
    r->key = 0xa0000000u + dice() % keys;
    r->queue = OLLAMA_RECORD_NO_TIME;
    r->connect = 1;
    r->first_token = 200 + (d & 255);
    r->total = 900 + (d & 4095);
    r->status = d % 20 == 7 ? (d & 64 ? 429 : 503) : 200;
    r->certainty = r->status == 200 ? OLLAMA_RECORD_EXACT : OLLAMA_RECORD_NONE;
    r->streamed = 1;
    r->nattempts = d % 10 == 3 ? 2 : 1;
    r->attempts[0] = (ollama_record_attempt_t){
        r->key, r->total, r->nattempts == 2 ? 429 : r->status, 0};
    r->attempts[1] = (ollama_record_attempt_t){r->key, 700, r->status, 0};
    r->client = text(client_names[pick(&clients)]);
    r->method = text("POST");
    r->endpoint = text(d & 1 ? "/api/chat" : "/v1/chat/completions");
    r->model = text(model_names[pick(&models)]);
    r->model_answered = r->model;
    r->upstream_id = text("5a3c1f0e9b7d4826a1c0e5f7d9b3a846");
    r->user_agent = text("ollama-python/0.6.1 (x86_64 linux) Python/3.11.2");
}

static double seconds(void) {
    return (double)mono_ms() / 1000.0;
}

/* ---- send ---- */

static uint64_t acked;

static void read_acks(int fd) {
    static unsigned char buf[65536];
    static size_t len;
    ollama_frame_t f;
    ollama_record_ack_t a;
    size_t used, pos = 0;

    ssize_t n = read(fd, buf + len, sizeof(buf) - len);
    if (n == 0) {
        fputs("the daemon has hung up\n", stderr);
        exit(1);
    }
    if (n < 0) return;
    len += (size_t)n;
    while (ollama_frame_next(buf + pos, len - pos, &used, &f) ==
           OLLAMA_FRAME_GOT) {
        if (f.type == OLLAMA_FRAME_ACK && ollama_record_ack_decode(&f, &a) == 0)
            acked = a.seq;
        pos += used;
    }
    memmove(buf, buf + pos, len -= pos);
}

/* A body that compresses about as text does. */
static size_t put_body(unsigned char *out, size_t size, uint64_t id,
                       int64_t time, size_t bytes) {
    static const char words[] = "{\"role\":\"user\",\"content\":\"why is ";
    ollama_record_body_t b = {
        .id = id, .time = (uint64_t)time, .size = bytes, .data = {NULL, bytes}};
    size_t at = ollama_record_body_begin(out, size, &b);

    for (size_t i = 0; i < bytes; i++)
        out[at + i] = i % 4 ? (unsigned char)words[i % (sizeof(words) - 1)]
                            : (unsigned char)('a' + dice() % 26);
    ollama_frame_seal(out, OLLAMA_FRAME_BODY, at + bytes);
    return at + bytes;
}

/* The connection, and what is to be written to it. */
struct wire {
    int fd;
    unsigned char *out; /* SEND_BUFFER */
    size_t len, sent;
    uint64_t seq;
};

static int wire_open(struct wire *w, const char *path) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    ollama_record_hello_t hello = {.instance = (uint64_t)now_ms() << 16 |
                                               (uint64_t)getpid(),
                                   .started = (uint64_t)now_ms(),
                                   .pid = (uint32_t)getpid(),
                                   .version = text("bench"),
                                   .server = text("bench")};

    *w = (struct wire){.fd = socket(AF_UNIX, SOCK_STREAM, 0),
                       .out = xmalloc(SEND_BUFFER)};
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    if (connect(w->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    fcntl(w->fd, F_SETFL, O_NONBLOCK);
    w->len = ollama_record_hello_encode(w->out, SEND_BUFFER, &hello);
    w->len += ollama_record_ready_encode(w->out + w->len, SEND_BUFFER - w->len);
    return 0;
}

static void wire_close(struct wire *w) {
    free(w->out);
    close(w->fd);
}

/* A record, and its body if bytes are given. */
static int wire_has_room(const struct wire *w, size_t bytes) {
    return w->len < SEND_BUFFER - OLLAMA_RECORD_MAX - bytes;
}

static void wire_put(struct wire *w, uint64_t id, int64_t time, size_t bytes) {
    ollama_record_request_t r;

    make(&r, id, time);
    size_t size =
        ollama_record_request_encode(w->out + w->len, SEND_BUFFER - w->len, &r);
    ollama_frame_number(w->out + w->len, ++w->seq);
    w->len += size;
    if (bytes == 0) return;
    size = put_body(w->out + w->len, SEND_BUFFER - w->len, id, time, bytes);
    ollama_frame_number(w->out + w->len, ++w->seq);
    w->len += size;
}

/* Writes and reads what goes without waiting longer than ms. */
static void wire_turn(struct wire *w, int ms) {
    struct pollfd p = {w->fd,
                       (short)(POLLIN | (w->sent < w->len ? POLLOUT : 0)), 0};

    poll(&p, 1, ms);
    if (p.revents & POLLOUT) {
        ssize_t n = write(w->fd, w->out + w->sent, w->len - w->sent);
        if (n > 0) w->sent += (size_t)n;
        if (w->sent == w->len) w->sent = w->len = 0;
    }
    if (p.revents & (POLLIN | POLLHUP)) read_acks(w->fd);
}

static int send_mode(const char *path, uint64_t n, size_t bytes) {
    struct wire w;

    if (wire_open(&w, path) != 0) return 1;
    double began = seconds();
    int64_t time = now_ms();
    uint64_t last = bytes ? n * 2 : n, id = 0;

    while (acked < last) {
        while (w.sent == 0 && id < n && wire_has_room(&w, bytes)) {
            wire_put(&w, id + 1, time + (int64_t)(w.seq / 1000), bytes);
            id++;
        }
        wire_turn(&w, 1000);
    }
    double took = seconds() - began;
    printf("%llu records committed in %.2f s: %.0f records/s\n",
           (unsigned long long)n, took, (double)n / took);
    wire_close(&w);
    return 0;
}

/* ---- feed ---- */

static int by_number(const void *a, const void *b) {
    const float *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The clock does not wait for acknowledgements: a record is due when it is. */
static int feed_mode(const char *path, double span, double rate) {
    uint64_t n = (uint64_t)(span * rate), told = 0;
    float *late = xcalloc(n + 1, sizeof(*late));
    struct wire w;

    if (wire_open(&w, path) != 0) return 1;
    double began = seconds();

    while (told < n) {
        double now = seconds() - began;

        if (now > span + 60) break;
        while (w.seq < n && (double)w.seq / rate <= now && wire_has_room(&w, 0))
            wire_put(&w, w.seq + 1, now_ms(), 0);
        wire_turn(&w, 5);
        now = seconds() - began;
        for (; told < acked && told < n; told++)
            late[told] = (float)((now - (double)told / rate) * 1000);
    }
    qsort(late, told, sizeof(*late), by_number);
    printf("{\"due\":%llu,\"acknowledged\":%llu,\"p50\":%.1f,"
           "\"p99\":%.1f,\"max\":%.1f}\n",
           (unsigned long long)n, (unsigned long long)told,
           (double)late[told / 2], (double)late[told * 99 / 100],
           (double)late[told ? told - 1 : 0]);
    wire_close(&w);
    free(late);
    return told < n;
}

/* ---- fill ---- */

static double cpu(void) {
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct fill {
    uint64_t i, n, end; /* the next record, all, those of this batch */
    uint32_t keys;      /* told so far */
    int64_t now;
    double span;
    ollama_record_key_t key;
    ollama_record_request_t request;
    char name[16];
};

static int next_entry(void *arg, struct ledger_entry *e) {
    struct fill *f = arg;

    e->instance = 1;
    if (f->keys < keys) {
        uint32_t k = f->keys++;

        snprintf(f->name, sizeof(f->name), k < 26 ? "team-%c" : "team-%u",
                 k < 26 ? 'a' + k : k);
        f->key = (ollama_record_key_t){
            .key = 0xa0000000u + k, .index = k, .name = text(f->name)};
        e->kind = LEDGER_KEY;
        e->seq = 0;
        e->of.key = &f->key;
        return 1;
    }
    if (f->i == f->end) return 0;

    double age = f->span * (1.0 - (double)f->i / (double)f->n);
    make(&f->request, ++f->i, f->now - (int64_t)age);
    e->kind = LEDGER_REQUEST;
    e->seq = f->i;
    e->of.request = &f->request;
    return 1;
}

static int fill_mode(const char *dir, uint64_t n, double days) {
    char err[512];
    char *url = xasprintf("sqlite:%s/usage.db", dir);
    struct store *s = stores_open(url, err, sizeof(err));
    double began = seconds(), began_cpu = cpu();
    struct fill f = {.n = n, .span = days * 86400000.0, .now = now_ms()};
    struct ledger_batch batch = {f.now, f.now, next_entry, NULL, &f};

    free(url);
    if (s == NULL) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    while (f.i < n) {
        f.end = f.i + 5000 < n ? f.i + 5000 : n;
        if (store_write(s, &batch) != STORE_OK) {
            fprintf(stderr, "%s\n", s->error);
            return 1;
        }
        store_tick(s, 0);
    }
    store_tick(s, STORE_ENDS);
    double took = seconds() - began, used = cpu() - began_cpu;
    printf("%llu rows in %.1f s (%.1f s of CPU): %.0f rows/s, %.0f rows/s of "
           "CPU\n",
           (unsigned long long)n, took, used, (double)n / took,
           (double)n / used);
    store_close(s);
    return 0;
}

/* ---- plans ---- */

static int plans_mode(const char *dir) {
    const char *sql, *name;
    sqlite3 *db;
    char *path = xasprintf("%s/usage.db", dir);

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        return 1;
    }
    for (int i = 0; (sql = sqlite_statement(i, &name)); i++) {
        char *explain = xasprintf("EXPLAIN QUERY PLAN %s", sql);
        sqlite3_stmt *st;

        if (sqlite3_prepare_v2(db, explain, -1, &st, NULL) != SQLITE_OK) {
            fprintf(stderr, "%s: %s\n", name, sqlite3_errmsg(db));
            return 1;
        }
        while (sqlite3_step(st) == SQLITE_ROW)
            printf("%s\t%s\n", name, sqlite3_column_text(st, 3));
        sqlite3_finalize(st);
        free(explain);
    }
    sqlite3_close(db);
    free(path);
    return 0;
}

/* ---- hold ---- */

static int hold_mode(const char *dir, double time) {
    sqlite3 *db;
    char *path = xasprintf("%s/usage.db", dir);

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, 5000) != SQLITE_OK ||
        sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        return 1;
    }
    puts("held");
    usleep((useconds_t)(time * 1e6));
    sqlite3_close(db);
    free(path);
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (argc > 2 && is_number_of(argv[argc - 1])) argc--;
    name_all();
    if (argc == 5 && strcmp(argv[1], "send") == 0)
        return send_mode(argv[2], strtoull(argv[3], NULL, 10),
                         strtoull(argv[4], NULL, 10) % 1000000);
    if (argc == 5 && strcmp(argv[1], "feed") == 0)
        return feed_mode(argv[2], atof(argv[3]), atof(argv[4]));
    if (argc == 5 && strcmp(argv[1], "fill") == 0)
        return fill_mode(argv[2], strtoull(argv[3], NULL, 10), atof(argv[4]));
    if (argc == 4 && strcmp(argv[1], "hold") == 0)
        return hold_mode(argv[2], atof(argv[3]));
    if (argc == 3 && strcmp(argv[1], "plans") == 0) return plans_mode(argv[2]);
    fputs(
        "usage: ingest_bench send SOCKET N BYTES | fill DIR N DAYS |\n"
        "           feed SOCKET SECONDS RATE  [clients=N] [keys=N] [models=N]\n"
        "       ingest_bench hold DIR SECONDS | plans DIR\n",
        stderr);
    return 2;
}
