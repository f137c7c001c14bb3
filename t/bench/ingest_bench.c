/*
 * Figures of the ledger, and its query plans.
 *
 *     ingest_bench send SOCKET N BYTES  N records over the ingest socket, as
 *                                       fast as they are taken, each with a
 *                                       body of so many bytes (0: none);
 *                                       prints the rate from the first byte
 *                                       to the last acknowledgement
 *     ingest_bench fill DIR N DAYS      N records into DIR/usage.db, spread
 *                                       over the last DAYS days
 *     ingest_bench hold DIR SECONDS     keeps the ledger locked, as a disk does
 *                                       that does not answer
 *     ingest_bench plans DIR            EXPLAIN QUERY PLAN of every statement
 *                                       that the daemon reads with:
 *                                       name, a tab, one step
 *
 * The records are like real ones: 24 clients, 8 models, 5 keys, one in twenty
 * fails, one in ten takes two attempts.
 */

#include "../../ngx_ollama_module/core/record.h"
#include "../../stats-daemon/base/log.h"
#include "../../stats-daemon/store/sqlite/type.h"
#include "../../stats-daemon/store/stores.h"
#include "../../stats-daemon/base/util.h"

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

static void make(ollama_record_request_t *r, uint64_t id, int64_t time) {
    static char clients[24][40];
    static const char *const models[] = {
        "gpt-oss:20b", "gpt-oss:120b", "qwen3-coder:480b",   "kimi-k2:1t",
        "gemma4:31b",  "glm-4.6",      "deepseek-v3.1:671b", "minimax-m2:230b"};
    uint32_t d = dice();

    if (!clients[0][0])
        for (int i = 0; i < 24; i++)
            snprintf(clients[i], sizeof(clients[i]), "10.0.%d.%d", i / 8, i);

    memset(r, 0, sizeof(*r));
    r->id = id;
    r->time = (uint64_t)time;
    r->prompt = 20 + (d & 2047);
    r->completion = 10 + (d >> 11 & 511);
    r->cached = r->prompt / 3;
    r->bytes_in = r->prompt * 4;
    r->bytes_out = r->completion * 90;
    r->key = 0xa0000000u + d % 5;
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
    r->client = text(clients[d / 7 % 24]);
    r->method = text("POST");
    r->endpoint = text(d & 1 ? "/api/chat" : "/v1/chat/completions");
    r->model = text(models[d / 3 % 8]);
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

static int send_mode(const char *path, uint64_t n, size_t bytes) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    unsigned char *out = malloc(SEND_BUFFER);
    size_t len = 0, sent = 0;
    uint64_t seq = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ollama_record_hello_t hello = {.instance = (uint64_t)now_ms() << 16 |
                                               (uint64_t)getpid(),
                                   .started = (uint64_t)now_ms(),
                                   .pid = (uint32_t)getpid(),
                                   .version = text("bench"),
                                   .server = text("bench")};

    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    len = ollama_record_hello_encode(out, SEND_BUFFER, &hello);
    len += ollama_record_ready_encode(out + len, SEND_BUFFER - len);

    double began = seconds();
    int64_t time = now_ms();
    uint64_t last = bytes ? n * 2 : n;
    while (acked < last) {
        if (sent == len) {
            sent = len = 0;
            while (seq < last &&
                   len < SEND_BUFFER - OLLAMA_RECORD_MAX - bytes) {
                ollama_record_request_t r;
                make(&r, seq + 1, time + (int64_t)(seq / 1000));
                size_t size = ollama_record_request_encode(
                    out + len, SEND_BUFFER - len, &r);
                ollama_frame_number(out + len, ++seq);
                len += size;
                if (bytes == 0) continue;
                size =
                    put_body(out + len, SEND_BUFFER - len, r.id, time, bytes);
                ollama_frame_number(out + len, ++seq);
                len += size;
            }
        }
        struct pollfd p = {fd, (short)(POLLIN | (sent < len ? POLLOUT : 0)), 0};
        poll(&p, 1, 1000);
        if (p.revents & POLLOUT) {
            ssize_t w = write(fd, out + sent, len - sent);
            if (w > 0) sent += (size_t)w;
        }
        if (p.revents & (POLLIN | POLLHUP)) read_acks(fd);
    }
    double took = seconds() - began;
    printf("%llu records committed in %.2f s: %.0f records/s\n",
           (unsigned long long)n, took, (double)n / took);
    free(out);
    close(fd);
    return 0;
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
    if (f->keys < 5) {
        snprintf(f->name, sizeof(f->name), "team-%c", 'a' + (int)f->keys);
        f->key = (ollama_record_key_t){.key = 0xa0000000u + f->keys,
                                       .index = f->keys,
                                       .name = text(f->name)};
        f->keys++;
        e->kind = LEDGER_KEY;
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
    printf("%llu rows in %.1f s (%.1f s of CPU): %.0f rows/s\n",
           (unsigned long long)n, took, used, (double)n / took);
    store_close(s);
    free(url);
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
    if (argc == 5 && strcmp(argv[1], "send") == 0)
        return send_mode(argv[2], strtoull(argv[3], NULL, 10),
                         strtoull(argv[4], NULL, 10) % 1000000);
    if (argc == 5 && strcmp(argv[1], "fill") == 0)
        return fill_mode(argv[2], strtoull(argv[3], NULL, 10), atof(argv[4]));
    if (argc == 4 && strcmp(argv[1], "hold") == 0)
        return hold_mode(argv[2], atof(argv[3]));
    if (argc == 3 && strcmp(argv[1], "plans") == 0) return plans_mode(argv[2]);
    fputs("usage: ingest_bench send SOCKET N BYTES | fill DIR N DAYS |\n"
          "       ingest_bench hold DIR SECONDS | plans DIR\n",
          stderr);
    return 2;
}
