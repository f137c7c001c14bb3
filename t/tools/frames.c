/*
 * frames SOCKET: plays the module towards ollama-statsd.
 * frames --old-daemon SOCKET: plays a daemon of version 1 towards the module.
 *
 * Reads one JSON object a line on stdin, prints one a line on stdout.
 *
 *     {"do":"connect"}
 *     {"do":"hello", "instance":"1f", "keys":[{"key":"a1b2c3d4","name":".."}]}
 *     {"do":"request", "seq":1, "count":100, ..}   count frames from seq on
 *     {"do":"body", "seq":2, "id":1, "data":"..", "fill":100000}
 *     {"do":"penalty"|"outbox"|"keystate"|"running"|"running_end", ..}
 *     {"do":"raw", "hex":"ff6f6c66"}
 *     {"do":"damage", "what":"payload"|"header"|"version"|"length"|"cut"|
 *                            "type"|"content"}    befalls the next frame
 *     {"do":"wait", "for":"ready"|"ack"|"closed", "seq":5, "ms":5000}
 *     {"do":"close"}
 *
 * Each is answered with {"did":.., "ok":..}; every frame that comes from the
 * daemon is printed as it comes, {"frame":"ack","seq":5}.  Members that are
 * left out have a default; a request's are those of record.h.  "clients",
 * "models" and "keys" of a row of requests let these names go round.
 *
 * "old":1 makes a hello, request or body what a module of version 1 sends.
 *
 * The old daemon says WELCOME, acknowledges what is numbered, and prints each
 * REQUEST, BODY and PENALTY, {"frame":"request","seq":1,"id":7,"end":0,..};
 * what it does not understand is {"frame":"refused",..}.  It ends by a signal.
 */

#include "../../ngx_ollama_module/core/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <yajl/yajl_tree.h>

static const char *path;
static int fd = -1;

static unsigned char *in, *out;
static size_t in_len, in_size, out_len, out_size;

static uint64_t acked;
static int ready;
static char damage[16];

