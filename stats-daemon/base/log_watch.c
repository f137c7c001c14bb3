#include "log_watch.h"

#include "log.h"
#include "log_file.h"
#include "trouble.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdint.h>

static struct event *look;
static int in_trouble;

static void on_look(evutil_socket_t fd, short what, void *arg) {
    static struct trouble trouble = {
        .level = LOG_ERROR, .quiet_ms = 3 * LOG_FILE_RETRY_MS, .is_state = 1};
    char buf[256];
    int64_t waiting, lost;
    const char *error = log_missing(buf, sizeof(buf), &waiting, &lost);

    (void)fd;
    (void)what;
    (void)arg;
    if (error)
        trouble_met(&trouble,
                    "proxy.log: %s; %" PRId64 " lines wait in memory, %" PRId64
                    " are lost",
                    error, waiting, lost);
    else if (in_trouble)
        log_msg(LOG_NOTICE,
                "proxy.log: it is written again; %" PRId64 " lines are missing",
                lost);
    in_trouble = error != NULL;
}

void log_watch_start(struct event_base *base) {
    static const struct timeval period = {LOG_FILE_RETRY_MS / 1000, 0};

    look = event_new(base, -1, EV_PERSIST, on_look, NULL);
    event_add(look, &period);
}

void log_watch_stop(void) {
    event_free(look);
    look = NULL;
}
