#include "retention.h"

#include "../base/util.h"
#include "../bodies/body_files.h"

#include "../../ngx_ollama_module/core/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOUR    3600000LL
#define DAY     (24 * HOUR)
#define TOLD    (OLLAMA_RECORD_MINUTES * 60000LL)
#define FOREVER INT64_MAX

const struct retention retention_default = {
    .body_age = 7 * DAY,
    .row_age = 31 * DAY,
    .minute_age = 48 * HOUR,
    .ten_age = 14 * DAY,
    .cube_age = 31 * DAY,
    .hour_age = 400 * DAY,
    .day_age = 0,
    .body_bytes = 1024LL * 1024 * 1024,
    .row_bytes = 4096LL * 1024 * 1024,
    .log_size = 5 * 1024 * 1024,
    .log_keep = 5,
};

/* Ages of sums, the finest first. */
enum { MINUTES, TENS, CUBE, HOURS, DAYS, SUMS };

static void sum_ages(struct retention *k, int64_t *ages[SUMS]) {
    ages[MINUTES] = &k->minute_age;
    ages[TENS] = &k->ten_age;
    ages[CUBE] = &k->cube_age;
    ages[HOURS] = &k->hour_age;
    ages[DAYS] = &k->day_age;
}

/* 0, or 1: there is no such setting.  Which age of sums was given is noted. */
static int set(struct retention *k, const char *name, const char *value,
               int *given) {
    static const char *const sums[] = {"minute_age", "ten_age", "cube_age",
                                       "hour_age", "day_age"};
    static const char *const sizes[] = {"body_bytes", "row_bytes", "log_size"};
    int64_t *ages[SUMS],
        *bytes[] = {&k->body_bytes, &k->row_bytes, &k->log_size};

    sum_ages(k, ages);
    for (int i = 0; i < SUMS; i++) {
        if (strcmp(name, sums[i]) != 0) continue;
        given[i] = 1;
        return parse_duration(value, ages[i]);
    }
    for (int i = 0; i < 3; i++)
        if (strcmp(name, sizes[i]) == 0) return parse_size(value, bytes[i]);
    if (strcmp(name, "body_age") == 0)
        return parse_duration(value, &k->body_age);
    if (strcmp(name, "row_age") == 0) return parse_duration(value, &k->row_age);
    if (strcmp(name, "log_keep") == 0)
        return parse_number(value, 0, 100, &k->log_keep);
    return 1;
}

/* No sums outlive coarser ones.  What was not given gives way; of two that
 * were, the coarser one is kept for longer.  Minutes are told to whoever
 * connects. */
static void settle(struct retention *k, const int *given) {
    int64_t *ages[SUMS], least = FOREVER;

    sum_ages(k, ages);
    if (k->day_age == 0) k->day_age = FOREVER;
    for (int i = DAYS; i >= MINUTES; i--) {
        if (given[i] && i != CUBE && *ages[i] < least) least = *ages[i];
        if (!given[i] && *ages[i] > least) *ages[i] = least;
    }
    if (k->minute_age < TOLD) k->minute_age = TOLD;
    least = k->minute_age;
    for (int i = TENS; i <= DAYS; i++) {
        if (i != CUBE && *ages[i] < least) *ages[i] = least;
        if (*ages[i] > least) least = *ages[i];
    }
    if (k->day_age == FOREVER) k->day_age = 0;
}

/* The expression of a line "redact EXPRESSION", or NULL. */
static char *redacted(char *line) {
    static const char name[] = "redact";
    char *at = line + strspn(line, " \t");

    if (strncmp(at, name, sizeof(name) - 1) != 0) return NULL;
    at += sizeof(name) - 1;
    if (*at != '\0' && strchr(" \t\n", *at) == NULL) return NULL;
    at += strspn(at, " \t");
    for (size_t n = strlen(at); n && strchr(" \t\r\n", at[n - 1]); n--)
        at[n - 1] = '\0';
    return at;
}

static int add_redaction(struct retention *k, const char *expression, char *err,
                         size_t errlen) {
    struct redact *r;

    if (*expression == '\0') {
        snprintf(err, errlen, "\"redact\" needs a regular expression");
        return -1;
    }
    r = redact_add(k->redact, expression, err, errlen);
    if (r == NULL) return -1;
    k->redact = r;
    return 0;
}

int retention_read(struct retention *k, const char *file, char *err,
                   size_t errlen) {
    char line[4096], name[64], value[64], more[2], why[256];
    int given[SUMS] = {0};
    FILE *f = fopen(file, "re");

    if (f == NULL) {
        snprintf(err, errlen, "%s: %s", file, strerror(errno));
        return -1;
    }
    for (int n = 1; fgets(line, sizeof(line), f); n++) {
        char *expression = redacted(line);

        if (expression && add_redaction(k, expression, why, sizeof(why)) != 0) {
            snprintf(err, errlen, "%s:%d: %s", file, n, why);
            fclose(f);
            return -1;
        }
        if (expression) continue;
        line[strcspn(line, "#\n")] = '\0';
        int words = sscanf(line, "%63s %63s %1s", name, value, more);
        if (words <= 0) continue;

        int bad = words == 2 ? set(k, name, value, given) : -1;
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
    settle(k, given);
    return 0;
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
        .minutes_before = now - k->minute_age,
        .tens_before = now - k->ten_age,
        .hours_before = now - k->hour_age,
        .days_before = k->day_age ? now - k->day_age : INT64_MIN,
        .cube_before = now - k->cube_age,
        .bodies_before = now - k->body_age,
        .body_bytes = k->body_bytes,
        .row_bytes = k->row_bytes,
        .segment = segment,
    };
    struct files files = {b, dir};
    enum store_result r;

    do {
        r = store_trim(s, &l, RETENTION_PIECE, left, on_gone, &files);
    } while (r == STORE_OK && *left && mono_ms() < end);

    /* a full disk is no reason to keep files whose time is over */
    segments_sweep(b, l.bodies_before, RETENTION_PIECE);
    body_files_sweep(dir, l.bodies_before, RETENTION_PIECE);
    return r;
}