static int64_t now_ms(void) {
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- members of a command ---- */

static yajl_val get(yajl_val v, const char *name) {
    const char *p[] = {name, NULL};
    return yajl_tree_get(v, p, yajl_t_any);
}

static int64_t num(yajl_val v, const char *name, int64_t unset) {
    yajl_val m = get(v, name);

    if (YAJL_IS_INTEGER(m)) return YAJL_GET_INTEGER(m);
    if (YAJL_IS_TRUE(m)) return 1;
    if (YAJL_IS_FALSE(m)) return 0;
    return unset;
}

static const char *str(yajl_val v, const char *name, const char *unset) {
    yajl_val m = get(v, name);
    return YAJL_IS_STRING(m) ? YAJL_GET_STRING(m) : unset;
}

static uint64_t hex(yajl_val v, const char *name, uint64_t unset) {
    const char *s = str(v, name, NULL);
    return s ? strtoull(s, NULL, 16) : unset;
}

static ollama_text_t text(yajl_val v, const char *name, const char *unset) {
    const char *s = str(v, name, unset);
    ollama_text_t t = {(const unsigned char *)s, strlen(s)};
    return t;
}

/* ---- what comes ---- */

static void print_text(const char *name, const ollama_text_t *t) {
    printf(",\"%s\":\"", name);
    for (size_t i = 0; i < t->len; i++) {
        unsigned char c = t->data[i];
        if (c < 0x20 || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_frame(const ollama_frame_t *f) {
    ollama_record_welcome_t w;
    ollama_record_usage_t u;
    ollama_record_penalty_t p;
    ollama_record_balance_t b;
    ollama_record_ack_t a;

    switch (f->type) {
    case OLLAMA_FRAME_WELCOME:
        if (ollama_record_welcome_decode(f, &w) != 0) break;
        acked = w.seq;
        printf("{\"frame\":\"welcome\",\"instance\":\"%" PRIx64
               "\",\"seq\":%" PRIu64,
               w.instance, w.seq);
        print_text("version", &w.version);
        printf(",\"frames\":%u}\n", w.frames);
        return;
    case OLLAMA_FRAME_ACK:
        if (ollama_record_ack_decode(f, &a) != 0) break;
        acked = a.seq;
        printf("{\"frame\":\"ack\",\"seq\":%" PRIu64 "}\n", a.seq);
        return;
    case OLLAMA_FRAME_USAGE:
        if (ollama_record_usage_decode(f, &u) != 0) break;
        printf("{\"frame\":\"usage\",\"key\":\"%08" PRIx32 "\",\"minutes\":[",
               u.key);
        for (uint32_t i = 0; i < u.n; i++)
            printf("%s[%" PRIu32 ",%" PRIu64 "]", i ? "," : "",
                   u.minutes[i].minute, u.minutes[i].tokens);
        printf("],\"costs\":[");
        for (uint32_t i = 0; i < u.n; i++)
            printf("%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "",
                   u.minutes[i].cost, u.minutes[i].unpriced);
        puts("]}");
        return;
    case OLLAMA_FRAME_BALANCE:
        if (ollama_record_balance_decode(f, &b) != 0) break;
        printf("{\"frame\":\"balance\",\"key\":\"%08" PRIx32
               "\",\"kind\":%u,\"time\":%" PRIu64 ",\"included\":%" PRIu64
               ",\"allowance\":%" PRIu64 ",\"purchased\":%" PRIu64
               ",\"from\":%" PRIu64 ",\"until\":%" PRIu64
               ",\"session\":%u,\"week\":%u,\"session_resets\":%" PRIu64
               ",\"week_resets\":%" PRIu64 "}\n",
               b.key, b.kind, b.time, b.included, b.allowance, b.purchased,
               b.from, b.until, b.session, b.week, b.session_resets,
               b.week_resets);
        return;
    case OLLAMA_FRAME_PENALTY:
        if (ollama_record_penalty_decode(f, &p) != 0) break;
        printf("{\"frame\":\"penalty\",\"key\":\"%08" PRIx32
               "\",\"until\":%" PRIu64 ",\"time\":%" PRIu64
               ",\"extra\":%" PRIu64 ",\"max_concurrent\":%" PRIu32
               ",\"http\":%u,\"state\":%u,\"level\":%u",
               p.key, p.until, p.time, p.extra, p.max_concurrent, p.http,
               p.state, p.level);
        print_text("model", &p.model);
        print_text("status", &p.status);
        print_text("reason", &p.reason);
        puts("}");
        return;
    case OLLAMA_FRAME_READY:
        ready = 1;
        puts("{\"frame\":\"ready\"}");
        return;
    default: break;
    }
    printf("{\"frame\":\"unknown\",\"type\":%u}\n", f->type);
}

static void hang_up(void) {
    if (fd < 0) return;
    close(fd);
    fd = -1;
    in_len = out_len = 0;
}

/* One look at the socket: reads and writes what is possible. */
static void turn(int ms) {
    struct pollfd p = {fd, POLLIN, 0};
    ollama_frame_t f;
    size_t used, pos = 0;

    if (out_len) p.events |= POLLOUT;
    if (fd < 0 || poll(&p, 1, ms) <= 0) return;

    if (p.revents & POLLOUT) {
        ssize_t n = send(fd, out, out_len, MSG_NOSIGNAL);
        if (n > 0) {
            memmove(out, out + n, out_len - (size_t)n);
            out_len -= (size_t)n;
        } else if (errno != EAGAIN) {
            out_len = 0;
        }
    }
    if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
        if (in_size - in_len < 65536)
            in = realloc(in, in_size = in_len + 262144);
        ssize_t n = read(fd, in + in_len, in_size - in_len);
        if (n <= 0) {
            if (n < 0 && errno == EAGAIN) return;
            puts("{\"frame\":\"closed\"}");
            hang_up();
            return;
        }
        in_len += (size_t)n;
    }
    while (ollama_frame_next(in + pos, in_len - pos, &used, &f) ==
           OLLAMA_FRAME_GOT) {
        print_frame(&f);
        pos += used;
    }
    if (pos) memmove(in, in + pos, in_len -= pos);
}

/* ---- what goes ---- */

static unsigned char *room(size_t n) {
    if (out_size - out_len < n)
        out = realloc(out, out_size = (out_len + n) * 2);
    return out + out_len;
}

/* Takes away the last bytes of a sealed frame: fields that came later. */
static size_t without(unsigned char *frame, size_t n, size_t later) {
    ollama_frame_seal(frame, (ollama_frame_type_e)frame[5], n - later);
    ollama_record_downgrade(frame, n - later);
    return n - later;
}

static void flip(unsigned char *p) {
    *p ^= 0x55;
}

/* Takes a sealed frame at the buffer's end into the buffer, damaged if that
 * was asked for. */
static void take(size_t n, uint64_t seq) {
    unsigned char *frame = out + out_len;

    if (strcmp(damage, "content") == 0) {
        /* well sealed, but holding less than its type says */
        n = OLLAMA_FRAME_HEADER + 3;
        ollama_frame_seal(frame, (ollama_frame_type_e)frame[5], n);
    }
    if (strcmp(damage, "type") == 0)
        ollama_frame_seal(frame, (ollama_frame_type_e)200, n);
    ollama_frame_number(frame, seq);
    if (strcmp(damage, "version") == 0) {
        frame[4] = OLLAMA_FRAME_VERSION + 1;
        ollama_frame_number(frame, seq);
    }
    if (strcmp(damage, "payload") == 0) flip(frame + OLLAMA_FRAME_HEADER);
    if (strcmp(damage, "header") == 0) flip(frame + 17);
    if (strcmp(damage, "length") == 0) flip(frame + 9);
    if (strcmp(damage, "cut") == 0) {
        size_t cut = OLLAMA_FRAME_HEADER + (n - OLLAMA_FRAME_HEADER) / 2;
        memmove(frame + cut, frame + cut + 5, n - cut - 5);
        n -= 5;
    }
    damage[0] = '\0';
    out_len += n;
}

static int do_connect(void) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    hang_up();
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        hang_up();
        return 0;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ready = 0;
    return 1;
}

static void do_hello(yajl_val v) {
    yajl_val keys = get(v, "keys");
    size_t n = YAJL_IS_ARRAY(keys) ? keys->u.array.len : 0;
    ollama_record_hello_t h = {
        .instance = hex(v, "instance", 1),
        .started = (uint64_t)now_ms(),
        .pid = (uint32_t)getpid(),
        .keys = (uint32_t)n,
        .version = text(v, "version", "0.0.0"),
        .server = text(v, "server", "frames/1"),
        .proxy = text(v, "proxy", ""),
        .balance = (uint32_t)num(v, "balance", 0),
        .private = text(v, "private", ""),
    };

    unsigned char *frame = room(OLLAMA_RECORD_MAX);
    size_t len = ollama_record_hello_encode(frame, OLLAMA_RECORD_MAX, &h);
    if (num(v, "old", 0)) len = without(frame, len, 9 + h.proxy.len + h.private.len);
    take(len, 0);
    for (size_t i = 0; i < n; i++) {
        yajl_val k = keys->u.array.values[i];
        ollama_record_key_t r = {
            .key = (uint32_t)hex(k, "key", 0),
            .index = (uint32_t)num(k, "index", (int64_t)i),
            .max_concurrent = (uint32_t)num(k, "max_concurrent", 0),
            .weight = (uint32_t)num(k, "weight", 1),
            .enabled = (uint8_t)num(k, "enabled", 1),
            .name = text(k, "name", ""),
            .account = text(k, "account", ""),
        };
        room(OLLAMA_RECORD_MAX);
        take(ollama_record_key_encode(out + out_len, OLLAMA_RECORD_MAX, &r), 0);
    }
    room(OLLAMA_RECORD_MAX);
    take(ollama_record_ready_encode(out + out_len, OLLAMA_RECORD_MAX), 0);
}

static ollama_record_request_t request_of(yajl_val v) {
    yajl_val attempts = get(v, "attempts");
    ollama_record_request_t r = {
        .id = (uint64_t)num(v, "id", num(v, "seq", 1)),
        .time = (uint64_t)num(v, "time", now_ms()),
        .prompt = (uint64_t)num(v, "prompt", 0),
        .completion = (uint64_t)num(v, "completion", 0),
        .cached = (uint64_t)num(v, "cached", 0),
        .bytes_in = (uint64_t)num(v, "bytes_in", 100),
        .bytes_out = (uint64_t)num(v, "bytes_out", 1000),
        .key = (uint32_t)hex(v, "key", 0),
        .queue = (uint32_t)num(v, "queue", OLLAMA_RECORD_NO_TIME),
        .connect = (uint32_t)num(v, "connect", OLLAMA_RECORD_NO_TIME),
        .first_token = (uint32_t)num(v, "first_token", OLLAMA_RECORD_NO_TIME),
        .total = (uint32_t)num(v, "total", 100),
        .status = (uint16_t)num(v, "status", 200),
        .certainty = (uint8_t)num(v, "certainty", OLLAMA_RECORD_EXACT),
        .prompt_certainty = (uint8_t)num(
            v, "prompt_certainty", num(v, "certainty", OLLAMA_RECORD_EXACT)),
        .completion_certainty = (uint8_t)num(
            v, "completion_certainty", num(v, "certainty", OLLAMA_RECORD_EXACT)),
        .end = (uint8_t)num(v, "end", OLLAMA_RECORD_DONE),
        .streamed = (uint8_t)num(v, "streamed", 1),
        .has_body = (uint8_t)num(v, "has_body", 0),
        .attempts_all = (uint16_t)num(v, "attempts_all", 0),
        .client = text(v, "client", "127.0.0.1"),
        .client_name = text(v, "client_name", ""),
        .method = text(v, "method", "POST"),
        .endpoint = text(v, "endpoint", "/api/chat"),
        .model = text(v, "model", "gpt-oss:20b"),
        .model_answered = text(v, "model_answered", ""),
        .upstream_id = text(v, "upstream_id", ""),
        .user_agent = text(v, "user_agent", ""),
        .reason = text(v, "reason", ""),
        .cost = (uint64_t)num(v, "cost", 0),
        .priced = (uint8_t)num(v, "priced", get(v, "cost") != NULL),
        .affinity = (uint8_t)num(v, "affinity", OLLAMA_AFFINITY_NONE),
        .cached_saves = (uint64_t)num(v, "cached_saves", 0),
    };

    if (YAJL_IS_ARRAY(attempts)) {
        for (size_t i = 0; i < attempts->u.array.len && i < 16; i++) {
            yajl_val a = attempts->u.array.values[i];
            r.attempts[i].key = (uint32_t)hex(a, "key", 0);
            r.attempts[i].ms = (uint32_t)num(a, "ms", 0);
            r.attempts[i].status = (uint16_t)num(a, "status", 0);
            r.attempts[i].cause = (uint8_t)num(a, "cause", 0);
            r.nattempts++;
        }
    }
    return r;
}

static void do_request(yajl_val v, int64_t end) {
    uint64_t seq = (uint64_t)num(v, "seq", 1);
    int64_t count = num(v, "count", 1), clients = num(v, "clients", 0);
    int64_t models = num(v, "models", 0), keys = num(v, "keys", 0);
    char client[64], model[64];
    ollama_record_request_t r = request_of(v);

    for (int64_t i = 0; i < count; i++) {
        if (clients) {
            r.client.data = (unsigned char *)client;
            r.client.len = (size_t)snprintf(client, sizeof(client), "10.0.0.%d",
                                            (int)(i % clients));
        }
        if (models) {
            r.model.data = (unsigned char *)model;
            r.model.len = (size_t)snprintf(model, sizeof(model), "model-%d",
                                           (int)(i % models));
        }
        if (keys) r.key = (uint32_t)(0x10000000 + i % keys);
        unsigned char *frame = room(OLLAMA_RECORD_MAX);
        size_t len = ollama_record_request_encode(frame, OLLAMA_RECORD_MAX, &r);
        if (num(v, "old", 0)) len = without(frame, len, 22);
        take(len, seq);
        seq++;
        r.id++;
        while (out_len > 1048576 && fd >= 0 && now_ms() < end) turn(50);
        if (fd < 0 || out_len > 1048576) return;
    }
}

static void do_running(yajl_val v) {
    ollama_record_request_t r = request_of(v);

    if (get(v, "end") == NULL) r.end = OLLAMA_RECORD_ANSWERING;
    room(OLLAMA_RECORD_MAX);
    take(ollama_record_running_encode(out + out_len, OLLAMA_RECORD_MAX, &r), 0);
}

static void do_running_end(yajl_val v) {
    ollama_record_running_end_t r = {
        .time = (uint64_t)now_ms(),
        .total = (uint32_t)num(v, "total", 0),
        .waiting = (uint32_t)num(v, "waiting", 0),
    };

    room(OLLAMA_RECORD_MAX);
    take(ollama_record_running_end_encode(out + out_len, OLLAMA_RECORD_MAX, &r),
         0);
}

static void do_body(yajl_val v) {
    const char *data = str(v, "data", "{}");
    size_t len = strlen(data), fill = (size_t)num(v, "fill", 0);
    ollama_record_body_t b = {
        .id = (uint64_t)num(v, "id", 1),
        .time = (uint64_t)num(v, "time", now_ms()),
        .size = (uint64_t)num(v, "size", (int64_t)(len + fill)),
        .truncated = (uint8_t)num(v, "truncated", 0),
        .data = {NULL, len + fill},
    };
    unsigned char *frame = room(len + fill + OLLAMA_RECORD_BODY_HEAD);
    size_t at = ollama_record_body_begin(
        frame, len + fill + OLLAMA_RECORD_BODY_HEAD, &b);

    memcpy(frame + at, data, len);
    /* what no compressor makes smaller */
    for (size_t i = 0; i < fill; i++) {
        static uint32_t x = 2463534242u;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        frame[at + len + i] = (unsigned char)x;
    }
    ollama_frame_seal(frame, OLLAMA_FRAME_BODY, at + len + fill);
    if (num(v, "old", 0)) ollama_frame_downgrade(frame);
    take(at + len + fill, (uint64_t)num(v, "seq", 1));
}

static void do_penalty(yajl_val v) {
    ollama_record_penalty_t p = {
        .key = (uint32_t)hex(v, "key", 1),
        .time = (uint64_t)num(v, "time", now_ms()),
        .until = (uint64_t)num(v, "until", 0),
        .extra = (uint64_t)num(v, "extra", 0),
        .max_concurrent = (uint32_t)num(v, "max_concurrent", 0),
        .http = (uint16_t)num(v, "http", 429),
        .state = (uint8_t)num(v, "state", 1),
        .level = (uint8_t)num(v, "level", 0),
        .model = text(v, "model", ""),
        .status = text(v, "status", "exhausted"),
        .reason = text(v, "reason", ""),
    };

    room(OLLAMA_RECORD_MAX);
    take(ollama_record_penalty_encode(out + out_len, OLLAMA_RECORD_MAX, &p),
         (uint64_t)num(v, "seq", 1));
}

static void do_outbox(yajl_val v) {
    ollama_record_outbox_t o = {
        .time = (uint64_t)now_ms(),
        .size = (uint64_t)num(v, "size", 0),
        .used = (uint64_t)num(v, "used", 0),
        .last_seq = (uint64_t)num(v, "last_seq", 0),
        .acked = (uint64_t)num(v, "acked", 0),
        .dropped_records = (uint64_t)num(v, "dropped_records", 0),
        .dropped_bodies = (uint64_t)num(v, "dropped_bodies", 0),
        .resent = (uint64_t)num(v, "resent", 0),
        .lag = (uint32_t)num(v, "lag", 0),
        .running = (uint32_t)num(v, "running", 0),
        .waiting = (uint32_t)num(v, "waiting", 0),
        .workers = (uint32_t)num(v, "workers", 1),
    };

    room(OLLAMA_RECORD_MAX);
    take(ollama_record_outbox_encode(out + out_len, OLLAMA_RECORD_MAX, &o), 0);
}

static void do_keystate(yajl_val v) {
    ollama_record_keystate_t k = {
        .key = (uint32_t)hex(v, "key", 1),
        .in_flight = (uint32_t)num(v, "in_flight", 0),
        .slots = (uint32_t)num(v, "slots", 0),
        .usage = (uint64_t)num(v, "usage", 0),
        .reserved = (uint64_t)num(v, "reserved", 0),
        .until = (uint64_t)num(v, "until", 0),
        .state = (uint8_t)num(v, "state", 0),
        .eligible = (uint8_t)num(v, "eligible", 1),
        .status = text(v, "status", "ok"),
        .reason = text(v, "reason", ""),
    };

    room(OLLAMA_RECORD_MAX);
    take(ollama_record_keystate_encode(out + out_len, OLLAMA_RECORD_MAX, &k),
         0);
}

static void do_raw(yajl_val v) {
    const char *s = str(v, "hex", "");
    unsigned byte;

    for (; sscanf(s, "%2x", &byte) == 1; s += 2) {
        *room(1) = (unsigned char)byte;
        out_len++;
    }
}

static int do_wait(yajl_val v) {
    const char *what = str(v, "for", "ready");
    uint64_t seq = (uint64_t)num(v, "seq", 0);
    int64_t end = now_ms() + num(v, "ms", 5000);

    for (;;) {
        if (strcmp(what, "ready") == 0 && ready) return 1;
        if (strcmp(what, "ack") == 0 && acked >= seq) return 1;
        if (strcmp(what, "closed") == 0 && fd < 0) return 1;
        if (now_ms() >= end || fd < 0) return 0;
        turn(50);
    }
}

static int perform(yajl_val v, const char *what) {
    /* "ms": how long the daemon has to take it, for tests of back-pressure */
    int64_t end = now_ms() + num(v, "ms", 20000);

    if (strcmp(what, "connect") == 0) return do_connect();
    if (strcmp(what, "wait") == 0) return do_wait(v);
    if (strcmp(what, "close") == 0) {
        hang_up();
        return 1;
    }
    if (strcmp(what, "damage") == 0) {
        snprintf(damage, sizeof(damage), "%s", str(v, "what", ""));
        return 1;
    }

    if (strcmp(what, "hello") == 0)
        do_hello(v);
    else if (strcmp(what, "request") == 0)
        do_request(v, end);
    else if (strcmp(what, "running") == 0)
        do_running(v);
    else if (strcmp(what, "running_end") == 0)
        do_running_end(v);
    else if (strcmp(what, "body") == 0)
        do_body(v);
    else if (strcmp(what, "penalty") == 0)
        do_penalty(v);
    else if (strcmp(what, "outbox") == 0)
        do_outbox(v);
    else if (strcmp(what, "keystate") == 0)
        do_keystate(v);
    else if (strcmp(what, "raw") == 0)
        do_raw(v);
    else
        return 0;

    while (out_len && fd >= 0 && now_ms() < end) turn(50);
    int ok = out_len == 0 && fd >= 0;
    if (fd < 0) out_len = 0;
    return ok;
}

/* ---- an old daemon ---- */

/* What is in a frame, to somebody who knows five ends and sums up all. */
static void print_received(const ollama_frame_t *f) {
    ollama_record_request_t r;
    ollama_record_body_t b;
    const char *name = NULL;

    printf("{\"seq\":%" PRIu64 ",", f->seq);
    if (f->version != 1) {
        printf("\"version\":%u,", f->version);
    } else if (f->type == OLLAMA_FRAME_PENALTY) {
        name = "penalty";
    } else if (f->type == OLLAMA_FRAME_BODY &&
               ollama_record_body_decode(f, &b) == 0) {
        name = "body";
        printf("\"id\":%" PRIu64 ",\"size\":%zu,", b.id, b.data.len);
    } else if (f->type == OLLAMA_FRAME_REQUEST &&
               ollama_record_request_decode(f, &r) == 0) {
        if (r.end <= OLLAMA_RECORD_STREAM_ERROR) name = "request";
        printf("\"id\":%" PRIu64 ",\"end\":%u,\"status\":%u,\"attempts\":%u",
               r.id, r.end, r.status, r.nattempts);
        print_text("reason", &r.reason);
        putchar(',');
    }
    printf("\"frame\":\"%s\"}\n", name ? name : "refused");
}

static void answer(size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(fd, out + at, n - at, MSG_NOSIGNAL);
        if (sent <= 0) return;
        at += (size_t)sent;
    }
}

/* The last number of the one instance that there is. */
static void serve(uint64_t *last) {
    ollama_frame_result_e got;
    ollama_record_hello_t h = {0};
    ollama_frame_t f;
    size_t used;

    for (in_len = 0;;) {
        uint64_t before = *last;
        size_t pos = 0;

        if (in_size - in_len < 65536)
            in = realloc(in, in_size = in_len + 262144);
        ssize_t n = read(fd, in + in_len, in_size - in_len);
        if (n <= 0) return;
        in_len += (size_t)n;
        while ((got = ollama_frame_next(in + pos, in_len - pos, &used, &f)) !=
               OLLAMA_FRAME_AGAIN) {
            pos += used;
            if (got != OLLAMA_FRAME_GOT) {
                puts("{\"frame\":\"refused\"}");
            } else if (f.type == OLLAMA_FRAME_HELLO) {
                ollama_record_hello_decode(&f, &h);
            } else if (f.type == OLLAMA_FRAME_READY) {
                ollama_record_welcome_t w = {h.instance, *last,
                                             (uint64_t)now_ms(), {0}, 0};
                unsigned char *frame = room(2 * OLLAMA_RECORD_MAX);
                size_t len =
                    ollama_record_welcome_encode(frame, OLLAMA_RECORD_MAX, &w);
                len = without(frame, len, 1);
                len += ollama_record_ready_encode(frame + len,
                                                  OLLAMA_RECORD_MAX);
                puts("{\"frame\":\"ready\"}");
                answer(len);
            } else if (f.seq > *last) {
                *last = f.seq;
                print_received(&f);
            }
        }
        memmove(in, in + pos, in_len -= pos);
        if (*last > before) {
            ollama_record_ack_t a = {*last};
            answer(ollama_record_ack_encode(room(OLLAMA_RECORD_MAX),
                                            OLLAMA_RECORD_MAX, &a));
        }
    }
}

static int old_daemon(void) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t last = 0;

    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    if (bind(s, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(s, 8) != 0) {
        perror(path);
        return 1;
    }
    chmod(path, 0666); /* workers are somebody else */
    while ((fd = accept(s, NULL, NULL)) >= 0) {
        serve(&last);
        close(fd);
    }
    return 0;
}

int main(int argc, char **argv) {
    char *line = NULL, err[256];
    size_t size = 0;

    if (argc == 3 && strcmp(argv[1], "--old-daemon") == 0) {
        path = argv[2];
        setvbuf(stdout, NULL, _IOLBF, 0);
        return old_daemon();
    }
    if (argc != 2) {
        fputs("usage: frames SOCKET < commands\n", stderr);
        return 2;
    }
    path = argv[1];
    setvbuf(stdout, NULL, _IOLBF, 0);

    while (getline(&line, &size, stdin) > 0) {
        yajl_val v = yajl_tree_parse(line, err, sizeof(err));
        const char *what = v ? str(v, "do", "") : "";
        int ok = v && perform(v, what);

        turn(0);
        printf("{\"did\":\"%s\",\"ok\":%s}\n", what, ok ? "true" : "false");
        yajl_tree_free(v);
    }
    hang_up();
    free(line);
    free(in);
    free(out);
    return 0;
}
