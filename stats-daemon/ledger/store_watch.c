#include "store_watch.h"

#include "../base/log.h"
#include "../base/trouble.h"
#include "writer.h"

#include <event2/event.h>

#define PERIOD_S 1

static struct event *look;

static void on_look(evutil_socket_t fd, short what, void *arg) {
    static struct trouble trouble = {
        .level = LOG_WARN, .quiet_ms = 3 * PERIOD_S * 1000, .is_state = 1};
    struct writer_status w;

    (void)fd;
    (void)what;
    writer_status(arg, &w);
    if (w.store.trouble[0]) trouble_met(&trouble, "%s", w.store.trouble);
}

void store_watch_start(struct event_base *base, struct writer *writer) {
    static const struct timeval period = {PERIOD_S, 0};

    look = event_new(base, -1, EV_PERSIST, on_look, writer);
    event_add(look, &period);
}

void store_watch_stop(void) {
    event_free(look);
    look = NULL;
}
