#include "accepting.h"

#include "log.h"

#include <errno.h>
#include <string.h>

static struct accepting *all;

static const struct timeval pause_time = {ACCEPTING_PAUSE_MS / 1000, 0};

/* What can be said of it now, said again while it lasts. */
static void say(struct accepting *a) {
    if (a->open >= a->max)
        trouble_met(&a->full,
                    "%d connections of %s are open, as many as there may be: "
                    "others wait",
                    a->open, a->whose);
    else
        trouble_met(&a->short_of, "connections of %s have to wait: %s",
                    a->whose, strerror(a->no_more));
}

static void update(struct accepting *a) {
    int on = a->no_more == 0 && a->open < a->max;

    if (!on) {
        say(a);
        event_add(a->look, &pause_time);
    }
    if (on == a->on) return;
    a->on = on;
    a->turn(a->arg, on);
}

static void on_look(evutil_socket_t fd, short what, void *arg) {
    struct accepting *a = arg;

    (void)fd;
    (void)what;
    a->no_more = 0;
    update(a);
}

void accepting_start(struct accepting *a, struct event_base *base,
                     const char *whose, int max, accepting_turn *turn,
                     void *arg) {
    memset(a, 0, sizeof(*a));
    a->whose = whose;
    a->max = max;
    a->on = 1;
    a->turn = turn;
    a->arg = arg;
    a->look = event_new(base, -1, 0, on_look, a);
    a->full.level = a->short_of.level = LOG_WARN;
    a->full.is_state = a->short_of.is_state = 1;
    a->full.quiet_ms = a->short_of.quiet_ms = 5 * ACCEPTING_PAUSE_MS;
    a->next = all;
    all = a;
}

void accepting_stop(struct accepting *a) {
    for (struct accepting **at = &all; *at; at = &(*at)->next) {
        if (*at == a) {
            *at = a->next;
            break;
        }
    }
    event_free(a->look);
    a->look = NULL;
}

void accepting_opened(struct accepting *a) {
    if (++a->open >= a->max) update(a);
}

/* What it had is there for any of them. */
void accepting_closed(struct accepting *a) {
    a->open--;
    for (struct accepting *x = all; x; x = x->next) {
        if (x->on) continue;
        x->no_more = 0;
        update(x);
    }
}

void accepting_failed(struct accepting *a, int error) {
    /* of the connection, which is gone */
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED ||
        error == EPROTO)
        return;
    a->no_more = error;
    update(a);
}
