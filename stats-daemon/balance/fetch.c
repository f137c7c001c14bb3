#include "fetch.h"

#include "../base/util.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX 16384

struct fetch {
    struct bufferevent *bev; /* NULL: there is no connection */
    struct event *timer;
    fetch_cb *cb;
    void *arg;
    char error[128];
};

void fetch_leave(struct fetch *f) {
    if (f->bev) bufferevent_free(f->bev);
    event_free(f->timer);
    free(f);
}

static void finish(struct fetch *f, const struct fetched *answer) {
    f->cb(f->arg, answer);
    fetch_leave(f);
}

static void fail(struct fetch *f, const char *why) {
    struct fetched answer = {.error = why};

    finish(f, &answer);
}

/* ---- an answer ---- */

static int header(const char *line, const char *name, const char **value) {
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0 || line[len] != ':') return 0;
    for (line += len + 1; *line == ' ' || *line == '\t';) line++;
    *value = line;
    return 1;
}

/* The head, cut into lines; 0, or -1: it is none. */
static int read_head(char *head, struct fetched *answer, long long *length) {
    char *next, *line = head;
    const char *value;

    if (strncmp(head, "HTTP/1.", 7) != 0 || head[7] == '\0' || head[8] != ' ')
        return -1;
    answer->status = atoi(head + 9);
    if (answer->status < 100 || answer->status > 599) return -1;

    for (; line; line = next) {
        if ((next = strstr(line, "\r\n"))) {
            *next = '\0';
            next += 2;
        }
        if (header(line, "Retry-After", &value))
            snprintf(answer->retry_after, sizeof(answer->retry_after), "%s",
                     value);
        else if (header(line, "X-Ollama-Private", &value))
            answer->asked = strcmp(value, "asked") == 0;
        else if (header(line, "Content-Length", &value))
            *length = atoll(value);
    }
    return 0;
}

static void parse(struct fetch *f) {
    struct evbuffer *in = bufferevent_get_input(f->bev);
    struct fetched answer = {0};
    size_t len = evbuffer_get_length(in);
    long long length = -1;
    char *all = xmalloc(len + 1), *end;

    evbuffer_remove(in, all, len);
    all[len] = '\0';
    end = strstr(all, "\r\n\r\n");
    if (end) *end = '\0';
    if (end == NULL || end - all > HEAD_MAX ||
        read_head(all, &answer, &length) != 0) {
        answer = (struct fetched){.error = "nginx's answer is not whole"};
    } else {
        answer.body = end + 4;
        answer.len = (size_t)(all + len - answer.body);
        if (length >= 0 && (size_t)length > answer.len)
            answer = (struct fetched){.error = "the answer was cut off"};
        else if (answer.len > FETCH_MAX)
            answer = (struct fetched){.error = "the answer is too long"};
    }
    finish(f, &answer);
    free(all);
}

/* ---- the connection ---- */

static void on_read(struct bufferevent *bev, void *arg) {
    size_t len = evbuffer_get_length(bufferevent_get_input(bev));

    if (len > FETCH_MAX + HEAD_MAX) fail(arg, "the answer is too long");
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
    (void)bev;
    if (what & BEV_EVENT_EOF)
        parse(arg);
    else if (what & BEV_EVENT_ERROR)
        fail(arg, "nginx has closed the connection");
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    struct fetch *f = arg;

    (void)fd;
    (void)what;
    fail(f, f->bev ? "no answer in time" : f->error);
}

static int connect_to(const char *path, char *error, size_t size) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = -1;

    if (strlen(path) >= sizeof(to.sun_path)) {
        errno = ENAMETOOLONG;
    } else {
        strcpy(to.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    snprintf(error, size, "%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}

struct fetch *fetch_start(struct event_base *base, const char *socket,
                          const char *uri, uint32_t key, fetch_cb *cb,
                          void *arg) {
    static const struct timeval patience = {FETCH_MS / 1000, 0}, at_once = {0};
    struct fetch *f = xcalloc(1, sizeof(*f));
    int fd = connect_to(socket, f->error, sizeof(f->error));

    f->cb = cb;
    f->arg = arg;
    f->timer = evtimer_new(base, on_timer, f);
    event_add(f->timer, fd < 0 ? &at_once : &patience);
    if (fd < 0) return f;

    f->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(f->bev, on_read, NULL, on_event, f);
    bufferevent_enable(f->bev, EV_READ | EV_WRITE);
    evbuffer_add_printf(bufferevent_get_output(f->bev),
                        "GET %s HTTP/1.0\r\n"
                        "Host: private\r\n"
                        "X-Ollama-Key: %08x\r\n\r\n",
                        uri, (unsigned)key);
    return f;
}
