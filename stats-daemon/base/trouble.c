#include "trouble.h"

#include "log.h"
#include "util.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static struct trouble *all;

static int lasts(const struct trouble *t, int64_t now) {
    return t->count && now - t->met < t->quiet_ms;
}

void trouble_met(struct trouble *t, const char *fmt, ...) {
    int64_t now = mono_ms();
    va_list ap;

    if (!t->known) {
        t->known = 1;
        t->next = all;
        all = t;
    }
    if (!lasts(t, now)) {
        t->since = now_ms();
        t->count = 0;
        t->told = 0;
    }
    va_start(ap, fmt);
    vsnprintf(t->text, sizeof(t->text), fmt, ap);
    va_end(ap);
    t->met = now;
    t->count++;
    t->unsaid++;
    if (t->said && now - t->said < TROUBLE_SAID_MS) return;
    if (t->is_state && t->told) return;

    if (t->unsaid > 1 && !t->is_state)
        log_msg(t->level, "%s (%" PRId64 " times since it was last said)",
                t->text, t->unsaid);
    else
        log_msg(t->level, "%s", t->text);
    t->said = now;
    t->told = 1;
    t->unsaid = 0;
}

int trouble_texts(struct json *list) {
    char buf[384], since[ISO_SIZE];
    int64_t now = mono_ms();
    int n = 0;

    for (const struct trouble *t = all; t; t = t->next) {
        if (!lasts(t, now)) continue;
        iso_time(since, t->since, 0);
        if (t->is_state)
            snprintf(buf, sizeof(buf), "%s (since %s)", t->text, since);
        else
            snprintf(buf, sizeof(buf), "%s (%" PRId64 " times since %s)",
                     t->text, t->count, since);
        json_text(list, buf);
        n++;
    }
    return n;
}
