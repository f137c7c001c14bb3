#include "retention.h"

#include "../base/util.h"
#include "../bodies/body_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAY 86400000LL

const struct retention retention_default = {
    .body_age = 7 * DAY,
    .row_age = 31 * DAY,
    .hour_age = 400 * DAY,
    .body_bytes = 1024LL * 1024 * 1024,
    .row_bytes = 4096LL * 1024 * 1024,
    .log_size = 5 * 1024 * 1024,
    .log_keep = 5,
};

static int set(struct retention *k, const char *name, const char *value) {
    static const char *const names[] = {"body_age",   "row_age",   "hour_age",
                                        "body_bytes", "row_bytes", "log_size"};
    int64_t *to[] = {&k->body_age,   &k->row_age,   &k->hour_age,
                     &k->body_bytes, &k->row_bytes, &k->log_size};

    for (int i = 0; i < 6; i++) {
        if (strcmp(name, names[i]) == 0)
            return i < 3 ? parse_duration(value, to[i])
                         : parse_size(value, to[i]);
    }
    if (strcmp(name, "log_keep") == 0)
        return parse_number(value, 0, 100, &k->log_keep);
    return 1;
}

int retention_read(struct retention *k, const char *file, char *err,
                   size_t errlen) {
    char line[256], name[64], value[64], more[2];
    FILE *f = fopen(file, "re");

    if (f == NULL) {
        snprintf(err, errlen, "%s: %s", file, strerror(errno));
        return -1;
    }
    for (int n = 1; fgets(line, sizeof(line), f); n++) {
        line[strcspn(line, "#\n")] = '\0';
        int words = sscanf(line, "%63s %63s %1s", name, value, more);
        if (words <= 0) continue;

        int bad = words == 2 ? set(k, name, value) : -1;
        if (bad) {
            snprintf(err, errlen,
                     bad > 0 ? "%s:%d: there is no setting \"%s\""
                             : "%s:%d: \"%s\" needs one value like 7d or 1g",
                     file, n, name);
            fclose(f);
            return -1;
        }
    }
    fclose(f);
    return 0;
}

/* How times are spread, and causes, by minute, ten of them, hour; days stay. */
static void spread_limits(struct store_limits *l, const struct retention *k,
                          int64_t now) {
    l->spreads_before[SPAN_MINUTE] = now - 2 * DAY;
    l->spreads_before[SPAN_TEN] = now - 14 * DAY;
    l->spreads_before[SPAN_HOUR] = now - k->hour_age;
    l->spreads_before[SPAN_DAY] = INT64_MIN;
}

struct files {
    struct segments *segments;
    const char *dir;
};

static void on_gone(void *arg, const struct store_gone *g) {
    struct files *f = arg;

    if (g->segment)
        segments_drop(f->segments, g->segment);
    else
        body_file_remove(f->dir, g->instance, g->id, g->time);
}

enum store_result retention_step(const struct retention *k, int64_t now,
                                 int64_t wall, struct store *s,
                                 struct segments *b, const char *dir,
                                 int64_t segment, int *left) {
    int64_t end = mono_ms() + RETENTION_BUDGET_MS;
    struct store_limits l = {
        .now = now,
        .wall = wall,
        .rows_before = now - k->row_age,
        .hours_before = now - k->hour_age,
        .bodies_before = now - k->body_age,
        .body_bytes = k->body_bytes,
        .row_bytes = k->row_bytes,
        .segment = segment,
    };
    struct files files = {b, dir};
    enum store_result r;

    spread_limits(&l, k, now);
    do {
        r = store_trim(s, &l, RETENTION_PIECE, left, on_gone, &files);
    } while (r == STORE_OK && *left && mono_ms() < end);

    /* a full disk is no reason to keep files whose time is over */
    segments_sweep(b, l.bodies_before, RETENTION_PIECE);
    body_files_sweep(dir, l.bodies_before, RETENTION_PIECE);
    return r;
}
